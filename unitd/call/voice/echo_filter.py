"""The linear half of the canceller: learns the way from the horn to the microphone and takes its echo out. Pure.

A partitioned-block Kalman filter in the frequency domain (Enzner and Vary, Signal Processing 86, 2006; Kuech, Mabande
and Enzner, ICASSP 2014). Its step is the Kalman gain: what the filter still does not know against what else is heard.
So it holds still by itself while the caller speaks, without a double-talk detector that can be wrong; that is why it
stands before WebRTC's own canceller, whose suppressor halves the caller's words (docs/adr/0014-echo-canceller.md).
"""

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
C64 = npt.NDArray[np.complex64]

BLOCK = 960
"""20 ms, as the card gives them: no delay of its own."""
PARTS = 20
"""400 ms: buffers of both cards, up to 250 ms, and a street's answer of 150 ms."""
BINS = int(9000 * 2 * BLOCK / 48_000) + 1
"""Up to 9 kHz, where a horn ends; above, the microphone passes as it is."""
STAYS = 0.9995
"""How much of what was learned still holds 20 ms later: people move, clocks drift by a few ppm."""
DOUBT_AT_FIRST = 1e-3
"""Variance of each coefficient before anything was heard (the whole way is some -15 to 0 dB over a few partitions)."""
OTHERS_SMOOTHING = 0.8
SOUND = 0.005
LEAST_DOUBT = 1e-6
LEARNED_BLOCKS = 250
"""5 s of sound"""
LEAST = 1e-7


class EchoFilter:
    """Blocks of BLOCK samples in -1..1: what the horn plays and what the microphone hears at the same instant of one
    clock, the horn's sound up to PARTS blocks ahead. Not thread-safe. 0.25 ms a block."""

    def __init__(self) -> None:
        self._ring = np.zeros((2 * PARTS, BINS), np.complex64)
        self._power = np.zeros((2 * PARTS, BINS), np.float32)
        self._way = np.zeros((PARTS, BINS), np.complex64)
        self._doubt = np.full((PARTS, BINS), DOUBT_AT_FIRST, np.float32)
        self._others = np.zeros(BINS, np.float32)
        self._before = np.zeros(BLOCK, np.float32)
        self._spectrum = np.zeros(BLOCK + 1, np.complex64)
        self._head = 0
        self._turn = 0
        self._begun = False
        self._learned_blocks = 0
        # Allocated once: fresh memory for each step cost as much as the step.
        self._frame = np.zeros(2 * BLOCK, np.float32)
        self._shift = np.zeros((PARTS, BINS), np.complex64)
        self._step = np.zeros((PARTS, BINS), np.float32)
        self._work = np.zeros((PARTS, BINS), np.float32)

    def doubt(self) -> None:
        """What was learned may no longer hold (a card was opened anew): learn fast again, from what is known. Where
        there was hardly an echo none is expected elsewhere: the caller is not turned down for it."""
        doubt = DOUBT_AT_FIRST
        if self._learned_blocks >= LEARNED_BLOCKS:
            loudness = float(np.mean(np.sum(_power(self._way), axis=0)))
            doubt = min(max(4 * loudness / PARTS, LEAST_DOUBT), DOUBT_AT_FIRST)
        np.maximum(self._doubt, doubt, out=self._doubt)
        self._begun = False

    @property
    def way(self) -> C64:
        """What is known of the way, by partition and bin; not to be written to."""
        return self._way

    def block(self, far: F32, near: F32) -> tuple[F32, F32, F32]:
        """The microphone's block without the echo, the echo that was found in it, and how much echo is expected to be
        left, as a power in each of BINS bins (of a spectrum over BLOCK samples)."""
        heads = self._head = (self._head - 1) % PARTS
        spectrum = np.fft.rfft(np.concatenate((self._before, far)))[:BINS].astype(np.complex64)
        self._before = far
        self._ring[heads] = self._ring[heads + PARTS] = spectrum
        self._power[heads] = self._power[heads + PARTS] = _power(spectrum)
        fars, powers = self._ring[heads : heads + PARTS], self._power[heads : heads + PARTS]

        self._spectrum[:BINS] = np.einsum("pk,pk->k", fars, self._way)
        echo = np.fft.irfft(self._spectrum)[BLOCK:].astype(np.float32)
        rest = near - echo
        self._learned_blocks += bool(np.abs(far).max(initial=0.0) > SOUND)
        self._frame[BLOCK:] = rest
        error = np.fft.rfft(self._frame)[:BINS].astype(np.complex64)
        return rest, echo, self._learn(fars, powers, error)

    def _learn(self, fars: C64, powers: F32, error: C64) -> F32:
        heard = _power(error)
        self._others = OTHERS_SMOOTHING * self._others + (1 - OTHERS_SMOOTHING) * heard if self._begun else heard
        self._begun = True
        expected = np.asarray(0.5 * np.einsum("pk,pk->k", self._doubt, powers), np.float32)
        step, work, shift = self._step, self._work, self._shift
        np.divide(self._doubt, expected + self._others + LEAST, out=step)
        np.multiply(fars, np.conj(error), out=shift)
        np.conjugate(shift, out=shift)
        shift *= step
        self._way += shift
        # Without this the filter wraps round; one partition in turn is enough (all of them: 3 times the work, +1 dB).
        self._turn = (self._turn + 1) % PARTS
        self._spectrum[:BINS] = self._way[self._turn]
        taps = np.fft.irfft(self._spectrum)
        taps[BLOCK:] = 0
        self._way[self._turn] = np.fft.rfft(taps)[:BINS]
        np.multiply(step, powers, out=work)
        work *= -0.5 * STAYS**2
        work += STAYS**2
        self._doubt *= work
        np.square(self._way.real, out=work)
        np.square(self._way.imag, out=step)
        work += step
        work *= 1 - STAYS**2
        self._doubt += work
        self._way *= STAYS
        return expected


def _power(spectrum: C64) -> F32:
    return np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)
