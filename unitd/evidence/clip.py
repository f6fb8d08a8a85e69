"""An incident's footage of one camera as one MP4: what is uploaded, and `unitd export --output FILE.mp4`.

The same joining as the evidence directory's `view/<camera>.mp4`, from the ring itself, the open segment included.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unitd.config import Config
from unitd.errors import StoreError
from unitd.evidence.manifest import AUDIO_STREAM, BootTime
from unitd.evidence.mp4_file import Labels
from unitd.evidence.times import boot_times, iso, utc_us_of
from unitd.evidence.view import LONGEST_GAP_S, Part, Source, join
from unitd.store.clock_truth import read_truths
from unitd.store.footage import Footage, find_footage
from unitd.store.locks import Lock, read_locks
from unitd.store.segment import SegmentHeader

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Exported:
    """What was written. `parts`: how many files it would take to hold every shape of picture; one is written."""

    camera: str
    segments: int
    pictures: int
    duration_s: float
    bytes: int
    shortened_gaps: int
    unreadable: tuple[str, ...]
    parts: int = 1
    sound: str = ""


def gather(config: Config, incident: str, camera: str | None) -> tuple[Lock, str, list[Footage], list[str]]:
    """The lock, the camera and its footage. Raises StoreError with what is missing. Blocks on the disk."""
    state_dir = Path(config.paths.state_dir)
    if not state_dir.exists():
        raise StoreError(f"there is no {state_dir}: is this the unit's own configuration, and the unit's own machine?")
    lock = read_locks(state_dir).named(incident)
    known = [table.name for table in config.cameras]
    if camera is not None and camera not in known:
        raise StoreError(f"no camera {camera!r}; known: {', '.join(known) or 'none is configured'}")
    for name in known if camera is None else [camera]:
        try:
            footage, unreadable = find_footage(Path(config.paths.evidence_dir) / name, lock)
        except OSError as error:
            raise StoreError(f"footage of {name} cannot be read: {error}") from error
        if footage:
            return lock, name, footage, unreadable
    raise StoreError(f"no footage of incident {lock.incident_id} from {camera or 'any camera'}")


def write_clip(
    config: Config,
    lock: Lock,
    camera: str,
    footage: list[Footage],
    unreadable: list[str],
    output: Path,
    progress: Progress,
) -> Exported:
    """Join `footage` into `output`, which appears whole or not at all. Raises StoreError. Blocks for its length.

    When the camera changed the shape of its pictures meanwhile, the longest part is written.
    """
    part_file = output.with_name(f".{output.name}.part")
    try:
        parts = join([Source.of(item) for item in footage], [Source.of(item) for item in _voices(config, lock)])
        if not parts:
            raise StoreError(f"no picture of incident {lock.incident_id} from {camera} can be read")
        part = max(parts, key=lambda each: each.pictures)
        truths = boot_times((item.header for item in footage), read_truths(Path(config.paths.state_dir)))
        with part_file.open("wb", buffering=0) as file:

            def write(data: bytes) -> None:
                file.write(data)
                progress(len(data))

            part.write(labels(config, lock.incident_id, camera, part, truths), write)
            os.fsync(file.fileno())
        size = part_file.stat().st_size
        part_file.replace(output)
    except OSError as error:
        with contextlib.suppress(OSError):
            part_file.unlink()
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"cannot write {output}: {error.strerror or error}") from error
    sound = "" if part.sound is None else "voices" if part.with_voices else "camera"
    return Exported(
        camera, len(part.headers), part.pictures, part.duration_s, size, part.shortened, tuple(unreadable), len(parts),
        sound,
    )  # fmt: skip


def _voices(config: Config, lock: Lock) -> list[Footage]:
    try:
        return find_footage(Path(config.paths.evidence_dir) / AUDIO_STREAM, lock)[0]
    except OSError:
        return []


def labels(config: Config, incident_id: str, stream: str, part: Part, times: dict[int, BootTime]) -> Labels:
    """Title and facts for the player. The start is what core found out of that boot's clock, else it is taken from the
    segment whose clock was the best. Pure."""
    first: SegmentHeader = part.first
    time = times[first.boot]
    utc_us = utc_us_of(first.mono_ns, time)
    what = f"incident {incident_id}" if incident_id else f"footage from {iso(utc_us, 'seconds')}"
    comment = (
        f"starts {iso(utc_us)} (clock {time.clock}); {len(part.headers)} segments joined without transcoding; "
        f"gaps longer than {LONGEST_GAP_S:.0f} s shortened"
    )
    return Labels(f"{config.unit.id}, {config.site.name}: {what}, camera {stream}", comment, utc_us // 1_000_000)
