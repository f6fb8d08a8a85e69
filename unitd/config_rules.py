"""Contradictions between keys that are each well-formed, and addresses that cannot work. Pure."""

import re
import zoneinfo
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from unitd.config_rules_call import HOST, call_contradictions, host_problem
from unitd.config_words import seen
from unitd.model.hours import parse_hours
from unitd.model.sms import normal_number, number_remedy

if TYPE_CHECKING:
    from unitd.config import Config

Finding = tuple[str, str, str]
VOICES = "audio"
"""The stream of an incident's two voices: it stands beside the cameras' directories."""
_SECRET_QUERY = re.compile(r"(^|&)(token|password|passwd|pwd|secret|key|apikey|access_token)=", re.IGNORECASE)


def contradictions(c: "Config") -> Iterator[Finding]:
    """Yield (key, value seen, remedy) for each."""
    yield from _pins(c)
    yield from _button(c)
    yield from _names(c)
    yield from _addresses(c)
    yield from _paths(c)
    yield from _amounts(c)
    yield from _rooms(c)
    yield from call_contradictions(c)


def _pins(c: "Config") -> Iterator[Finding]:
    pins = {
        "button.pin": c.button.pin,
        "button.nc_pin": c.button.nc_pin,
        "lamps.yellow_pin": c.lamps.yellow_pin,
        "lamps.green_pin": c.lamps.green_pin,
        "lamps.locator_pin": c.lamps.locator_pin,
        "sounder.pin": c.sounder.pin,
    }
    owners: dict[int, str] = {}
    for key, pin in pins.items():
        if pin is not None and pin in owners:
            yield key, f"saw {pin}, which {owners[pin]} uses too", "give each its own pin"
        elif pin is not None:
            owners[pin] = key


def _button(c: "Config") -> Iterator[Finding]:
    chip = c.button.chip
    if chip != "auto" and not chip.startswith("/dev/"):
        yield "button.chip", seen(chip), 'write "auto", or a path such as /dev/gpiochip0'
    elif chip != "auto" and c.button.driver == "gpiozero":
        yield "button.chip", f"saw {chip!r}; gpiozero finds it by itself", 'write driver = "kernel", or no chip'
    if c.button.contact == "no+nc" and c.button.nc_pin is None:
        yield "button.nc_pin", "missing", 'a contact "no+nc" has two lines: name that of NC too'
    elif c.button.contact != "no+nc" and c.button.nc_pin is not None:
        yield "button.nc_pin", f"saw {c.button.nc_pin} with a contact of one line", 'write contact = "no+nc", or "none"'


def _names(c: "Config") -> Iterator[Finding]:
    for table in ("brokers", "endpoints", "cameras", "control_rooms"):
        names = [entry.name for entry in getattr(c, table)]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield f"{table}[{index}].name", f"saw {name!r} twice", "names must differ within a table"
    if c.motion is not None and c.motion.camera not in [camera.name for camera in c.cameras]:
        known = ", ".join(camera.name for camera in c.cameras) or "none is configured"
        yield "motion.camera", f"saw {c.motion.camera!r}", f"name one of the cameras ({known})"
    if (c.site.latitude is None) != (c.site.longitude is None):
        absent = "latitude" if c.site.latitude is None else "longitude"
        yield f"site.{absent}", "missing", "write both latitude and longitude, or neither"


def _addresses(c: "Config") -> Iterator[Finding]:
    for index, broker in enumerate(c.brokers):
        if not HOST.match(broker.host):
            yield (
                f"brokers[{index}].host",
                seen(broker.host),
                "write a host name or an address alone; the port has its own key",
            )
    for index, endpoint in enumerate(c.endpoints):
        scheme = "wss" if endpoint.kind == "duplex" else "https"
        yield from _url(f"endpoints[{index}].url", endpoint.url, scheme, f"a {endpoint.kind} endpoint")
        if endpoint.whep_url is not None:
            yield from _url(f"endpoints[{index}].whep_url", endpoint.whep_url, "https", "a WHEP endpoint")
    for index, camera in enumerate(c.cameras):
        yield from _url(f"cameras[{index}].main_url", camera.main_url, "rtsp", "a camera")
        if camera.sub_url is not None:
            yield from _url(f"cameras[{index}].sub_url", camera.sub_url, "rtsp", "a camera")
        if camera.password_file is not None and camera.username is None:
            yield f"cameras[{index}].username", "missing", "a password_file needs a username too"
    for index, host in enumerate(c.upload.hosts):
        if host_problem(host):
            yield (
                f"upload.hosts[{index}]",
                seen(host),
                "write a host name or an address, or host:port, without https://",
            )


