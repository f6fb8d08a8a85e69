"""`unitd locks`, `unitd release`, `unitd close`: the footage that is kept, and an authorised person's word about it."""

import contextlib
import datetime
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from unitd.config import Config
from unitd.errors import StoreError
from unitd.messages.workers import CloseIncident, Outcome, ReleaseLock
from unitd.model.clock import is_wrong, true_utc_us
from unitd.store.clock_truth import read_truths
from unitd.store.locks import Lock, read_locks
from unitd.tools.ask_core import ask_core

OUTCOMES: tuple[Outcome, ...] = ("genuine", "hoax", "test", "fault", "unknown")


def locks(config: Config, as_json: bool = False) -> int:
    """List what is kept, oldest first; exit status 1 when a lock cannot be read. Works with or without core."""
    state_dir = Path(config.paths.state_dir)
    if not state_dir.exists():
        raise StoreError(f"there is no {state_dir}: is this the unit's own configuration, and the unit's own machine?")
    found, truths = read_locks(state_dir), read_truths(state_dir)
    ordered = sorted(found.locks, key=lambda lock: (lock.from_boot, lock.from_mono_ns))
    if as_json:
        rows = [_row(lock, truths) for lock in ordered]
        print(json.dumps({"locks": rows, "unreadable": list(found.unreadable)}, indent=2, ensure_ascii=False))
    else:
        if ordered or not found.unreadable:
            for line in _lines(ordered, truths, time.time_ns() // 1000):
                print(line)
        for why in found.unreadable:
            print(f"cannot be read, and so keeps everything: {why}")
    return 1 if found.unreadable else 0


def release(config: Config, incident: str, by: str, reason: str) -> int:
    """Let an incident's footage go, on the record. Raises UnitdError with why not. Blocks for some seconds."""
    if not by.strip() or len(reason.strip()) < 3:
        raise StoreError("a release is put on the record: --by needs a name, and --reason three letters or more")
    incident_id = _full_id(config, incident)
    reply = ask_core(Path(config.paths.run_dir), ReleaseLock(incident_id=incident_id, by=by, reason=reason))
    if reply.error:
        raise StoreError(f"{incident_id} is not released: {reply.error}")
    print(f"{incident_id} is released: its footage goes with age or for room, like any other")
    return 0


def close(config: Config, incident: str, by: str, outcome: Outcome, note: str) -> int:
    """End an incident at the unit itself. Raises UnitdError with why not."""
    incident_id = _full_id(config, incident)
    request = CloseIncident(incident_id=incident_id, by=by, outcome=outcome, note=note)
    reply = ask_core(Path(config.paths.run_dir), request)
    if reply.error:
        raise StoreError(f"{incident_id} is not closed: {reply.error}")
    print(f"{incident_id} is closed as {outcome}; {config.incident.post_roll_s:g} s more are recorded for it")
    return 0


def _full_id(config: Config, prefix: str) -> str:
    """The incident that is meant. A lock that cannot be read goes by its file's name."""
    state_dir = Path(config.paths.state_dir)
    try:
        return read_locks(state_dir).named(prefix).incident_id
    except StoreError:
        with contextlib.suppress(OSError):  # of who may not look there
            if (state_dir / "locks" / f"{Path(prefix).name}.json").exists():
                return prefix
        raise


def _row(lock: Lock, truths: dict[int, int]) -> dict[str, Any]:
    utc_us, clock = _raised(lock, truths)
    fields: dict[str, Any] = msgspec.to_builtins(lock)
    return fields | {
        "raised_utc_us": utc_us, "clock": clock, "open": lock.to_mono_ns is None,
        "review_due": lock.review_utc_us is not None and lock.review_utc_us <= time.time_ns() // 1000,
    }  # fmt: skip


def _lines(found: list[Lock], truths: dict[int, int], now_us: int) -> Iterator[str]:
    if not found:
        yield "nothing is kept: no incident has been recorded, or all have been released"
        return
    for lock in found:
        utc_us, clock = _raised(lock, truths)
        when = _time(utc_us) + (" (clock not set)" if clock == "unknown" else "")
        what = f"{lock.kind or 'incident'}, {lock.outcome or _stands(lock)}"
        yield f"{lock.incident_id}  {when}  {what}, {_review(lock, now_us)}"
    due = sum(lock.review_utc_us is not None and lock.review_utc_us <= now_us for lock in found)
    hoaxes = sum(lock.outcome == "hoax" for lock in found)
    yield f"{len(found)} kept, {hoaxes} of them hoaxes, {due} to be looked at now; unitd release lets one go"


def _stands(lock: Lock) -> str:
    return "open" if lock.to_mono_ns is None else "outcome not told"


def _review(lock: Lock, now_us: int) -> str:
    if lock.to_mono_ns is None:
        return "being recorded"
    if lock.review_utc_us is None:
        return "to be looked at (date not known)"
    word = "was to be looked at by" if lock.review_utc_us <= now_us else "to be looked at by"
    return f"{word} {_time(lock.review_utc_us)[:10]}"


def _raised(lock: Lock, truths: dict[int, int]) -> tuple[int, str]:
    """When the incident was raised, as it is known now. The lock begins a pre-roll before it."""
    truth_us = truths.get(lock.from_boot)
    if truth_us is None or not (lock.clock == "unknown" or is_wrong(lock.from_mono_ns, lock.raised_utc_us, truth_us)):
        return lock.raised_utc_us, lock.clock
    if lock.clock != "unknown" and abs(lock.raised_utc_us - true_utc_us(lock.from_mono_ns, truth_us)) < 600_000_000:
        return lock.raised_utc_us, lock.clock  # it is the pre-roll that lies between
    return true_utc_us(lock.from_mono_ns, truth_us), "corrected"


def _time(utc_us: int) -> str:
    try:
        at = datetime.datetime.fromtimestamp(utc_us / 1e6, datetime.UTC)
    except (OverflowError, OSError, ValueError):
        return "at an unknown time"
    return at.isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")
