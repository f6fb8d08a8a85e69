"""Pictures and sound in, bytes of a fragmented MP4 out; no file and no disk.

Our own, for FFmpeg's cost of a call for each picture was half of the writing thread's time (docs/benchmarks.md): here a
picture is an entry in a list until its fragment is due, and then `moof` and `mdat` are made in one go.
"""

import struct
from itertools import pairwise

from unitd.messages.media import CLOCK_RATE_HZ, AccessUnit, AudioInfo, AudioUnit, StreamInfo
from unitd.record.codec_config import avcc, hvcc, parameter_sets, split
from unitd.record.mp4_boxes import (
    FTYP,
    OTHER_FLAGS,
    SYNC_FLAGS,
    Run,
    Track,
    box,
    moof,
    moov,
    mp4v_entry,
    picture_entry,
    sound_entry,
)

FRAGMENT_LIMIT_BYTES = 2 * 1024 * 1024
"""A fragment is given out when it is this large, however short: what a writer holds in memory is bounded."""

_FIRST_GUESS_90KHZ = CLOCK_RATE_HZ // 25
_VIDEO, _AUDIO = 1, 2
_LARGEST = 2**31 - 1


class FragmentMuxer:
    """One segment. `add` returns what is to be written now: mostly nothing, and a whole fragment every `fragment_ms`.

    Codecs: h264 (as `avc1`), hevc (`hvc1`), and of what old cameras send mpeg4 and mjpeg. The first unit must be a
    keyframe with its parameter sets, or `info.extradata` has them. `header_box` is put right after `ftyp`. Times are
    taken from `dts_90khz`, which rises strictly, and begin at zero; the pictures' order of display is kept. A sound
    track is declared when `info.audio` is there. Not thread-safe; never blocks.
    """

    def __init__(self, info: StreamInfo, fragment_ms: int, header_box: bytes) -> None:
        self._info = info
        self._fragment_90khz = fragment_ms * (CLOCK_RATE_HZ // 1000)
        self._header_box: bytes | None = header_box
        self._lengths = info.codec in ("h264", "hevc")
        self._first_dts = 0
        self._parts: list[bytes] = []
        self._samples: list[tuple[int, int, int, int]] = []
        self._bytes = 0
        self._sound: list[AudioUnit] = []
        self._duration = _FIRST_GUESS_90KHZ
        self._number = 0
        self._next_sound = 0
        self.parameters: tuple[bytes, ...] = ()
        self.units = 0
        self.sounds = 0
        self.given_90khz = self.given_units = 0
        """How long, and how many, the pictures are that were given out in fragments."""

    @property
    def due_dts_90khz(self) -> int | None:
        """The time of the picture that makes a fragment due; None before the first picture."""
        if not self._samples:
            return None
        return self._samples[0][0] + self._fragment_90khz

    def fits(self, unit: AccessUnit) -> bool:
        """Whether a keyframe's parameter sets are those that this segment declares."""
        if not self._lengths or not self.units:
            return True
        declared = self.parameters
        return all(one in declared for one in parameter_sets(self._info.codec, split(unit.data)))

    def add(self, unit: AccessUnit) -> bytes:
        """Take a picture; return the bytes that became due. Raises ValueError for a first one that cannot be one."""
        data = self._begin(unit) if self._header_box is not None else b""
        samples = self._samples
        if samples:
            self._duration = max(1, unit.dts_90khz - samples[-1][0])
            if unit.dts_90khz - samples[0][0] >= self._fragment_90khz or self._bytes > FRAGMENT_LIMIT_BYTES:
                data += self._fragment(samples, unit.dts_90khz)
                self._samples = samples = []
        size = self._take(unit.data)
        shift = min(max(unit.pts_90khz - unit.dts_90khz, -_LARGEST), _LARGEST)
        samples.append((unit.dts_90khz, size, SYNC_FLAGS if unit.keyframe else OTHER_FLAGS, shift))
        self.units += 1
        return data

    def add_sound(self, unit: AudioUnit) -> None:
        """Take a piece of sound; it goes out with the fragment of the pictures around it. What is from before the
        first picture, or in a stream without a sound track, is left out."""
        if self._info.audio is not None and self.units and unit.pts_90khz >= self._first_dts:
            self._sound.append(unit)

    def flush(self) -> bytes:
        """A fragment of what is there but for the newest picture, whose length is not known yet."""
        if len(self._samples) < 2:
            return b""
        newest = self._samples[-1]
        kept = self._parts[-1:]
        self._parts = self._parts[:-1]
        data = self._fragment(self._samples[:-1], newest[0])
        self._samples, self._parts, self._bytes = [newest], kept, newest[1]
        return data

    def finish(self, next_dts_90khz: int | None = None) -> bytes:
        """A fragment of all that is there, the last one mostly; `next_dts_90khz` is when the picture after it comes, if
        that is known. More may be added all the same."""
        if not self._samples:
            return b""
        end = self._samples[-1][0] + self._duration if next_dts_90khz is None else next_dts_90khz
        data = self._fragment(self._samples, max(end, self._samples[-1][0] + 1))
        self._samples = []
        return data

    def _begin(self, unit: AccessUnit) -> bytes:
        info = self._info
        if self._lengths:
            sets = parameter_sets(info.codec, split(unit.data)) or parameter_sets(info.codec, split(info.extradata))
            if info.codec == "h264":
                entry = picture_entry(b"avc1", info.width, info.height, box(b"avcC", avcc(sets)))
            else:
                entry = picture_entry(b"hvc1", info.width, info.height, box(b"hvcC", hvcc(sets)))
            self.parameters = sets
        else:
            entry = mp4v_entry(info.codec, info.width, info.height, info.extradata)
        tracks = [Track(_VIDEO, entry, info.width, info.height)]
        if info.audio is not None:
            tracks.append(Track(_AUDIO, sound_entry(info.audio)))
        head = FTYP + (self._header_box or b"") + moov(tracks)
        self._header_box = None
        self._first_dts = unit.dts_90khz
        return head

    def _take(self, data: bytes) -> int:
        """Keep a picture's data as one part; returns its length. Of H.265 the parameter sets that the sample entry
        has are left out, as `hvc1` wants it."""
        if self._lengths:
            pieces: list[bytes] = []
            hevc = self._info.codec == "hevc"
            for unit in split(data):
                if hevc and unit in self.parameters:
                    continue
                pieces.append(len(unit).to_bytes(4, "big"))
                pieces.append(unit)
            data = b"".join(pieces)
        self._parts.append(data)
        self._bytes += len(data)
        return len(data)

    def _fragment(self, samples: list[tuple[int, int, int, int]], end_dts: int) -> bytes:
        """`moof` and `mdat` of `samples`, whose data is in `_parts`; the sound that is there goes along."""
        times = [sample[0] for sample in samples]
        times.append(end_dts)
        table = [
            (max(1, min(times[index + 1] - dts, _LARGEST)), size, flags, shift)
            for index, (dts, size, flags, shift) in enumerate(samples)
        ]
        size = sum(sample[1] for sample in samples)
        runs = [Run(_VIDEO, times[0] - self._first_dts, table, size)]
        if self._sound:
            runs.append(self._sound_run())
        self._number += 1
        head = moof(self._number, runs)
        total = 8 + sum(run.size_bytes for run in runs)
        data = b"".join([head, struct.pack(">I4s", total, b"mdat"), *self._parts, *[unit.data for unit in self._sound]])
        self.given_90khz = times[0] - self._first_dts + sum(sample[0] for sample in table)
        self.given_units += len(samples)
        self._parts, self._bytes, self._sound = [], 0, []
        return data

    def _sound_run(self) -> Run:
        sounds = self._sound
        self.sounds += len(sounds)
        return _sound_run(_AUDIO, max(sounds[0].pts_90khz - self._first_dts, 0), sounds)


class SoundMuxer:
    """A segment of sound alone, track 1 (the stream `audio`). `add` returns a whole fragment every `fragment_ms`.

    The pieces follow each other without a hole: after one, begin another segment, or the file's length lies. Times
    begin at zero. Not thread-safe; never blocks. Raises ValueError for another codec than aac.
    """

    def __init__(self, info: AudioInfo, fragment_ms: int, header_box: bytes) -> None:
        self._head = FTYP + header_box + moov([Track(_VIDEO, sound_entry(info))])
        self._fragment_90khz = fragment_ms * (CLOCK_RATE_HZ // 1000)
        self._sound: list[AudioUnit] = []
        self._first_pts: int | None = None
        self._number = 0
        self.units = 0
        self.given_90khz = 0

    def add(self, unit: AudioUnit) -> bytes:
        """Take a piece of sound; return the bytes that became due."""
        data = b""
        if self._first_pts is None:
            self._first_pts, data = unit.pts_90khz, self._head
        if self._sound and unit.pts_90khz - self._sound[0].pts_90khz >= self._fragment_90khz:
            data += self.flush()
        self._sound.append(unit)
        self.units += 1
        return data

    def flush(self) -> bytes:
        """A fragment of what is there; perhaps empty."""
        if not self._sound or self._first_pts is None:
            return b""
        run = _sound_run(_VIDEO, max(self._sound[0].pts_90khz - self._first_pts, 0), self._sound)
        self._number += 1
        head = moof(self._number, [run])
        size = struct.pack(">I4s", 8 + run.size_bytes, b"mdat")
        data = b"".join([head, size, *[unit.data for unit in self._sound]])
        self.given_90khz = run.start + sum(sample[0] for sample in run.samples)
        self._sound = []
        return data

    def finish(self) -> bytes:
        """The last fragment; empty when called again."""
        return self.flush()


def _sound_run(track: int, start: int, sounds: list[AudioUnit]) -> Run:
    """Every piece lasts until the next begins, so that a hole does not shift what comes after it."""
    table = [
        (max(1, after.pts_90khz - unit.pts_90khz), len(unit.data), SYNC_FLAGS, 0) for unit, after in pairwise(sounds)
    ]
    table.append((max(1, sounds[-1].duration_90khz), len(sounds[-1].data), SYNC_FLAGS, 0))
    return Run(track, start, table, sum(sample[1] for sample in table))
