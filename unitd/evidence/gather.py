"""What an export consists of: the span, its streams and their segments, from names and headers alone."""

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from unitd.config import Config
from unitd.errors import UNREADABLE, StoreError
from unitd.evidence.chains import Known, know
from unitd.evidence.manifest import AUDIO_STREAM
from unitd.evidence.times import instant, known_boots, parse_time
from unitd.store.boot import KERNEL_BOOT_ID, Boot
from unitd.store.footage import Footage, find_footage, segment_names
from unitd.store.locks import Lock, read_locks
from unitd.store.segment import SegmentKey

CHAIN = "record.chain"
STILLS = ".stills"
STREAM_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")
_STILL = re.compile(r"(.+)-[0-9]{1,6}\.jpg\Z")
CLOSING_S = 5.0
"""An open segment ends after `segment_s` at the next keyframe, and its line in the chain follows."""
STILL_S = 6.5
"""A file that has not grown for so long is not being written: record closes a stream that is silent after 5 to 6 s."""
LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class Order:
    """What was asked for: either `incident`, or both times. `cameras` empty: all of them. `wait` for the segment that
    is still being written."""

    incident: str = ""
    begin: str = ""
    end: str = ""
    cameras: tuple[str, ...] = ()
    by: str = ""
    wait: bool = True


@dataclass(frozen=True)
class Asked:
    """The order, understood. `span` is what the manifest says, `until` the same with an end (now, while it is open).

    `local`: the times were taken as the site's own.
    """

    incident: Lock | None
    span: Lock
    until: Lock
    streams: tuple[str, ...]
    now: Boot
    local: bool = False


@dataclass
class Gathered:
    """`footage` by stream, in order; `unreadable` files by stream; `stills` by the name they get."""

    known: Known
    footage: dict[str, list[Footage]] = field(default_factory=dict)
    unreadable: dict[str, list[str]] = field(default_factory=dict)
    stills: dict[str, Path] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)

    def unclosed(self) -> list[tuple[str, Footage]]:
        """Those that may be being written: the newest of their stream, and not in the chain."""
        last = [(stream, items[-1]) for stream, items in self.footage.items() if items]
        return [
            (stream, item)
            for stream, item in last
            if item.path.name == self.newest.get(stream) and f"{stream}/{item.path.name}" not in self.known.said
        ]


def understand(config: Config, order: Order) -> Asked:
    """Raises StoreError that says what is missing or wrong. Blocks; changes nothing."""
    state_dir, evidence_dir = Path(config.paths.state_dir), Path(config.paths.evidence_dir)
    if not state_dir.exists():
        raise StoreError(f"there is no {state_dir}: is this the unit's own configuration, and the unit's own machine?")
    names = _streams(config, evidence_dir)
    for camera in order.cameras:
        if camera not in names:
            raise StoreError(f"no camera {camera!r}; known: {', '.join(names) or 'none is configured'}")
    streams = tuple(name for name in names if not order.cameras or name in (*order.cameras, AUDIO_STREAM))
    now, local, incident = present_boot(state_dir), False, None
    if order.incident:
        incident = span = _lock(state_dir, order.incident)
    else:
        span, local = _span(config, order, streams)
    until = span
    if span.to_mono_ns is None and now.boot:
        until = msgspec.structs.replace(span, to_boot=now.boot, to_mono_ns=time.monotonic_ns())
    return Asked(incident, span, until, streams, now, local)


def gather(config: Config, asked: Asked) -> Gathered:
    """Find it all. Raises StoreError when it cannot be read, or there is no footage of a span of time; an incident
    without any (its camera was dead) has its lock, stills and logs. Blocks; reads headers only."""
    evidence_dir = Path(config.paths.evidence_dir)
    try:
        found = Gathered(know(evidence_dir / CHAIN, asked.until, frozenset(asked.streams)))
    except OSError as error:
        raise StoreError(f"record's chain cannot be read: {error.strerror}") from error
    for stream in asked.streams:
        try:
            names = segment_names(evidence_dir / stream)
            footage, unreadable = find_footage(evidence_dir / stream, asked.until, names)
        except OSError as error:
            raise StoreError(f"footage of {stream} cannot be read: {error.strerror or error}") from error
        found.footage[stream], found.newest[stream] = footage, names[-1] if names else ""
        if unreadable:
            found.unreadable[stream] = unreadable
    if not any(found.footage.values()) and (asked.incident is None or not found.known.n):
        what = f"incident {asked.incident.incident_id}" if asked.incident is not None else "that time"
        raise StoreError(f"no footage of {what} from {', '.join(asked.streams) or 'any camera'}")
    if asked.incident is not None:
        with contextlib.suppress(OSError):
            directory = evidence_dir / STILLS / asked.incident.incident_id
            for path in sorted(directory.iterdir()):
                match = _STILL.match(path.name)
                if match is not None and match[1] in asked.streams:
                    found.stills[path.name] = path
    return found


