"""`unitd export`: an incident's footage of one camera as one MP4 that plays anywhere. Copied, never transcoded.

Within a camera session pictures keep their own distance to the tick; across sessions the distance is that of their
arrival. A gap stays (the last picture stands still) up to LONGEST_GAP_S; a longer one is shortened to that, and said.
"""

import contextlib
import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from unitd.config import Config
from unitd.errors import StoreError
from unitd.messages.media import CLOCK_RATE_HZ
from unitd.model.clock import is_wrong, true_utc_us
from unitd.store.clock_truth import read_truths
from unitd.store.footage import Footage, find_footage
from unitd.store.locks import Lock, read_locks
from unitd.store.segment import SegmentHeader

LONGEST_GAP_S = 10.0
_TICK = Fraction(1, CLOCK_RATE_HZ)
_QUALITY = {"synced": 2, "held": 1, "unknown": 0}

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Exported:
    """What was written."""

    camera: str
    segments: int
    pictures: int
    duration_s: float
    bytes: int
    shortened_gaps: int
    unreadable: tuple[str, ...]


def export(config: Config, incident: str, camera: str | None, output: Path) -> int:
    """The command: write `output`, with progress on a terminal, and say what was written; returns the exit status.

    Raises StoreError, one line, when there is nothing to export or it cannot be written.
    """
    from tqdm import tqdm

    tqdm.monitor_interval = 0
    lock, name, footage, unreadable = gather(config, incident, camera)
    total = sum(item.extent.whole_bytes for item in footage)
    with tqdm(total=total, unit="B", unit_scale=True, desc=f"export {name}", leave=False, disable=None) as bar:
        done = write_clip(config, lock, name, footage, unreadable, output, bar.update)
    print(f"{output}: camera {done.camera}, {done.duration_s:.1f} s, {done.pictures} pictures, {done.bytes} bytes")
    if done.shortened_gaps:
        print(f"{done.shortened_gaps} gap(s) longer than {LONGEST_GAP_S:.0f} s are shortened to that")
    if done.unreadable:
        print(f"left out, unreadable: {', '.join(done.unreadable)}")
    return 0


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
    """Join `footage` into `output`, which appears whole or not at all. Raises StoreError. Blocks for its length."""
    import av

    part = output.with_name(f".{output.name}.part")
    try:
        with contextlib.ExitStack() as stack:
            clip: Any = stack.enter_context(
                av.open(str(part), "w", format="mp4", options={"movflags": "faststart+use_metadata_tags"})
            )
            clip.metadata.update(_labels(config, lock, camera, footage))
            joiner = _Joiner(clip)
            for item in footage:
                joiner.add(item)
                progress(item.extent.whole_bytes)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        size = part.stat().st_size
        part.replace(output)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(f"cannot write {output}: {reason}") from error
    return Exported(
        camera, len(footage), joiner.pictures, joiner.end * float(_TICK), size, joiner.shortened, tuple(unreadable)
    )


class _Joiner:
    """Lays the pictures of one segment after another on one time line of 90 kHz ticks, from zero."""

    def __init__(self, clip: Any) -> None:
        self._clip = clip
        self._stream: Any = None
        self._origin: SegmentHeader | None = None
        self._base = 0
        self._last_dts = -1
        self._step = CLOCK_RATE_HZ // 25
        self.pictures = 0
        self.end = 0
        self.shortened = 0

    def add(self, item: Footage) -> None:
        import av

        with av.open(str(item.path)) as source:
            video = source.streams.video[0]
            if self._stream is None:
                self._stream = self._clip.add_stream_from_template(video)
                self._stream.time_base = _TICK
            start = self._start(item.header)
            for packet in source.demux(video):
                if packet.size and packet.dts is not None:
                    self._put(packet, start)

    def _start(self, header: SegmentHeader) -> int:
        """Where the segment begins. Its session runs on from the one before, or is set by the time of arrival."""
        origin = self._origin
        self._origin = header
        if origin is None:
            self._base = -header.pts_90khz
        elif (header.boot, header.session) != (origin.boot, origin.session):
            ticks = (header.mono_ns - origin.mono_ns) * CLOCK_RATE_HZ // 1_000_000_000
            same_boot = header.boot == origin.boot
            wanted = self._base + origin.pts_90khz + ticks if same_boot else self.end + CLOCK_RATE_HZ
            self._base = max(wanted, self.end) - header.pts_90khz
        gap = self._base + header.pts_90khz - self.end
        longest = int(LONGEST_GAP_S * CLOCK_RATE_HZ)
        if self.pictures and gap > longest:
            self.shortened += 1
            self._base -= gap - longest
        return self._base + header.pts_90khz

    def _put(self, packet: Any, start: int) -> None:
        scale = packet.time_base / _TICK
        offset = int((packet.pts - packet.dts) * scale) if packet.pts is not None else 0
        dts = max(start + int(packet.dts * scale), self._last_dts + 1)
        if packet.duration:
            self._step = int(packet.duration * scale)
        packet.time_base = _TICK
        packet.dts, packet.pts, packet.duration = dts, dts + max(0, offset), self._step
        packet.stream = self._stream
        self._clip.mux_one(packet)
        self._last_dts, self.end = dts, dts + self._step
        self.pictures += 1


def _labels(config: Config, lock: Lock, camera: str, footage: list[Footage]) -> dict[str, str]:
    """Title and facts as MP4 metadata. The start is what core found out of that boot's clock, else it is taken from the
    segment whose clock was the best."""
    first = footage[0].header
    same_boot = [item.header for item in footage if item.header.boot == first.boot]
    best = max(same_boot, key=lambda header: _QUALITY[header.clock])
    utc_us, clock = best.utc_us - (best.mono_ns - first.mono_ns) // 1000, str(best.clock)
    truth_us = read_truths(Path(config.paths.state_dir)).get(first.boot)
    if truth_us is not None and (clock == "unknown" or is_wrong(first.mono_ns, utc_us, truth_us)):
        utc_us, clock = true_utc_us(first.mono_ns, truth_us), "corrected afterwards"
    start = datetime.datetime.fromtimestamp(utc_us / 1e6, datetime.UTC).isoformat(timespec="milliseconds")
    return {
        "title": f"{config.unit.id}, {config.site.name}: incident {lock.incident_id}, camera {camera}",
        "comment": f"starts {start} (clock {clock}); {len(footage)} segments joined without transcoding; "
        f"gaps longer than {LONGEST_GAP_S:.0f} s shortened",
        "creation_time": start,
        "unit": config.unit.id,
        "site": config.site.name,
        "incident": lock.incident_id,
        "camera": camera,
    }
