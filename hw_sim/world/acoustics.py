"""The air between the pole's horn and its microphone: amplifier, room, two clocks that are not the same, and a street.

Everything is seeded and in virtual time: blocks in, blocks out. Levels are in dB(A), as a meter would read them;
`MIC_FULL_DBA` and `HORN_FULL_DBA` turn them into sample values. Used offline by the echo proof, and live by the
simulated sound card when a test asks for it (about 0.3 ms for 10 ms of sound).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RATE_HZ = 48_000
BLOCK = 480
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

HORN_FULL_DBA = 100.0
"""At 1 m, for a sine of full scale: the default of `sound.horn_full_dba`."""
MIC_FULL_DBA = 115.0
"""A sine that fills the microphone: the default of `sound.mic_full_dba`."""
SOUND_M_S = 343.0
HORN_BAND_HZ = (250.0, 7500.0)
"""A re-entrant horn of 15 W [data sheets of the trade: 280 Hz to 8 kHz]."""
SINC_TAPS = 32
SINC_PHASES = 512


@dataclass(frozen=True, kw_only=True)
class Street:
    """One pole's surroundings.

    `delay_ms` is the whole way from the output callback to the input callback: buffers of both cards and the air.
    `drift_ppm`: how much faster the microphone's clock runs than the horn's. `saturates_at` is where the horn's
    amplifier bends, as a part of full scale (1.0: hardly). `coupling_db`: the horn at the microphone against 1 m from
    it (they sit on one pole, back to back, and still nearer than any caller's ear).
    """

    delay_ms: float = 80.0
    drift_ppm: float = 0.0
    saturates_at: float | None = None
    noise_dba: float = 55.0
    coupling_db: float = 0.0
    tail_s: float = 0.25
    tail_db: float = -18.0
    jitter_ms: float = 1.0
    seed: int = 1


def response(street: Street) -> F32:
    """The impulse response from horn to microphone without the delay of the cards: the direct way, early reflections
    of ground, walls and the pole itself, and a tail between houses. The energy of the whole is `coupling_db`."""
    random = np.random.default_rng(street.seed)
    length = int((street.tail_s + 0.05) * RATE_HZ)
    taps = np.zeros(length)
    taps[int(0.6 / SOUND_M_S * RATE_HZ)] = 1.0
    for _ in range(9):
        way_m = random.uniform(1.2, 12.0)
        taps[int(way_m / SOUND_M_S * RATE_HZ)] += random.choice((-1, 1)) * 0.6 / way_m * random.uniform(0.5, 1.2)
    at_s = np.arange(length) / RATE_HZ
    decay = np.exp(-6.91 * at_s / street.tail_s) * (at_s > 0.004)
    tail = random.standard_normal(length) * decay
    direct = float(np.sum(taps**2))
    taps += tail * np.sqrt(direct * 10 ** (street.tail_db / 10) / np.sum(tail**2))
    spectrum = np.fft.rfft(taps, 2 * length)
    freq = np.fft.rfftfreq(2 * length, 1 / RATE_HZ)
    low, high = HORN_BAND_HZ
    band = 1 / np.sqrt(1 + (low / np.maximum(freq, 1.0)) ** 8) / np.sqrt(1 + (freq / high) ** 12)
    shaped = np.fft.irfft(spectrum * band)[:length]
    shaped *= np.sqrt(10 ** (street.coupling_db / 10) / np.sum(shaped**2))
    return shaped.astype(np.float32)


class Convolver:
    """A long impulse response, block by block: partitioned overlap-save, no delay of its own."""

    def __init__(self, taps: F32) -> None:
        parts = -(-len(taps) // BLOCK)
        padded = np.zeros(parts * BLOCK, np.float32)
        padded[: len(taps)] = taps
        self._filters = np.fft.rfft(padded.reshape(parts, BLOCK), 2 * BLOCK)
        self._spectra = np.zeros_like(self._filters)
        self._before = np.zeros(BLOCK, np.float32)

    def block(self, samples: F32) -> F32:
        self._spectra = np.roll(self._spectra, 1, axis=0)
        self._spectra[0] = np.fft.rfft(np.concatenate((self._before, samples)))
        self._before = samples
        whole = np.fft.irfft(np.sum(self._spectra * self._filters, axis=0))
        return whole[BLOCK:].astype(np.float32)


class Line:
    """What was played, read again later and by another clock: a band-limited fractional delay."""

    def __init__(self) -> None:
        self._samples = np.zeros(4 * RATE_HZ, np.float32)
        self._written = 0
        half = SINC_TAPS // 2
        offsets = np.arange(SINC_TAPS) - half + 1
        phases = np.arange(SINC_PHASES + 1)[:, None] / SINC_PHASES
        spread = offsets[None, :] - phases
        self._table = (np.sinc(spread) * np.cos(np.pi * spread / (SINC_TAPS + 2)) ** 2).astype(np.float32)
        self._offsets = offsets

    def write(self, samples: F32) -> None:
        at = (self._written + np.arange(len(samples))) % len(self._samples)
        self._samples[at] = samples
        self._written += len(samples)

    def read(self, first: float, step: float, count: int) -> F32:
        """`count` samples at the instants first, first + step, ... (in samples written since the start)."""
        at = first + step * np.arange(count)
        whole = np.floor(at).astype(np.int64)
        phase = np.rint((at - whole) * SINC_PHASES).astype(np.int64)
        places = whole[:, None] + self._offsets[None, :]
        known = np.where((places >= 0) & (places < self._written), self._samples[places % len(self._samples)], 0.0)
        return np.asarray(np.einsum("ij,ij->i", known, self._table[phase]), np.float32)


class Acoustics:
    """One pole in virtual time. `play` takes the horn's next 10 ms, `hear` gives the microphone's next 10 ms: each at
    its own card's pace. Not thread-safe."""

    def __init__(self, street: Street) -> None:
        self.street = street
        self._line = Line()
        self._room = Convolver(response(street))
        self._noise = street_noise(street)
        self._step = 1.0 / (1.0 + street.drift_ppm * 1e-6)
        self._heard = 0
        self._to_mic = 10 ** ((HORN_FULL_DBA - MIC_FULL_DBA) / 20)

    def play(self, samples: F32) -> None:
        """The horn's next 10 ms, in -1..1."""
        self._line.write(saturated(samples, self.street.saturates_at))

    def hear(self, caller: F32 | None = None) -> tuple[F32, F32]:
        """The microphone's next 10 ms in -1..1, and the part of it that is the horn's echo. `caller` is what the
        microphone gets of a person, in -1..1."""
        first = self._heard * self._step - self.street.delay_ms * RATE_HZ / 1000
        self._heard += BLOCK
        echo = self._room.block(self._line.read(first, self._step, BLOCK)) * np.float32(self._to_mic)
        heard = echo + self._noise[(np.arange(BLOCK) + self._heard) % len(self._noise)]
        if caller is not None:
            heard = heard + caller
        return np.clip(heard, -1.0, 1.0).astype(np.float32), echo


def saturated(samples: F32, bends_at: float | None) -> F32:
    """An amplifier at its end: straight up to two thirds of `bends_at`, then bent towards it (soft clipping)."""
    if bends_at is None:
        return samples
    knee = np.float32(bends_at * 2 / 3)
    over = np.abs(samples) - knee
    room = np.float32(bends_at) - knee
    bent = knee + room * np.tanh(np.maximum(over, 0) / room)
    return np.where(over > 0, np.sign(samples) * bent, samples).astype(np.float32)


def street_noise(street: Street, seconds: float = 10.0) -> F32:
    """Traffic: noise that falls with frequency (about 5 dB an octave above 300 Hz), swelling and fading, `noise_dba`
    loud in the mean. It repeats without a seam."""
    random = np.random.default_rng(street.seed + 1000)
    count = int(seconds * RATE_HZ)
    freq = np.fft.rfftfreq(count, 1 / RATE_HZ)
    shape = 1 / (1 + (freq / 300.0) ** 1.7) ** 0.5 * (freq > 30)
    spectrum = shape * (random.standard_normal(len(freq)) + 1j * random.standard_normal(len(freq)))
    noise = np.fft.irfft(spectrum, count)
    swell = 1 + 0.5 * np.sin(2 * np.pi * np.arange(count) / count * 3 + random.uniform(0, 6))
    noise *= swell
    return at_level(noise, street.noise_dba)


def at_level(samples: F64 | F32, level_dba: float) -> F32:
    """The sound scaled so that the microphone hears it at `level_dba` (A-weighted, IEC 61672-1, over the loud half)."""
    gain = 10 ** ((level_dba - MIC_FULL_DBA - level_dbfs_a(samples)) / 20)
    return np.asarray(samples * gain, np.float32)


def level_dbfs_a(samples: F64 | F32) -> float:
    """The A-weighted level against a full sine, over the 20 ms pieces that are within 30 dB of the loudest."""
    pieces = np.asarray(samples[: len(samples) // 960 * 960], np.float64).reshape(-1, 960)
    freq = np.asarray(np.fft.rfftfreq(960, 1 / RATE_HZ), np.float64)
    squared = np.abs(np.fft.rfft(pieces * np.hanning(960))) ** 2 * a_weight(freq) ** 2
    power = np.sum(squared, axis=1) * 2 / 960 / np.sum(np.hanning(960) ** 2) + 1e-20
    loud = power[power > power.max() / 1000]
    return float(10 * np.log10(np.mean(loud) * 2))


def a_weight(freq_hz: F64) -> F64:
    """The A curve as an amplitude (IEC 61672-1, annex E)."""
    f2 = freq_hz**2
    top = 12194.0**2 * f2**2
    under = (f2 + 20.6**2) * np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)) * (f2 + 12194.0**2)
    return np.asarray(top / under * 10 ** (2.0 / 20), np.float64)
