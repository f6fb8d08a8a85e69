"""A camera's sound beside its pictures: from packets to AAC on the pictures' clock.

Its trouble never costs the picture: what cannot be understood, decoded or timed is dropped and counted.
"""

from collections.abc import Iterator

from unitd.drivers.rtp_clock import RtpClock
from unitd.drivers.rtp_sound import SoundDepacketizer
from unitd.drivers.sdp_sound import AAC_SAMPLES, Sound
from unitd.drivers.sound_clock import SoundClock
from unitd.drivers.sound_coder import SoundCoder, coded_info
from unitd.messages.media import CLOCK_RATE_HZ, AudioInfo, AudioUnit

HOLE_90KHZ = 4500
"""Sound that is off by more than this from where the last ended begins anew."""


class CameraSound:
    """One session's. Not thread-safe."""

    def __init__(self, sound: Sound, pictures: RtpClock) -> None:
        """Raises ValueError when it cannot be kept."""
        self._sound = sound
        self.info = (
            coded_info(sound) if sound.decoder else AudioInfo("aac", sound.rate_hz, sound.channels, sound.config)
        )
        self.clock = SoundClock(sound.clock_hz, pictures)
        self._packets = SoundDepacketizer(sound)
        self._coder: SoundCoder | None = None
        self._began = 0
        self._ends = 0
        self._next = -(1 << 62)
        self.dropped = 0

    def rest(self) -> None:
        """Nobody wants it for now; what comes later begins anew."""
        self._coder = None

    def push(self, packet: bytes | memoryview, arrival_ns: int) -> list[AudioUnit]:
        """The units that are whole now; their times rise. Never raises."""
        units: list[AudioUnit] = []
        for timestamp, frame in self._packets.push(packet):
            pts = self.clock.stamp(timestamp, arrival_ns)
            if pts is None:
                continue
            if not self._sound.decoder:
                duration = AAC_SAMPLES * CLOCK_RATE_HZ // self._sound.rate_hz
                self._keep(units, frame, pts, duration, arrival_ns)
                continue
            try:
                self._code(units, frame, pts, arrival_ns)
            except Exception:  # noqa: BLE001 - whatever a decoder says of what a camera sends, its pictures go on
                self.dropped += 1
                self._coder = None
        return units

    def _code(self, units: list[AudioUnit], frame: bytes, pts: int, arrival_ns: int) -> None:
        if self._coder is None or abs(pts - self._ends) > HOLE_90KHZ:
            if self._coder is not None and self._coder.samples:  # the end of what was said before the hole
                self._keep_coded(units, self._coder.finish(), arrival_ns)
            self._coder, self._began = SoundCoder(self._sound), pts
        self._keep_coded(units, self._coder.push(frame), arrival_ns)
        self._ends = self._began + self._coder.samples * CLOCK_RATE_HZ // self._sound.rate_hz

    def _keep_coded(self, units: list[AudioUnit], coded: Iterator[tuple[int, bytes]], arrival_ns: int) -> None:
        rate_hz = self._sound.rate_hz
        for sample, data in coded:
            at = self._began + sample * CLOCK_RATE_HZ // rate_hz
            self._keep(units, data, at, AAC_SAMPLES * CLOCK_RATE_HZ // rate_hz, arrival_ns)

    def _keep(self, units: list[AudioUnit], data: bytes, pts: int, duration: int, arrival_ns: int) -> None:
        if pts < self._next - duration // 4:
            self.dropped += 1  # set back: what is there already stays
            return
        self._next = pts + duration
        units.append(AudioUnit(data, pts, duration, arrival_ns))
