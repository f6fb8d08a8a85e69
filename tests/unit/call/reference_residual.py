"""The residual suppressor as it reads in numpy: what unitd/call/native/residual.c is held against."""

import numpy as np

from unitd.call.voice.residual import (
    CLOSE,
    ECHO_HEARD,
    ECHO_RINGS,
    EDGES,
    EXPECTED,
    F32,
    FRAME,
    HOP,
    LEAK_AT_FIRST,
    LEAK_DOWN,
    LEAK_UP,
    LEAST_LEAK,
    LEAST_NOISE,
    LOWEST_GAIN,
    NOISE_AT_FIRST,
    NOISE_DOWN,
    NOISE_UP,
    OPEN_AT_ONCE,
    OVER,
)


class ReferenceSuppressor:
    def __init__(self) -> None:
        self._window = np.sqrt(np.hanning(FRAME + 1)[:FRAME]).astype(np.float32)
        self._said = np.zeros(3 * HOP, np.float32)
        self._found = np.zeros(3 * HOP, np.float32)
        self._frames = np.zeros((4, FRAME), np.float32)
        self._tail = np.zeros(HOP, np.float32)
        bands = len(EDGES) - 1
        self._leak = np.full(bands, LEAK_AT_FIRST, np.float32)
        self._noise = np.full(bands, NOISE_AT_FIRST, np.float32)
        self._rests = np.zeros(bands, np.float32)
        self._echos = np.zeros(bands, np.float32)
        self._gain = np.ones(bands, np.float32)
        self._expected = np.zeros(bands, np.float32)
        self._widths = np.diff(EDGES)

    def expect(self, power: F32) -> None:
        """How much echo the filter expects to have left, by bins of 25 Hz over 20 ms: it has not learned for long."""
        held = np.zeros(2 * EDGES[-1], np.float32)
        held[: len(power)] = power
        # Half: a window of 20 ms instead of none; half again: two bins there are one here.
        self._expected = np.add.reduceat(0.25 * (held[0::2] + held[1::2]), EDGES[:-1]).astype(np.float32)

    def block(self, rest: F32, echo: F32) -> F32:
        """The next 2 * HOP samples of the filter's output and of the echo it found: two hops, transformed at once."""
        said, found = self._said, self._found
        said[:HOP], found[:HOP] = said[-HOP:], found[-HOP:]
        said[HOP:], found[HOP:] = rest, echo
        frames = self._frames
        for index, whole in enumerate((said, found)):
            np.multiply(whole[:FRAME], self._window, out=frames[2 * index])
            np.multiply(whole[HOP:], self._window, out=frames[2 * index + 1])
        spectra = np.fft.rfft(frames)
        powers = np.add.reduceat(spectra.real**2 + spectra.imag**2, EDGES[:-1], axis=1)
        for hop in (0, 1):
            spectra[hop] *= np.repeat(self._gains(powers[hop], powers[2 + hop]), self._widths)
        wholes = np.fft.irfft(spectra[:2]) * self._window
        out = np.concatenate((self._tail + wholes[0, :HOP], wholes[0, HOP:] + wholes[1, :HOP]))
        self._tail = np.asarray(wholes[1, HOP:], np.float32)
        return np.asarray(out, np.float32)

    def _gains(self, rest: F32, echo: F32) -> F32:
        # The echo rings on in the room: what was found just now still explains something.
        self._echos = np.maximum(echo, ECHO_RINGS * self._echos)
        self._rests = 0.5 * self._rests + 0.5 * rest
        sure = self._echos > ECHO_HEARD + self._noise
        ratio = self._rests / (self._echos + 1e-12)
        pace = np.where(ratio < self._leak, LEAK_DOWN, LEAK_UP)
        self._leak += np.where(sure, pace * (np.minimum(ratio, 1.0) - self._leak), 0.0).astype(np.float32)
        np.maximum(self._leak, LEAST_LEAK, out=self._leak)
        self._noise = np.where(
            rest < self._noise, self._noise + NOISE_DOWN * (rest - self._noise), self._noise * NOISE_UP
        ).astype(np.float32)
        np.maximum(self._noise, LEAST_NOISE, out=self._noise)
        left = np.maximum(OVER * self._leak * self._echos, EXPECTED * self._expected)
        wanted = np.sqrt(np.maximum(1 - left / (rest + 1e-12), 0))
        floor = np.minimum(np.sqrt(self._noise / (rest + 1e-12)), 1.0)
        wanted = np.maximum(np.maximum(wanted, floor), LOWEST_GAIN)
        pace = np.where(wanted > self._gain, OPEN_AT_ONCE, CLOSE)
        self._gain += (pace * (wanted - self._gain)).astype(np.float32)
        return self._gain
