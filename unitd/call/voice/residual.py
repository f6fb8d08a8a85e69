"""What is left of the echo after the linear filter is turned down, where the caller is not heard. Pure.

In each of some 30 bands it follows how much of the found echo is still there while nobody else speaks (`leak`), and
turns down what that explains. What it does not explain is the caller, who passes at once. Nothing is turned down below
the street's own noise, so the line does not go dead with every word of the operator.
"""

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

HOP = 480
FRAME = 2 * HOP
EDGES = np.array(sorted({round(float(edge)) for edge in (*range(0, 20, 2), *np.geomspace(20, 481, 24))}))
"""Bands in bins of 50 Hz: 100 Hz wide below 1 kHz, about a third of an octave above."""
LOWEST_GAIN = 0.03
"""-30 dB"""
OVER = 2.5
"""The leak is a mean; speech swings round it."""
EXPECTED = 1.5
LEAK_DOWN = 0.05
LEAK_UP = 0.001
LEAK_AT_FIRST = 0.3
LEAST_LEAK = 1e-4
ECHO_HEARD = 1e-6
NOISE_UP = 1.003
NOISE_DOWN = 0.2
OPEN_AT_ONCE = 0.7
CLOSE = 0.35


class ResidualSuppressor:
    """Hops of 10 ms in and out, HOP samples late. Not thread-safe; 0.06 ms a hop."""

    def __init__(self) -> None:
        self._window = np.sqrt(np.hanning(FRAME + 1)[:FRAME]).astype(np.float32)
        self._said = np.zeros(3 * HOP, np.float32)
        self._found = np.zeros(3 * HOP, np.float32)
        self._frames = np.zeros((4, FRAME), np.float32)
        self._tail = np.zeros(HOP, np.float32)
        bands = len(EDGES) - 1
        self._leak = np.full(bands, LEAK_AT_FIRST, np.float32)
        self._noise = np.full(bands, 1e-3, np.float32)
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
        self._echos = np.maximum(echo, 0.6 * self._echos)
        self._rests = 0.5 * self._rests + 0.5 * rest
        sure = self._echos > ECHO_HEARD + self._noise
        ratio = self._rests / (self._echos + 1e-12)
        pace = np.where(ratio < self._leak, LEAK_DOWN, LEAK_UP)
        self._leak += np.where(sure, pace * (np.minimum(ratio, 1.0) - self._leak), 0.0).astype(np.float32)
        np.maximum(self._leak, LEAST_LEAK, out=self._leak)
        self._noise = np.where(
            rest < self._noise, self._noise + NOISE_DOWN * (rest - self._noise), self._noise * NOISE_UP
        ).astype(np.float32)
        left = np.maximum(OVER * self._leak * self._echos, EXPECTED * self._expected)
        wanted = np.sqrt(np.maximum(1 - left / (rest + 1e-12), 0))
        floor = np.minimum(np.sqrt(self._noise / (rest + 1e-12)), 1.0)
        wanted = np.maximum(np.maximum(wanted, floor), LOWEST_GAIN)
        pace = np.where(wanted > self._gain, OPEN_AT_ONCE, CLOSE)
        self._gain += (pace * (wanted - self._gain)).astype(np.float32)
        return self._gain
