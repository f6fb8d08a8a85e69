"""One far end's voice between the network's pace and the sound card's: a queue whose delay follows what is asked of it.

The delay is moved by taking out or repeating single pitch periods (waveform similarity overlap-add: W. Verhelst,
M. Roelands, ICASSP 1993), which nobody hears. The same takes up the difference between the
far end's clock and the card's.
"""

import threading
from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from unitd.call.voice.pcm import FRAME_SAMPLES, RATE_HZ

I16 = npt.NDArray[np.int16]
F32 = npt.NDArray[np.float32]

LEAST_DELAY_S, MOST_DELAY_S = 0.040, 0.5
SPARE_S = 0.25
"""More than this above the delay that is wanted is thrown away at once (an outage's backlog)."""
LESS_S, MORE_S = 0.008, 0.024
"""The delay may be so far off before anything is done: the step of a frame is 20 ms, that of a period 2.5 to 12.5. Too
little is worse than too much."""
WINDOW_FRAMES = 75
"""The fullest moment of so many frames is the delay of the quickest packet: what is in hand by design."""
REST_FRAMES = 3
"""Between two periods taken out or repeated in speech; in silence none is needed."""
FADE = RATE_HZ // 200
SHORTEST, LONGEST = RATE_HZ // 400, RATE_HZ // 80
"""Pitch periods, from 400 to 80 Hz."""
ALIKE, NEARLY_THE_SAME = 0.6, 0.9
"""Normalised correlation of a place with the one that it shall follow. The second while there is time for it."""
HURRY_S, SOON_S = 0.06, 0.04
SILENT_LEVEL = 120
FADE_OUT_FRAMES = 3
STARTS_AFRESH_FRAMES = 25
_SIGNED = np.dtype("<i2")
_RISE: F32 = np.linspace(0, 1, FADE, endpoint=False, dtype=np.float32)


