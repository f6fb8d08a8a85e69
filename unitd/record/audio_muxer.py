"""Sound alone in a segment, for a writer that thinks in pictures: each coded piece is one, and each a keyframe."""

from unitd.messages.media import AccessUnit, AudioInfo, AudioUnit, StreamInfo
from unitd.record.muxer import FragmentMuxer, SoundMuxer

PIECE_90KHZ = 1_920
"""1,024 samples at 48 kHz."""


class SoundOnlyMuxer:
    """SoundMuxer with FragmentMuxer's face. Not thread-safe; never blocks."""

    def __init__(self, audio: AudioInfo, fragment_ms: int, header_box: bytes) -> None:
        self._muxer = SoundMuxer(audio, fragment_ms, header_box)
        self._fragment_90khz = fragment_ms * 90
        self._first_held: int | None = None
        self.units = 0
        self.given_units = 0

    @property
    def given_90khz(self) -> int:
        return self._muxer.given_90khz

    @property
    def due_dts_90khz(self) -> int | None:
        return None if self._first_held is None else self._first_held + self._fragment_90khz

    def fits(self, unit: AccessUnit) -> bool:
        return True

    def add(self, unit: AccessUnit) -> bytes:
        data = self._muxer.add(AudioUnit(unit.data, unit.dts_90khz, PIECE_90KHZ, unit.arrival_mono_ns))
        due = self.due_dts_90khz
        if due is not None and unit.dts_90khz >= due:
            self.given_units, self._first_held = self.units, None
        if self._first_held is None:
            self._first_held = unit.dts_90khz
        self.units += 1
        return data

    def add_sound(self, unit: AudioUnit) -> None:
        """There is no second track."""

    def flush(self) -> bytes:
        self.given_units, self._first_held = self.units, None
        return self._muxer.flush()

    def finish(self, next_dts_90khz: int | None = None) -> bytes:
        return self.flush()


def muxer_of(info: StreamInfo, fragment_ms: int, header_box: bytes) -> FragmentMuxer | SoundOnlyMuxer:
    """What a segment of this stream is made with: the stream `audio` has no picture."""
    if info.audio is not None and info.codec == info.audio.codec:
        return SoundOnlyMuxer(info.audio, fragment_ms, header_box)
    return FragmentMuxer(info, fragment_ms, header_box)
