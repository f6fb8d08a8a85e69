"""Lays segments on one time line and joins them into MP4s that play anywhere. Copied, never transcoded.

Within a camera session pictures keep their own distance to the tick; across sessions the distance is that of their
arrival. A gap stays (the last picture stands still) up to LONGEST_GAP_S; a longer one is shortened to that, and said.
Pictures of another shape (a change of size or codec) begin another part, for no player takes both in one file.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unitd.evidence.fmp4 import Sample, Track, boxes, read_tracks
from unitd.evidence.mp4_file import MOVIE_TIMESCALE, Labels, OutTrack, Placed, write_mp4
from unitd.messages.media import CLOCK_RATE_HZ
from unitd.store.footage import Footage
from unitd.store.segment import SegmentHeader

LONGEST_GAP_S = 10.0
SOUND_SLACK_S = 0.1
"""Sound that is nearer than this to the end of what is there runs on; further off it is a gap, or comes twice."""
VIDEO, SOUND = 0, 1
_BEFORE_ALL = -(1 << 62)
"""The first picture is shown at zero; with B-frames it is decoded before."""
_LONGEST = int(LONGEST_GAP_S * CLOCK_RATE_HZ)
_VISUAL_BYTES = 8 + 78
_IGNORED = (b"btrt",)
"""A bit rate is no shape."""


@dataclass(frozen=True)
class Source:
    """A segment to be joined, wherever its bytes are now; the first `length` of them."""

    path: Path
    header: SegmentHeader
    length: int

    @classmethod
    def of(cls, footage: Footage, path: Path | None = None) -> "Source":
        return cls(path or footage.path, footage.header, footage.extent.whole_bytes)

    def tracks(self) -> dict[str, Track]:
        """By kind the first track that has samples; never kept, for those of a day would fill a small machine. Raises
        StoreError for a file that cannot be joined, OSError. Blocks."""
        found: dict[str, Track] = {}
        for track in read_tracks(self.path, self.length):
            if track.runs:
                found.setdefault(track.kind, track)
        return found


@dataclass(frozen=True)
class Anchor:
    """A segment's first picture was there at `mono_ns` of `boot`, and is at `tick` of the joined file."""

    boot: int
    mono_ns: int
    tick: int


@dataclass
class Part:
    """One file to be. `with_voices`: its sound is the incident's two voices, else the camera's own, if any."""

    video: OutTrack
    first: SegmentHeader
    sound: OutTrack | None = None
    headers: list[SegmentHeader] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)
    pictures: int = 0
    end: int = 0
    shortened: int = 0
    with_voices: bool = False

    @property
    def tracks(self) -> list[OutTrack]:
        return [self.video, *([self.sound] if self.sound is not None and self.sound.chunks else [])]

    @property
    def duration_s(self) -> float:
        return self.end / CLOCK_RATE_HZ

    def write(self, labels: Labels, write: Callable[[bytes], object]) -> None:
        """The file, piece by piece. Raises OSError. Blocks for its length."""
        write_mp4(self.tracks, labels, write)


Refused = Callable[[Source, OSError], object]
"""Is told of a file that cannot be joined, and why; the others are."""


def join(sources: Sequence[Source], voices: Sequence[Source] = (), refused: Refused = lambda *_: None) -> list[Part]:
    """The parts of one camera's `sources`, in order, each with the voices that overlap it. Blocks; reads tables."""
    parts: list[Part] = []
    line: _Line | None = None
    for source, tracks in _readable(sources, refused):
        video, own = tracks.get("vide"), tracks.get("soun")
        if video is None:
            continue
        if line is None or not line.takes(video, own):
            line = _Line(source, video)
            parts.append(line.part)
        line.add(source, video, own)
    for part in parts:
        _lay_voices(part, voices)
    return parts


