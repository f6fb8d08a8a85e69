"""The caller's voice out of what the microphone hears: frames of both directions in, frames for the far end out. Pure.

    horn's frames -> a line -> at the microphone's pace -+
                                                         v
    microphone -----------------------------> EchoFilter -> module -> ResidualSuppressor -> at the network's pace

The module takes the street's noise away, and stands before the suppressor: behind it, it would take a street that is
turned down under the operator's words for a quieter one.

Time is injected with each frame. `module` may be missing or fail: then its part is left out, and `trouble` says why.
"""

import math
from collections.abc import Callable
from typing import Protocol

from unitd.call.voice.card_clock import CardClock
from unitd.call.voice.drift import DriftWatch
from unitd.call.voice.echo_filter import BLOCK, EchoFilter
from unitd.call.voice.pcm import FRAME_BYTES
from unitd.call.voice.resample import Line, Pace
from unitd.call.voice.residual import HOP, ResidualSuppressor
from unitd.call.voice.samples import Pcm, Samples, SoundSums

BEHIND = BLOCK
"""The reference is read so far behind the newest frame of the horn: callbacks tremble by some milliseconds. What is
handed to a card is heard 40 ms later at the earliest (a frame each way), so the echo is never ahead of it."""
FURTHEST_BEHIND = 10 * BLOCK
"""A server that calls in bursts has long buffers, so that there is room to be further behind; the filter has 400 ms."""
SLACK = 3 * BLOCK
SETTLED_FRAMES = 100
"""Bursts even out over 2 s: a mean that has moved since is frames that were lost."""
AHEAD_FRAMES = 3
"""So many frames in a row without a reference are no tremble."""
KEPT = 20 * BLOCK
MODULE_AGAIN_FRAMES = 500
MODULE_LATE = 333
"""Samples: what it gives lies so far behind what it gets."""
NOISE_LEFT = 0.4
"""So much passes the module by: a street that is 8 dB quieter. All of it gone would cost the words more than the street
does (STOI at the far end 0.961 with none of it left, 0.970 with 0.3, 0.978 with 0.5; behind a street 26 dB below the
caller 0.922, untouched 0.946)."""
HORN_HEARD = 0.005
"""-46 dB of full scale"""


class VoiceModule(Protocol):
    """What drivers offer (WebRTC's audio processing): 10 ms at a time; raises DeviceError."""

    def process(self, pcm: bytes) -> bytes: ...


