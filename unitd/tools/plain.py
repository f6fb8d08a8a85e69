"""A configuration in plain words: what is fitted to this unit and where it calls."""

from collections.abc import Iterator

from unitd.config import Config


def fitted(c: Config) -> Iterator[str]:
    """Yield short lines for an installer to compare with what is on the pole; pure, no secret in them."""
    place = ", ".join(part for part in (c.site.name, c.site.address) if part)
    yield f"unit {c.unit.id} at {place}"
    lamps = [name for name in ("yellow", "green", "locator") if getattr(c.lamps, f"{name}_pin") is not None]
    sounder = f", sounder on pin {c.sounder.pin}" if c.sounder.pin is not None else ", no sounder"
    yield f"button on pin {c.button.pin}; lamps: {', '.join(lamps) or 'none'}{sounder}"
    if c.brokers:
        yield "alarms to " + ", ".join(f"{b.name} ({b.host}:{b.port})" for b in c.brokers) + ", all at once"
    else:
        yield "stand-alone: no control room"
    if c.endpoints:
        yield "calls to " + ", then ".join(f"{e.name} ({e.url})" for e in c.endpoints)
    if c.cameras:
        yield (
            "films "
            + ", ".join(camera.name for camera in c.cameras)
            + (f"; keeps {c.incident.pre_roll_s:g} s before and {c.incident.post_roll_s:g} s after an incident")
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