def wait_for_end(config: Config, asked: Asked, found: Gathered, say: Callable[[float], object]) -> Gathered:
    """`found` again once the segments that are being written have ended, or will not end: a recorder that is dead, or
    too slow. Blocks for `segment_s` and CLOSING_S at most; `say` gets the seconds that it has waited."""
    began_s = time.monotonic()
    limit_s = config.ring.segment_s + CLOSING_S
    still_s = max(STILL_S, 2 * config.ring.fragment_ms / 1000 + 1)
    sizes: dict[Path, tuple[int, float]] = {}
    chain = Path(config.paths.evidence_dir) / CHAIN
    length = _size(chain)
    while (waited_s := time.monotonic() - began_s) < limit_s:
        growing = False
        for _, item in found.unclosed():
            size = _size(item.path)
            known, since_s = sizes.get(item.path, (-1, 0.0))
            if size != known:
                sizes[item.path] = (size, time.monotonic())
                growing = growing or known >= 0 or _fresh(item.path)
            else:
                growing = growing or (time.monotonic() - since_s < still_s and _fresh(item.path))
        if not growing:
            return found
        say(waited_s)
        time.sleep(LOOK_EVERY_S)
        if (now := _size(chain)) != length:
            length, found = now, gather(config, asked)
    return found


def present_boot(state_dir: Path) -> Boot:
    """This boot as the unit counts it; 0 when it has not counted it, or this is another machine. Changes nothing."""
    with contextlib.suppress(OSError, *UNREADABLE):
        known = msgspec.json.decode((state_dir / "boot.json").read_bytes(), type=Boot)
        if known.boot_id == KERNEL_BOOT_ID.read_text(encoding="ascii").strip():
            return known
    return Boot("", 0)


def _streams(config: Config, evidence_dir: Path) -> list[str]:
    """The cameras of the configuration, those that were there before, and the voices."""
    names = [table.name for table in config.cameras]
    with contextlib.suppress(OSError):
        others = sorted(path.name for path in evidence_dir.iterdir() if _has_segments(path))
        names += [name for name in others if name not in names and name != AUDIO_STREAM]
    return [*names, AUDIO_STREAM]


def _has_segments(directory: Path) -> bool:
    """Whether it is a stream's: by its name as well, and open to us."""
    if not STREAM_NAME.match(directory.name):
        return False
    with contextlib.suppress(OSError):
        return any(SegmentKey.parse(path.name) for path in directory.iterdir())
    return False


def _lock(state_dir: Path, prefix: str) -> Lock:
    """The incident's lock, also when it has been released: its footage may still be there."""
    try:
        return read_locks(state_dir).named(prefix)
    except StoreError:
        released = []
        with contextlib.suppress(OSError):
            for path in (state_dir / "locks" / "released").iterdir():
                if path.name.startswith(prefix) and path.suffix == ".json":
                    with contextlib.suppress(*UNREADABLE):
                        released.append(msgspec.json.decode(path.read_bytes(), type=Lock))
        if len(released) == 1:
            return released[0]
        raise


def _span(config: Config, order: Order, streams: tuple[str, ...]) -> tuple[Lock, bool]:
    begin_us, local = parse_time(order.begin, config.site.timezone)
    end_us, also = parse_time(order.end, config.site.timezone)
    if end_us <= begin_us:
        raise StoreError(f"--to {order.end} is not after --from {order.begin}")
    boots = known_boots(config, streams)
    (from_boot, from_ns), (to_boot, to_ns) = instant(begin_us, boots), instant(end_us, boots)
    span = Lock(incident_id="", from_boot=from_boot, from_mono_ns=from_ns, to_boot=to_boot, to_mono_ns=to_ns)
    return span, local or also


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _fresh(path: Path) -> bool:
    """Whether the file was written to within the last seconds, as far as the wall clock can tell."""
    try:
        return abs(time.time() - path.stat().st_mtime) < STILL_S + CLOSING_S
    except OSError:
        return False
