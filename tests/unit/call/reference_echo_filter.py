"""The echo filter as it reads in numpy: what unitd/call/native/echo_filter.c is held against."""

import numpy as np

from unitd.call.voice.echo_filter import (
    BINS,
    BLOCK,
    C64,
    DOUBT_AT_FIRST,
    F32,
    LEARNED_BLOCKS,
    LEAST,
    LEAST_DOUBT,
    OTHERS_SMOOTHING,
    PARTS,
    SOUND,
    STAYS,
)


class ReferenceEchoFilter:
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
        self._silent_blocks = 0
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
        self._silent_blocks = 0 if far.any() else self._silent_blocks + 1
        if self._silent_blocks > PARTS:  # no echo: nothing is learned, and what was is doubted more and more
            self._doubt = STAYS**2 * self._doubt + (1 - STAYS**2) * _power(self._way)
            self._begun = False
            return near, np.zeros(BLOCK, np.float32), np.zeros(BINS, np.float32)
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