class Canceller:
    """See the module. Not thread-safe. `make_module` is called at the first frame, and again 10 s after a failure."""

    def __init__(self, make_module: Callable[[], VoiceModule] | None) -> None:
        self._make_module = make_module
        self._module: VoiceModule | None = None
        self._module_in = 0
        self._passing = Samples(MODULE_LATE)
        self._quiet = Samples(BLOCK)
        self.trouble = ""
        self.horn_clock = CardClock()
        self.mic_clock = CardClock()
        self._horn = Line(KEPT)
        self._read_at: float | None = None
        self._filter = EchoFilter()
        self._drift = DriftWatch()
        self._residual = ResidualSuppressor()
        self._pace = Pace(BLOCK)
        self._behind: float = BEHIND
        self._lead = self._settled = 0.0
        self._since = 0
        self._ahead = 0
        self.slips = 0
        self._late = Samples(BLOCK + HOP)
        self._late_parts = (self._late.all[:HOP], self._late.all[BLOCK:], self._late.all[HOP:])
        self._pcm = Pcm(BLOCK)
        self._sums = SoundSums()
        self._heard_power = self._left_power = 0.0

    @property
    def drift_ppm(self) -> float:
        """How much faster the horn's card runs than the microphone's."""
        return self._drift.ppm

    @property
    def echo_taken_db(self) -> float | None:
        """By how much what the microphone hears while the horn plays is louder than what is left of it (caller and
        street included, so it is no measure in double talk); None before the horn was heard."""
        heard, left = self._heard_power, self._left_power
        return 10 * math.log10(heard / left) if heard > 0 and left > 0 else None

    def far(self, pcm: bytes, at_ns: int) -> None:
        """A frame that the horn's card took at `at_ns`."""
        self.horn_clock.callback(len(pcm) // 2, at_ns)
        self._horn.write_pcm(pcm)

    def near(self, pcm: bytes, at_ns: int) -> list[bytes]:
        """A frame that the microphone's card gave at `at_ns`; returns what is ready for the far end, of 20 ms each."""
        self.mic_clock.callback(len(pcm) // 2, at_ns)
        found = self._filter
        self._pcm.read(pcm, found.near)
        self._reference(found.far)
        found.run()
        is_heard = found.far_peak > HORN_HEARD
        if self._drift.is_due(is_heard):
            self._drift.look(found.way)
        # The module is 11 ms late: so is the echo that belongs to what it gives.
        first, last, later = self._late_parts
        first[:] = last
        later[:] = found.echo.all
        self._residual.run(self._through_module(found.rest), self._late, found.expected)
        clean = self._residual.out
        if is_heard:
            energy = self._sums.energy
            self._heard_power += 0.02 * (energy(found.near.at, BLOCK) / BLOCK - self._heard_power)
            self._left_power += 0.02 * (energy(clean.at, BLOCK) / BLOCK - self._left_power)
        return [self._pcm.made(frame) for frame in self._pace.put(clean.all, 1 + self.mic_clock.ppm * 1e-6)]

    def opened_anew(self, *, microphone: bool) -> None:
        """A card was opened again: its delay is another one, and no sound of before is given out."""
        (self.mic_clock if microphone else self.horn_clock).restart()
        self._read_at = None
        self._filter.doubt()
        self._drift.forget()
        if microphone:
            self._residual = ResidualSuppressor()
            self._pace = Pace(BLOCK)

    def _reference(self, into: Samples) -> None:
        """The horn's sound for this frame of the microphone."""
        if self._drift.callbacks_say(self.horn_clock.ppm - self.mic_clock.ppm):
            self._filter.doubt()
        step = 1 + self._drift.ppm * 1e-6
        if self._read_at is None:
            self._anchor(0.0)
        assert self._read_at is not None  # noqa: S101 - for the type checker
        lead = self._horn.written - BLOCK - self._read_at
        self._ahead = self._ahead + 1 if lead < 0 else 0
        self._lead += 0.02 * (lead - self._lead)
        self._since += 1
        if self._since == SETTLED_FRAMES:
            self._settled = self._lead
        if self._ahead >= AHEAD_FRAMES:
            self._behind = min(self._behind - BLOCK * float(lead // BLOCK), FURTHEST_BEHIND)
            self._anchor(self._horn.written - BLOCK - self._behind)
        elif self._since > SETTLED_FRAMES and abs(self._lead - self._settled) > SLACK:
            # Frames were lost on one side: the echo is elsewhere by as much.
            self._anchor(self._read_at + self._lead - self._settled)
        first, self._read_at = self._read_at, self._read_at + step * BLOCK
        self._horn.read_into(first, step, into)

    def _anchor(self, at: float) -> None:
        """Read the horn's sound from here on; nothing that is known of the echo's place holds."""
        if self._read_at is None:
            at = float(self._horn.written - BLOCK - self._behind)
        else:
            self.slips += 1
        self._read_at = at
        self._lead = self._horn.written - BLOCK - at
        self._since = self._ahead = 0
        self._filter.doubt()
        self._drift.forget()

    def _through_module(self, clean: Samples) -> Samples:
        if self._make_module is None:
            return clean
        if self._module is None and self._module_in <= 0:
            try:
                self._module = self._make_module()
                self.trouble = ""
            except Exception as error:  # noqa: BLE001 - a canceller without it is still one
                self._failed(error)
        self._module_in -= 1
        if self._module is None:
            return clean
        pcm = self._pcm.made(clean)
        try:
            half = FRAME_BYTES // 2
            quiet = self._module.process(pcm[:half]) + self._module.process(pcm[half:])
            if len(quiet) != FRAME_BYTES:
                raise ValueError(f"the voice module gave {len(quiet)} bytes for {FRAME_BYTES}")
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
            return clean
        self._sums.passed(quiet, clean.at, self._passing.at, MODULE_LATE, NOISE_LEFT, self._quiet.at, BLOCK)
        return self._quiet

    def _failed(self, error: Exception) -> None:
        self._module, self._module_in, self.trouble = None, MODULE_AGAIN_FRAMES, str(error) or repr(error)