def _url(key: str, url: str, scheme: str, whose: str) -> Iterator[Finding]:
    """At most one finding for one URL."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # .port raises on nonsense
    except ValueError as error:
        yield key, seen(url), f"this is no URL ({error})"
        return
    if "@" in parts.netloc:
        remedy = "a password does not belong here"
        if scheme == "rtsp":
            remedy += "; use username and password_file"
        yield key, seen(url), remedy
    elif _SECRET_QUERY.search(parts.query):
        yield key, seen(url), "a secret does not belong in a URL; name a file that holds it"
    elif parts.scheme != scheme or not host or re.search(r"\s", url):
        yield key, seen(url), f"{whose}'s URL starts with {scheme}:// and a host name"


def _rooms(c: "Config") -> Iterator[Finding]:
    """Who is asked to answer: names that exist, hours that can be read, numbers that can be dialled."""
    known = {"brokers": [each.name for each in c.brokers], "endpoints": [each.name for each in c.endpoints]}
    for index, room in enumerate(c.control_rooms):
        for key, names in known.items():
            for name in getattr(room, key):
                if name not in names:
                    there = ", ".join(names) or "none is configured"
                    yield f"control_rooms[{index}].{key}", seen(name), f"name one of the {key} ({there})"
    for index, number in enumerate(c.duty_numbers):
        if normal_number(number.number) is None:
            yield f"duty_numbers[{index}].number", seen(number.number), number_remedy(number.number)
    if c.duty_numbers and c.modem is None:
        yield "duty_numbers", f"saw {len(c.duty_numbers)}, and no [modem] to send with", "add the modem table"
    hours = {f"control_rooms[{index}]": room.hours for index, room in enumerate(c.control_rooms)}
    hours |= {f"duty_numbers[{index}]": number.hours for index, number in enumerate(c.duty_numbers)}
    hours["test_alarm"] = c.test_alarm.hours
    for table, lines in hours.items():
        for index, line in enumerate(lines):
            try:
                parse_hours(line)
            except ValueError as error:
                yield f"{table}.hours[{index}]", seen(line), str(error)
    names = [*(each.name for each in c.control_rooms), *(each.name for each in c.duty_numbers)]
    for index, number in enumerate(c.duty_numbers):
        if number.name in names[: len(c.control_rooms) + index]:
            yield (
                f"duty_numbers[{index}].name",
                f"saw {number.name!r} twice",
                "give rooms and numbers names that differ",
            )
    if not _zone_exists(c.site.timezone) and _zone_exists("Etc/UTC"):
        yield (
            "site.timezone",
            seen(c.site.timezone),
            'write a name such as "Europe/London" (timedatectl list-timezones)',
        )


def _zone_exists(name: str) -> bool:
    """Whether the system's time zones have `name`. One that is there and damaged, or a system without any, is no error
    of the configuration: a unit must start without them, and then everybody counts as on duty."""
    try:
        zoneinfo.ZoneInfo(name)
    except LookupError:
        return False
    except (OSError, ValueError):
        return bool(re.fullmatch(r"[A-Za-z0-9+_-]+(/[A-Za-z0-9+_-]+)*", name))
    return True


def _paths(c: "Config") -> Iterator[Finding]:
    named = {f"paths.{key}": getattr(c.paths, key) for key in ("state_dir", "run_dir", "evidence_dir")}
    named["clock.synchronized_file"] = c.clock.synchronized_file
    for table in ("brokers", "endpoints"):
        for index, entry in enumerate(getattr(c, table)):
            for key in ("ca_file", "cert_file", "key_file"):
                named[f"{table}[{index}].{key}"] = getattr(entry, key)
    for key in ("ca_file", "cert_file", "key_file"):
        named[f"upload.{key}"] = getattr(c.upload, key)
    for index, camera in enumerate(c.cameras):
        if camera.password_file is not None:
            named[f"cameras[{index}].password_file"] = camera.password_file
    for table in ("dome", "modem"):
        if (fitted := getattr(c, table)) is not None:
            named[f"{table}.port"] = fitted.port
    for key, path in named.items():
        if not path.startswith("/") or "\0" in path:
            yield key, seen(path), 'write a whole path, beginning with "/"'
    if c.dome is not None and c.modem is not None and c.dome.port == c.modem.port:
        yield "modem.port", f"saw {c.modem.port!r}, which dome.port uses too", "give each its own port"


def _amounts(c: "Config") -> Iterator[Finding]:
    if c.ring.low_watermark_percent >= c.ring.high_watermark_percent:
        yield (
            "ring.low_watermark_percent",
            f"saw {c.ring.low_watermark_percent:g}",
            f"it must be below high_watermark_percent ({c.ring.high_watermark_percent:g})",
        )
    if c.ring.fragment_ms > c.ring.segment_s * 1000:
        yield "ring.fragment_ms", f"saw {c.ring.fragment_ms}", "a fragment cannot be longer than a segment"
    if c.ring.sync_incident_s > c.ring.sync_idle_s:
        yield (
            "ring.sync_incident_s",
            f"saw {c.ring.sync_incident_s:g}",
            f"it must not exceed sync_idle_s ({c.ring.sync_idle_s:g})",
        )
    if c.heartbeat.silent_after_s <= c.heartbeat.period_s:
        yield "heartbeat.silent_after_s", f"saw {c.heartbeat.silent_after_s:g}", "it must exceed heartbeat.period_s"
    if c.escalation.sms_longest_pause_s < c.escalation.sms_again_s:
        yield (
            "escalation.sms_longest_pause_s",
            f"saw {c.escalation.sms_longest_pause_s:g}",
            f"it must not be below sms_again_s ({c.escalation.sms_again_s:g})",
        )
    if c.test_alarm.every_s is not None and c.test_alarm.answer_within_s >= c.test_alarm.every_s:
        yield (
            "test_alarm.answer_within_s",
            f"saw {c.test_alarm.answer_within_s:g}",
            f"it must be below every_s ({c.test_alarm.every_s:g})",
        )
    yield from _ring(c)
    yield from _closing_limit(c)


def _ring(c: "Config") -> Iterator[Finding]:
    """A ring that deletes what the next incident would begin with, or two streams in one directory."""
    fresh_s = c.incident.pre_roll_s + 60
    if c.ring.retain_days is not None and c.ring.retain_days * 86_400 <= fresh_s:
        yield (
            "ring.retain_days",
            f"saw {c.ring.retain_days:g}",
            f"the pre-roll and a minute must stay: it must exceed {fresh_s / 86_400:.4f}",
        )
    for index, camera in enumerate(c.cameras):
        if camera.name == VOICES:
            yield f"cameras[{index}].name", seen(camera.name), "the voices of an incident have that name: take another"


def _closing_limit(c: "Config") -> Iterator[Finding]:
    """An incident that closed itself before the unit has told the caller, or texted anybody, would be lost."""
    before = {"incident.still_trying_after_s": c.incident.still_trying_after_s}
    if c.duty_numbers:
        before["escalation.unreceived_sms_s"] = c.escalation.unreceived_sms_s
        before["escalation.unanswered_sms_s"] = c.escalation.unanswered_sms_s
    latest = max(before, key=before.__getitem__)
    if c.incident.close_after_s is not None and c.incident.close_after_s <= before[latest]:
        yield (
            "incident.close_after_s",
            f"saw {c.incident.close_after_s:g}",
            f"nobody would be asked any more: it must exceed {latest} ({before[latest]:g})",
        )
