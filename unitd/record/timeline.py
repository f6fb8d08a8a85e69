"""A camera's times made fit for a file: what jumps gets a time of its own instead of a duration that lies. Pure."""

from dataclasses import replace

from unitd.messages.media import CLOCK_RATE_HZ, AccessUnit, AudioUnit

JUMP_90KHZ = 10 * CLOCK_RATE_HZ
"""A step beyond this, or one back, is no length of a picture: the camera's clock was set."""


class Timeline:
    """One stream's times from its driver in, rising ones out. Not thread-safe.

    After a jump pictures go on with the time of their arrival, and `broken` says that the next segment has to begin
    afresh; `rebase` does that, at a keyframe. No picture is left out for its time.
    """

    def __init__(self) -> None:
        self.offset_90khz = 0
        self._last: tuple[int, int] | None = None
        self.broken = False
        self.jumps = 0

    def rebase(self) -> None:
        """The next picture's own time counts."""
        self.offset_90khz, self._last, self.broken = 0, None, False

    def place(self, unit: AccessUnit) -> AccessUnit:
        dts = unit.dts_90khz + self.offset_90khz
        if self._last is not None and not 0 < dts - self._last[0] <= JUMP_90KHZ:
            before, arrival_ns = self._last
            step = min(max((unit.arrival_mono_ns - arrival_ns) * 9 // 100_000, 1), JUMP_90KHZ)
            self.offset_90khz += before + step - dts
            dts = before + step
            self.broken = True
            self.jumps += 1
        self._last = dts, unit.arrival_mono_ns
        if not self.offset_90khz:
            return unit
        return replace(unit, dts_90khz=dts, pts_90khz=unit.pts_90khz + self.offset_90khz)

    def place_sound(self, unit: AudioUnit) -> AudioUnit:
        """Sound is shifted as its pictures are."""
        return replace(unit, pts_90khz=unit.pts_90khz + self.offset_90khz) if self.offset_90khz else unit
