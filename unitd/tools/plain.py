"""A configuration in plain words: what is fitted to this unit and where it calls."""

from collections.abc import Iterator

from unitd.config import Config


def fitted(c: Config) -> Iterator[str]:
    """Yield short lines for an installer to compare with what is on the pole; pure, no secret in them."""
    place = ", ".join(part for part in (c.site.name, c.site.address) if part)
    yield f"unit {c.unit.id} at {place}"
    lamps = [name for name in ("yellow", "green", "locator") if getattr(c.lamps, f"{name}_pin") is not None]
    sounder = f", sounder on pin {c.sounder.pin}" if c.sounder.pin is not None else ", no sounder"
    yield f"button {_contact(c)}; lamps: {', '.join(lamps) or 'none'}{sounder}"
    if c.brokers:
        yield "alarms to " + ", ".join(f"{b.name} ({b.host}:{b.port})" for b in c.brokers) + ", all at once"
    else:
        yield "stand-alone: no control room"
    if c.control_rooms:
        yield "asks to answer " + ", then ".join(f"{r.name} ({_hours(r.hours)})" for r in c.control_rooms)
    if c.duty_numbers:
        yield "text messages to " + ", ".join(f"{n.name} {n.number} ({_hours(n.hours)})" for n in c.duty_numbers)
    if c.brokers and c.test_alarm.every_s is not None:
        yield f"a test alarm every {_time(c.test_alarm.every_s)} ({_hours(c.test_alarm.hours)})"
    if c.endpoints:
        yield "calls to " + ", then ".join(f"{e.name} ({e.url})" for e in c.endpoints)
    if c.cameras:
        yield (
            "films "
            + ", ".join(camera.name for camera in c.cameras)
            + (f"; keeps {c.incident.pre_roll_s:g} s before and {c.incident.post_roll_s:g} s after an incident")
        )
        old = "" if c.ring.retain_days is None else f" or is {c.ring.retain_days:g} days old"
        yield (
            f"other footage goes when the disk is {c.ring.high_watermark_percent:g} % full{old}; "
            f"room for {_time(c.ring.incident_reserve_s)} is kept for the next incident"
        )
    else:
        yield "no camera"
    if c.dome is not None:
        yield f"dome that moves by {c.dome.protocol} on {c.dome.port}, preset {c.dome.panel_preset} looks at the panel"
    if c.modem is not None:
        yield f"modem on {c.modem.port}"
    if c.sound is not None:
        yield f"sound: microphone {c.sound.input!r}, horn {c.sound.output!r}, spoken in {c.sound.language!r}"
    if c.motion is not None:
        yield f"watches for motion on {c.motion.camera}"


def _contact(c: Config) -> str:
    pins = f"pin {c.button.pin}" if c.button.nc_pin is None else f"pins {c.button.pin} and {c.button.nc_pin}"
    return f"on {pins} (contact {c.button.contact!r}, driver {c.button.driver!r})"


def _hours(lines: tuple[str, ...]) -> str:
    return ", ".join(lines) or "always"


def _time(seconds: float) -> str:
    """Seconds as the largest unit that comes out even."""
    for name, size in (("days", 86_400), ("hours", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} s"
