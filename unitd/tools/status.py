"""`unitd status`: how the unit is, in a few plain lines, as core sees it at this instant."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from unitd.config import Config
from unitd.messages.workers import Fault, Hello, Status
from unitd.tools.ask_core import converse
from unitd.tools.remedies import remedy

ANSWER_WITHIN_S = 3.0


def status(config: Config, as_json: bool = False) -> int:
    """Print core's view; 0 when core answered, whatever it said, and 1 (one line on stderr) when it did not.

    Blocks for ANSWER_WITHIN_S at most.
    """
    path = Path(config.paths.run_dir) / "core.sock"
    try:
        seen = ask(path)
    except (OSError, EOFError, ValueError, msgspec.MsgspecError) as error:
        why = str(error) or type(error).__name__
        print(
            f"unitd: core does not answer at {path} ({why}); is it running? systemctl status unitd-core",
            file=sys.stderr,
        )
        return 1
    if as_json:
        print(json.dumps(_whole(seen), indent=2, ensure_ascii=False))
    else:
        for line in lines(seen):
            print(line)
    return 0


def ask(path: Path) -> Status:
    """Get one Status from core. Raises OSError, EOFError, ValueError or msgspec's error."""
    said = converse(path, (Hello(who="status", pid=os.getpid()),), ANSWER_WITHIN_S)
    return msgspec.json.decode(said, type=Status)


def _whole(value: Any) -> Any:
    """`value` as plain data with every field, also those that the wire leaves out because they are as usual."""
    if isinstance(value, msgspec.Struct):
        return {name: _whole(getattr(value, name)) for name in value.__struct_fields__}
    return [_whole(item) for item in value] if isinstance(value, tuple) else value


def lines(s: Status) -> Iterator[str]:
    """The lines that a person reads; pure."""
    yield f"{s.unit}: {'armed' if s.armed else 'NOT ARMED'}, machine up {_long(s.uptime_s)}, clock {_clock(s.clock)}"
    if not s.brokers:
        yield "control room: none configured; this unit stands alone"
    elif s.control_room_heard and not any(s.brokers.values()):
        yield "control room: heard lately, NOT CONNECTED now; a press is kept and sent as soon as there is a way"
    elif s.control_room_heard:
        yield "control room: heard within its time"
    else:
        yield "control room: NOT HEARD; a press is still kept and sent as soon as there is a way"
    if s.brokers:
        yield "brokers: " + ", ".join(
            f"{name} {'connected' if up else 'NOT CONNECTED'}" for name, up in s.brokers.items()
        )
    if s.incident:
        yield f"incident: {s.incident.kind}, {s.incident.stage}, id {s.incident.incident_id}"
        if s.asked:
            yield f"  asked to answer: {', '.join(s.asked)}"
        if s.open_incidents > 1:
            yield f"  and {s.open_incidents - 1} more open"
    else:
        yield "incident: none"
    if s.isolated_by:
        yield f"isolated by {s.isolated_by} for {_long(s.isolated_s)} more; a press is an alarm all the same"
    if s.watched_by:
        yield f"watched by {s.watched_by} for {_long(s.watched_s)} more; the microphone is shut"
    if s.waiting_alarms:
        yield f"alarms: {s.waiting_alarms} not yet received by the control room, being sent again"
    if s.lamps:
        yield "lamps: " + ", ".join(f"{name} {level}" for name, level in s.lamps.items())
    if s.workers:
        yield "processes: " + ", ".join(f"{name} {'running' if up else 'DOWN'}" for name, up in s.workers.items())
    yield from _facts(s)
    if not s.faults:
        yield "faults: none"
    told: set[str] = set()
    for fault in s.faults:
        yield _fault(fault)
        if fault.code not in told and (todo := remedy(fault.code)):
            yield f"  -> {todo}"
        told.add(fault.code)


def _facts(s: Status) -> Iterator[str]:
    core, field = s.facts.get("core", {}), s.facts.get("field", {})
    if core.get("restarts"):
        yield f"core: restarted {core['restarts']} times since boot, last blind for {core.get('blind_ms')} ms"
    if any(key.startswith("modem.") for key in field):
        dbm = field.get("modem.signal_dbm")
        words = [f"signal {signal_words(dbm)}"] if isinstance(dbm, int | float) else []
        known = [str(field.get(f"modem.{name}") or "unknown") for name in ("registration", "operator", "technology")]
        words += [word for word in known if word != "unknown"]
        yield "modem: " + (", ".join(words) or "tells nothing now")
    if "sms.sent" in field:
        yield f"text messages: {field['sms.sent']} sent, {field.get('sms.waiting')} waiting"
    yield from _call(s.facts.get("call", {}))
    if core.get("evidence.certificate") == "missing":
        yield "evidence: signed, but nobody has certified the unit's key yet (docs/installer.md)"
    elif core.get("evidence.certificate") == "fits":
        yield "evidence: signed, and the unit's key is certified"
    record = s.facts.get("record", {})
    used = record.get("ring.used_percent")
    if isinstance(used, int | float):
        yield f"evidence ring: {used:.0f} % of its disk used"
    for key, value in record.items():
        if key.endswith(".state"):
            yield f"camera {key.removesuffix('.state')}: {value}"


def _call(call: Mapping[str, str | int | float | bool | None]) -> Iterator[str]:
    """Where the call goes and how it is, and what the horn does to the microphone."""
    if call.get("incident"):
        yield (
            f"call: {call.get('link')}, by {call['endpoint']}" if call.get("endpoint") else "call: NO ENDPOINT ANSWERS"
        )
    words = (
        ("sound.noise_dba", "street {:.0f} dB(A)"),
        ("sound.limit_dba", "horn up to {:.0f} dB(A)"),
        ("sound.echo_db", "echo {:.0f} dB down"),
    )
    known = [(text, call.get(name)) for name, text in words]
    said = [text.format(value) for text, value in known if isinstance(value, int | float)]
    if said:
        yield "sound: " + ", ".join(said)


def _fault(fault: Fault) -> str:
    subject = f" ({fault.subject})" if fault.subject else ""
    text = f": {fault.text}" if fault.text else ""
    return f"FAULT {fault.code}{subject}{text}"


def signal_words(dbm: float) -> str:
    """Signal strength in a word; bands as installers use them for LTE's RSRP (RSSI, on 2G and 3G, reads higher)."""
    bands = ((-80, "very good"), (-90, "good"), (-100, "fair"), (-110, "weak"), (-120, "very weak"))
    word = next((word for floor, word in bands if dbm >= floor), "as good as none")
    return f"{word} ({dbm:g} dBm)"


def _clock(quality: str) -> str:
    words = {"synced": "right", "held": "held since it was last right", "unknown": "NOT KNOWN TO BE RIGHT"}
    return words.get(quality, quality)


def _long(seconds: float) -> str:
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"