def join_voices(voices: Sequence[Source], refused: Refused = lambda *_: None) -> Part | None:
    """The two voices alone: gaps as between pictures. Blocks; reads tables."""
    line: _Line | None = None
    for source, tracks in _readable(voices, refused):
        sound = tracks.get("soun")
        if sound is None:
            continue
        if line is None:
            line = _Line(source, sound)
        if line.takes(sound, None):
            line.add(source, sound, None)
    return None if line is None else line.part


def _readable(sources: Sequence[Source], refused: Refused) -> Iterator[tuple[Source, dict[str, Track]]]:
    for source in sources:
        try:
            yield source, source.tracks()
        except OSError as error:
            refused(source, error)


class _Line:
    """The time line of one part, in ticks of 90 kHz from zero. Its leading track is the first that it is given."""

    def __init__(self, source: Source, lead: Track) -> None:
        self._shape = shape(lead.entry)
        out = OutTrack(lead.kind, lead.timescale, lead.entry, lead.width, lead.height)
        if lead.kind == "vide":
            out.timescale = CLOCK_RATE_HZ
        self.part = Part(out, source.header)
        self._last_dts = _BEFORE_ALL
        self._origin: SegmentHeader | None = None
        self._base = 0

    def takes(self, lead: Track, own: Track | None) -> bool:
        """Whether samples of these shapes can be added: of pictures (or voices), and of the camera's own sound."""
        sound = self.part.sound
        same_sound = own is None or sound is None or shape(own.entry) == shape(sound.entry)
        return shape(lead.entry) == self._shape and same_sound

    def add(self, source: Source, lead: Track, own: Track | None) -> None:
        part, header = self.part, source.header
        first = next(lead.samples)
        shown = _scaled(first.dts + first.cts - lead.shift, lead.timescale)
        start = self._start(header)
        zero = start - shown
        part.headers.append(header)
        part.anchors.append(Anchor(header.boot, header.mono_ns, start))
        for run in lead.runs:
            at = zero + _scaled(run[0].dts - lead.shift, lead.timescale)
            if part.pictures and at - part.end > _LONGEST:
                part.shortened += 1
                zero -= at - part.end - _LONGEST
            self._put(source, lead, run, zero)
        if own is not None:
            if part.sound is None:
                part.sound = OutTrack("soun", own.timescale, own.entry)
            for run in own.runs:
                time = zero * own.timescale // CLOCK_RATE_HZ + run[0].dts + run[0].cts - own.shift
                lay_sound(part.sound, source.path, run, time)

    def _start(self, header: SegmentHeader) -> int:
        """Where the segment begins. Its session runs on from the one before, or is set by the time of arrival."""
        origin, end = self._origin, self.part.end
        self._origin = header
        if origin is None:
            self._base = -header.pts_90khz
        elif (header.boot, header.session) != (origin.boot, origin.session):
            ticks = (header.mono_ns - origin.mono_ns) * CLOCK_RATE_HZ // 1_000_000_000
            wanted = self._base + origin.pts_90khz + ticks if header.boot == origin.boot else end + CLOCK_RATE_HZ
            self._base = max(wanted, end) - header.pts_90khz
        gap = self._base + header.pts_90khz - end
        if self.part.pictures and gap > _LONGEST:
            self.part.shortened += 1
            self._base -= gap - _LONGEST
        return self._base + header.pts_90khz

    def _put(self, source: Source, lead: Track, run: list[Sample], zero: int) -> None:
        out, scale = self.part.video, self.part.video.timescale
        if lead.kind == "soun":
            time = zero * scale // CLOCK_RATE_HZ + run[0].dts - lead.shift
            lay_sound(out, source.path, run, time)
            self.part.pictures += len(run)
            self.part.end = out.end * CLOCK_RATE_HZ // scale
            return
        placed = []
        for sample in run:
            at = zero * scale // CLOCK_RATE_HZ + _scaled(sample.dts - lead.shift, lead.timescale, scale)
            dts = max(at, self._last_dts + 1)
            cts = _scaled(sample.cts, lead.timescale, scale)
            placed.append(Placed(sample.size, dts, cts, sample.keyframe))
            self._last_dts = dts
        out.last = max(1, _scaled(run[-1].duration, lead.timescale, scale)) if run[-1].duration else out.last or 1
        out.put(VIDEO, source.path, run[0].offset, placed)
        self._last_dts = out.dts[-1]
        self.part.end = out.end * CLOCK_RATE_HZ // scale
        self.part.pictures += len(placed)