class Playout:
    """Sound goes in by calling it (any thread, pieces of any length), or is drawn from where it waits, and comes out of
    `take` in frames of 20 ms.

    What is missing is filled with the last pitch period, fading within 60 ms, and counted: `gaps` (times that it ran
    dry), `concealed_frames`. `dropped_frames`: thrown away, because too much came at once. No call blocks for long.
    """

    def __init__(self, delay_s: float = LEAST_DELAY_S, is_open: bool = True) -> None:
        self._lock = threading.Lock()
        self._open = is_open
        self._target = 0
        self._samples: I16 = np.zeros(0, np.int16)
        self._played: I16 = np.zeros(LONGEST + FADE, np.int16)
        self._levels: deque[int] = deque(maxlen=WINDOW_FRAMES)
        self._flowing = False
        self._missing_frames = 0
        self._rest = 0
        self._half = b""
        self._draw: Callable[[], list[bytes]] = list
        self.gaps = 0
        self.concealed_frames = 0
        self.dropped_frames = 0
        self.periods_out = 0
        self.periods_again = 0
        self.aim(delay_s)

    # --- in ---------------------------------------------------------------------------------------------------------

    def __call__(self, pcm: bytes) -> None:
        """Add sound; thrown away while shut."""
        with self._lock:
            if not self._open:
                return
            data = self._half + pcm if self._half else pcm
            whole = len(data) & ~1
            self._half = data[whole:]
            self._samples = np.concatenate([self._samples, np.frombuffer(data, _SIGNED, whole // 2)])
            most = self._target + int(SPARE_S * RATE_HZ)
            if len(self._samples) > most:
                self._throw_away(len(self._samples) - self._target)

    def draw_from(self, draw: Callable[[], list[bytes]]) -> None:
        """Ask `draw` for more before each frame, on the thread of `take`; it may not block or raise."""
        self._draw = draw

    def aim(self, delay_s: float) -> None:
        """The delay that is wanted from now on; it is reached without a jump."""
        self._target = int(min(max(delay_s, LEAST_DELAY_S), MOST_DELAY_S) * RATE_HZ)

    def gate(self, is_open: bool) -> None:
        """Let sound in, or not; what is in hand is forgotten when it is shut."""
        with self._lock:
            self._open = is_open
            if not is_open:
                self._samples = self._samples[:0]
                self._half = b""
                self._flowing = False
                self._levels.clear()

    @property
    def delay_s(self) -> float:
        """What is in hand for the quickest packet, of the last 1.5 s; 0 while nothing flows."""
        return max(self._levels, default=0) / RATE_HZ

    # --- out --------------------------------------------------------------------------------------------------------

    def take(self) -> bytes | None:
        """The next 20 ms, or None while there is nothing to hear."""
        for pcm in self._draw():
            self(pcm)
        with self._lock:
            level = len(self._samples)
            if not self._flowing:
                if level < max(self._target, FRAME_SAMPLES):
                    return None
                self._flowing, self._missing_frames = True, FADE_OUT_FRAMES
                self._levels.clear()
            if level < FRAME_SAMPLES:
                return self._without()
            self._levels.append(level)
            frame = self._next_frame()
            if self._missing_frames:
                self._fade_in(frame)
                self._missing_frames = 0
            return self._give(frame)

    def _give(self, frame: I16) -> bytes:
        self._played = frame[-(LONGEST + FADE) :]
        return frame.astype(_SIGNED, copy=False).tobytes()

    def _next_frame(self) -> I16:
        excess_s = max(self._levels) / RATE_HZ - self._target / RATE_HZ
        self._rest = max(0, self._rest - 1)
        if not -LESS_S <= excess_s <= MORE_S and len(self._levels) > REST_FRAMES:
            made = self._moved_by_a_period(excess_s)
            if made is not None:
                return made
        frame, self._samples = self._samples[:FRAME_SAMPLES], self._samples[FRAME_SAMPLES:]
        return frame

    def _moved_by_a_period(self, excess_s: float) -> I16 | None:
        """A frame with one period less or more; None while there is no good place."""
        is_silent = int(np.abs(self._samples[:FRAME_SAMPLES]).max()) < SILENT_LEVEL
        if self._rest > 0 and not is_silent:
            return None
        alike = NEARLY_THE_SAME if 0 < excess_s < SOON_S else ALIKE
        if is_silent or abs(excess_s) > HURRY_S:
            alike = -1.0
        return self._shorter(alike) if excess_s > 0 else self._longer(alike)

    def _shorter(self, alike: float) -> I16 | None:
        """A frame with one period less."""
        if len(self._samples) < FRAME_SAMPLES + LONGEST + FADE:
            return None
        period = self._period(self._samples[:FADE], self._samples[SHORTEST : LONGEST + FADE], alike)
        if period is None:
            return None
        period += SHORTEST
        frame = self._samples[period : period + FRAME_SAMPLES].copy()
        frame[:FADE] = _cross(self._samples[:FADE], frame[:FADE])
        self._samples = self._samples[period + FRAME_SAMPLES :]
        self._moved(-period)
        self.periods_out += 1
        return frame

    def _longer(self, alike: float) -> I16 | None:
        """A frame with one period twice: from what was just played."""
        before = np.concatenate([self._played, self._samples[:FADE]])
        start = len(self._played)
        place = self._period(self._samples[:FADE], before[start - LONGEST : start - SHORTEST + FADE], alike)
        if place is None:
            return None
        period = LONGEST - place
        again = np.concatenate([self._played[-period:], self._samples])[:FRAME_SAMPLES].copy()
        again[:FADE] = _cross(self._samples[:FADE], again[:FADE])
        self._samples = self._samples[FRAME_SAMPLES - period :]
        self._moved(period)
        self.periods_again += 1
        return again

    def _moved(self, samples: int) -> None:
        self._levels = deque((level + samples for level in self._levels), maxlen=WINDOW_FRAMES)
        self._rest = REST_FRAMES

    def _period(self, like: I16, where: I16, alike: float = -1.0) -> int | None:
        """Where `where` is most like `like`; None when nowhere more than `alike`."""
        wanted, around = like.astype(np.float32), where.astype(np.float32)
        product = np.correlate(around, wanted, "valid")
        squares = np.concatenate([np.zeros(1, np.float32), np.cumsum(around**2)])
        energy = squares[FADE:] - squares[:-FADE]
        likeness = product / (np.sqrt(energy * float(wanted @ wanted)) + 1.0)
        best = int(np.argmax(likeness))
        return best if likeness[best] > alike else None

    # --- what is not there ------------------------------------------------------------------------------------------

    def _without(self) -> bytes | None:
        """A frame while there is none: what is left of the sound, then its last period again and again, fading."""
        if self._missing_frames == 0:
            self.gaps += 1
        self._missing_frames += 1
        self.concealed_frames += 1
        if self._missing_frames > FADE_OUT_FRAMES:
            if self._missing_frames > STARTS_AFRESH_FRAMES:
                self._flowing = False
            return None
        left, self._samples = self._samples, self._samples[:0]
        known = np.concatenate([self._played, left])
        place = self._period(known[-FADE:], known[-FADE - LONGEST : -SHORTEST])
        period = LONGEST - (place or 0)
        frame = np.concatenate([left, np.resize(known[-period:], FRAME_SAMPLES)])[:FRAME_SAMPLES].astype(np.float32)
        first = 1 - (self._missing_frames - 1) / FADE_OUT_FRAMES
        frame *= np.linspace(first, first - 1 / FADE_OUT_FRAMES, FRAME_SAMPLES, dtype=np.float32)
        return self._give(frame.astype(np.int16))

    def _fade_in(self, frame: I16) -> None:
        """Sound after none, or after its fading: no click."""
        frame[:FADE] = (frame[:FADE] * _RISE).astype(np.int16)

    def _throw_away(self, samples: int) -> None:
        """The oldest of what is in hand, with a soft seam."""
        self.dropped_frames += -(-samples // FRAME_SAMPLES)
        seam = _cross(self._samples[:FADE], self._samples[samples : samples + FADE])
        self._samples = self._samples[samples:].copy()
        self._samples[: len(seam)] = seam
        self._levels.clear()


def _cross(out: I16, into: I16) -> I16:
    """From one to the other, FADE samples long."""
    return (out * (1 - _RISE[: len(into)]) + into * _RISE[: len(into)]).astype(np.int16)
