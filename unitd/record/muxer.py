"""Access units in, bytes of a fragmented MP4 out; no file and no disk, so a full disk cannot upset FFmpeg.

Needs av (PyAV): measured at 1.5-1.9 times the CPU of `ffmpeg -c copy`, hash and sync included; 0.15 % overhead.
"""

from fractions import Fraction
from typing import Any

import av

from unitd.messages.media import CLOCK_RATE_HZ, AccessUnit, StreamInfo

_TICK = Fraction(1, CLOCK_RATE_HZ)
_FIRST_GUESS_90KHZ = CLOCK_RATE_HZ // 25


class _Collector:
    """A file object without `seek`, as FFmpeg's writer sees it; never raises."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self.parts)
        self.parts.clear()
        return data


class FragmentMuxer:
    """One segment. `add` returns what is to be written now: mostly nothing, and a whole fragment every `fragment_ms`.

    The first unit must be a keyframe with its parameter sets. `header_box` is put right after `ftyp`. Times are taken
    from `dts_90khz`, which rises strictly, and begin at zero. Not thread-safe; never blocks.
    """

    def __init__(self, info: StreamInfo, fragment_ms: int, header_box: bytes) -> None:
        self._collector = _Collector()
        self._container: Any = av.open(
            self._collector,
            "w",
            format="mp4",
            options={
                "movflags": "empty_moov+default_base_moof+skip_trailer",
                "frag_duration": str(fragment_ms * 1000),
                "flush_packets": "1",
            },
        )
        self._stream = self._container.add_mux_stream(info.codec, width=info.width, height=info.height)
        self._stream.time_base = _TICK
        self._header_box: bytes | None = header_box
        self._first_dts: int | None = None
        self._last_dts = 0
        self._duration = _FIRST_GUESS_90KHZ
        self.units = 0

    def add(self, unit: AccessUnit) -> bytes:
        """Take one unit and return the bytes that became due. Raises ValueError when FFmpeg refuses the unit."""
        if self._first_dts is None:
            self._first_dts = unit.dts_90khz
        else:
            self._duration = unit.dts_90khz - self._last_dts
        self._last_dts = unit.dts_90khz
        packet = av.Packet(unit.data)
        packet.time_base = _TICK
        packet.dts = unit.dts_90khz - self._first_dts
        packet.pts = unit.pts_90khz - self._first_dts
        packet.duration = self._duration
        packet.is_keyframe = unit.keyframe
        packet.stream = self._stream
        try:
            self._container.mux_one(packet)
        except av.error.FFmpegError as error:
            raise ValueError(f"the muxer refused a unit: {error.strerror}") from None
        self.units += 1
        return self._taken()

    def finish(self) -> bytes:
        """Close the segment and return its last fragment. May be called again (empty)."""
        try:
            self._container.close()
        except av.error.FFmpegError as error:
            raise ValueError(f"the muxer refused the end: {error.strerror}") from None
        return self._taken()

    def _taken(self) -> bytes:
        data = self._collector.take()
        if data and self._header_box is not None:
            ftyp_bytes = int.from_bytes(data[:4], "big")
            data = data[:ftyp_bytes] + self._header_box + data[ftyp_bytes:]
            self._header_box = None
        return data
