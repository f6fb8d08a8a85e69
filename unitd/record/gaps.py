"""Where nothing was recorded, for the chain: a stream's silence is stated, so that nobody has to explain it later."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

from unitd.errors import StoreError
from unitd.store.chain import Field
from unitd.store.index import list_names, unpacked
from unitd.store.segment import SegmentKey, end_mono_ns, measure, read_header

GAP_S = 1.0
"""A hole up to this is a camera's own unsteadiness."""

LOST_AFTER_S = 3.0
"""From so long a silence on a camera was lost, before that it stalled: as its faults are called."""

Why = Literal["camera_lost", "camera_stalled", "killed", "stopped", "disk", "dropped"]


class End(NamedTuple):
    """Where a stream's footage ends: an instant of a boot. `why` is what ended it, where that is known."""

    boot: int
    mono_ns: int
    why: Why | None = None


def gap(camera: str, end: End, boot: int, mono_ns: int, why: Why) -> tuple[str, dict[str, Field]] | None:
    """The line of the chain for what is missing from `end` until now; None when that is nothing worth a line.

    Across boots there is always a line: how long the unit was off is not known.
    """
    if end.boot == boot and mono_ns - end.mono_ns <= GAP_S * 1e9:
        return None
    fields: dict[str, Field] = {
        "camera": camera,
        "from_boot": end.boot,
        "from_mono_ns": end.mono_ns,
        "to_boot": boot,
        "to_mono_ns": mono_ns,
        "why": end.why or why,
    }
    return "gap", fields


def camera_why(end: End, mono_ns: int) -> Why:
    """What the camera's silence is called."""
    return "camera_lost" if mono_ns - end.mono_ns > LOST_AFTER_S * 1e9 else "camera_stalled"


def end_before(directory: Path, key: SegmentKey, recent: list[dict[str, Any]]) -> End | None:
    """Where the footage of an earlier life ends: with the last whole fragment before `key`; None when there is none.

    `recent` is the end of the chain as it was at this start: a last file that it does not name as closed was cut by a
    kill or a power cut. Raises OSError. Blocks: lists the directory.
    """
    for number in reversed(list_names(directory)):  # not as keys: a writer waits, and there may be 100,000
        before = unpacked(number)
        if before >= key:
            continue
        path = directory / before.file_name
        try:
            header, extent = read_header(path), measure(path)
        except (StoreError, FileNotFoundError):
            continue
        if extent.fragments:
            name = f"{directory.name}/{path.name}"
            closed = any(line.get("kind") == "segment" and line.get("file") == name for line in recent)
            return End(before.boot, end_mono_ns(header, extent), "stopped" if closed else "killed")
    return None
