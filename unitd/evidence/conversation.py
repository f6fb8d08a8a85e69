"""`conversation.txt` of an evidence directory: what was typed and said at the pole in an incident, for people.

It is made of the lines of core's chain, which go with it (`chain/core.jsonl`) and are what counts.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unitd.config import Config
from unitd.evidence.chains import first_core_n
from unitd.evidence.gather import Asked
from unitd.evidence.manifest import CONVERSATION, BootTime, EvidenceFile
from unitd.evidence.times import for_people, utc_us_of
from unitd.evidence.workdir import WorkDir
from unitd.store.chain_read import read_lines

LONGEST = 2000
_HEAD = "What was typed and said on the loudspeaker, from chain/core.jsonl. Speech of the two voices is in audio/.\n\n"


def conversation_file(
    work: WorkDir, chain: Path, asked: Asked, times: dict[int, BootTime], config: Config
) -> list[EvidenceFile]:
    """Put the file into `work`, where an incident was asked for that has anything to tell. Raises OSError. Blocks."""
    if asked.incident is None:
        return []
    incident_id = asked.incident.incident_id
    data = conversation(chain, first_core_n(chain, incident_id, asked.span), incident_id, times, config.site.timezone)
    if data is None:
        return []
    size, digest = work.put(CONVERSATION, data)
    return [EvidenceFile(path=CONVERSATION, bytes=size, sha256=digest, kind="readme")]


def conversation(chain: Path, from_n: int, incident_id: str, times: dict[int, BootTime], zone: str) -> bytes | None:
    """The file's bytes, oldest line first; None when nothing was typed, ordered to be said or noted. Raises OSError.
    Blocks; reads core's chain from `from_n` on."""
    said = [
        f"{_when(line.record, times, zone)}  {words}"
        for line in read_lines(chain, from_n)
        if line.record.get("incident_id") == incident_id
        for words in _words(line.record)
    ]
    return (_HEAD + "\n".join(said) + "\n").encode() if said else None


def _words(record: dict[str, Any]) -> Iterator[str]:
    kind, event = record.get("kind"), record.get("event")
    if kind == "call" and event == "text":
        who = "caller" if record.get("from") == "caller" else f"operator {_plain(record.get('by'))}".strip()
        yield f"{who}: {_plain(record.get('words'))}"
    elif kind == "call" and event == "spoken":
        yield f"loudspeaker said ({_plain(record.get('language'))}): {_plain(record.get('words'))}"
    elif kind == "call" and event == "speak_failed":
        yield f"loudspeaker could NOT say: {_plain(record.get('words'))}"
    elif kind == "call" and event == "warning_played":
        yield f"loudspeaker played the warning {_plain(record.get('name'))}"
    elif kind == "command" and record.get("result") == "done":
        yield from _ordered(record)


def _ordered(record: dict[str, Any]) -> Iterator[str]:
    try:
        detail = json.loads(str(record.get("detail")))
    except (ValueError, RecursionError):
        return
    if not isinstance(detail, dict):
        return
    by = _plain(record.get("by"))
    match record.get("cmd"):
        case "send_text":
            yield f"operator {by}: {_plain(detail.get('text'))}"
        case "hand_over":
            yield f"operator {by} handed over to {_plain(detail.get('room'))}: {_plain(detail.get('note'))}"
        case "close" | "close_incident":
            yield f"operator {by} closed it as {_plain(detail.get('outcome'))}: {_plain(detail.get('note'))}"


def _plain(value: object) -> str:
    """As one line of a text file: nothing in it turns, breaks or hides a line."""
    text = value if isinstance(value, str) else ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text[:LONGEST]).split())


def _when(record: dict[str, Any], times: dict[int, BootTime], zone: str) -> str:
    at_ns, boot = record.get("at_mono_ns", record.get("mono_ns")), record.get("boot")
    if not isinstance(at_ns, int) or not isinstance(boot, int):
        return "at an unknown time"
    if boot not in times:
        return f"{at_ns / 1e9:.1f} s after start {boot}"
    return for_people(utc_us_of(at_ns, times[boot]), zone)