def lay_sound(out: OutTrack, path: Path, run: list[Sample], time: int, *, whole: bool = True) -> None:
    """Put a run of sound at `time` (in its timescale), or where the one before ends; not `whole`: what would overlap
    that, or begin before zero, is left out."""
    slack = int(SOUND_SLACK_S * out.timescale)
    end = out.end
    if whole:
        time = max(time, end)
    if out.chunks and abs(time - end) <= slack:
        time = end
    placed: list[Placed] = []
    offset, shift = run[0].offset, time - run[0].dts
    for sample in run:
        at = sample.dts + shift
        if at < end and not placed:
            offset += sample.size
            continue
        placed.append(Placed(sample.size, at, 0, True))
    if placed:
        out.put(SOUND, path, offset, placed)
        out.last = max(1, run[-1].duration)


def _lay_voices(part: Part, voices: Sequence[Source]) -> None:
    """Give the part the two voices as its sound, when there are any in its time: of the one shape that comes first."""
    out: OutTrack | None = None
    for source, tracks in _readable(voices, lambda *_: None):
        track = tracks.get("soun")
        if track is None or (out is not None and shape(track.entry) != shape(out.entry)):
            continue
        first = next(track.samples)
        for run in track.runs:
            since_ns = (run[0].dts - first.dts) * 1_000_000_000 // track.timescale
            tick = _tick(part.anchors, source.header.boot, source.header.mono_ns + since_ns)
            if tick is None or tick > part.end:
                continue
            out = OutTrack("soun", track.timescale, track.entry) if out is None else out
            lay_sound(out, source.path, run, tick * track.timescale // CLOCK_RATE_HZ, whole=False)
    if out is not None and out.chunks:
        part.sound, part.with_voices = out, True


def _tick(anchors: list[Anchor], boot: int, mono_ns: int) -> int | None:
    """Where an instant is on the part's time line; in a gap that was shortened, at the latest where that ends."""
    at = bisect_right(anchors, (boot, mono_ns), key=lambda anchor: (anchor.boot, anchor.mono_ns))
    nearest = anchors[max(0, at - 1)]
    if nearest.boot != boot:
        return None
    tick = nearest.tick + (mono_ns - nearest.mono_ns) * CLOCK_RATE_HZ // 1_000_000_000
    following = anchors[at].tick if 0 < at < len(anchors) else tick
    return min(tick, following)


def shape(entry: bytes) -> bytes:
    """What must be equal for samples to be decoded by one description: the sample entry without what does not matter.
    Pure; a damaged one is its own shape."""
    size = _VISUAL_BYTES if entry[4:8] in (b"avc1", b"avc3", b"hvc1", b"hev1") else 8 + 28
    try:
        kept = [entry[at - 8 : end] for kind, at, end in boxes(entry, size) if kind not in _IGNORED]
    except ValueError:
        return entry
    if entry[4:8] == b"mp4a":
        return entry[8:size] + b"".join(_without_rates(part) for part in kept)
    return entry[4:size] + b"".join(kept)


def _without_rates(esds: bytes) -> bytes:
    """An `esds` says a bit rate too: the decoder's own bytes (tag 5) are what counts (ISO/IEC 14496-1, 7.2.6)."""
    at = max(esds.find(b"\x05\x80\x80\x80", 8), esds.find(b"\x05", 8 + 4 + 13) if b"\x80\x80" not in esds else -1)
    return esds[at:] if esds[4:8] == b"esds" and at > 0 else esds


def _scaled(time: int, timescale: int, to: int = MOVIE_TIMESCALE) -> int:
    return time if timescale == to else time * to // timescale
