"""How loud the horn is: over the street's noise, under a ceiling in dB(A) that nothing exceeds. Pure.

Levels are at 1 m from the horn, in dB(A) with the time weighting F, counted from `horn_full_dba`, what the horn gives
for a sine of full scale. What comes in may be of any loudness (an operator's microphone): it is levelled first. What is
done to each sample is in C (native/loudness.c).
"""

import math
from dataclasses import dataclass

from unitd.call.voice.loudness import FAST_S, FRAME, FRAME_S, SILENT_DBFS, LevelMeter, dbfs
from unitd.call.voice.samples import F32, Samples

OVER_NOISE_DB = 15.0
"""Speech is understood without effort at 15 dB over the noise (IEC 60268-16: STI 0.6 and more)."""
LEAST_DBA = 70.0
"""At 1 m, in the stillest street: between a raised and a loud voice (ISO 9921: 66 and 72 dB(A)), for
who stands 3 m away."""
UNKNOWN_NOISE_DBA = 60.0
LOUDEST_OVER_MEAN_DB = 6.0
"""Syllables stand so far above the mean of speech: the mean is kept so far under the limit."""
CREST_DB = 11.0
"""Peaks over a sine of the limit's level: what is above is bent off here, and not in the horn's amplifier."""
PEAK = 0.89
MOST_GAIN_DB = 15.0
LEAST_GAIN_DB = -50.0
UP_DB_S = 8.0
DOWN_DB_S = 40.0
SPEECH_DBFS = -50.0
MEAN_S = 1.5
RAMP_SAMPLES = 96
"""From the gain of before to that of a frame: 2 ms, no click."""
STRAIGHT = 0.7
"""Up to this much of the peak nothing is bent; above it no sample is over the peak."""
KEEPS = math.exp(-FRAME_S / FAST_S)


@dataclass(frozen=True)
class Loudness:
    """The limits of `[sound]`."""

    horn_full_dba: float
    ceiling_dba: float
    talk_dba: float
    quiet_dba: float


def limit_dba(loudness: Loudness, *, talk: bool, quiet: bool) -> float:
    """What may not be exceeded now. `talk`: an operator is on the line; `quiet`: the attacker is near."""
    limit = loudness.ceiling_dba
    if talk:
        limit = min(limit, loudness.talk_dba)
    if quiet:
        limit = min(limit, loudness.quiet_dba)
    return limit


def wanted_dba(limit: float, noise_dba: float | None) -> float:
    """How loud speech should be on the mean."""
    noise = UNKNOWN_NOISE_DBA if noise_dba is None else noise_dba
    return min(max(LEAST_DBA, noise + OVER_NOISE_DB), limit - LOUDEST_OVER_MEAN_DB)


class HornGain:
    """Levels and limits the horn's frames. Not thread-safe; a frame takes 0.03 ms."""

    def __init__(self, loudness: Loudness) -> None:
        self._loudness = loudness
        self._limit = limit_dba(loudness, talk=False, quiet=False)
        self._wanted = wanted_dba(self._limit, None)
        self._mean: float | None = None
        self._gain_db = self._wanted - loudness.horn_full_dba + 20.0
        self._before = 0.0
        self._fast = 0.0
        self.limited_frames = 0
        self._meter = LevelMeter()
        self.given, self._out = Samples(FRAME), Samples(FRAME)

    def aim(self, limit: float, noise_dba: float | None) -> None:
        """The limit now, and the street's noise as far as it is known."""
        self._limit, self._wanted = limit, wanted_dba(limit, noise_dba)

    @property
    def limit(self) -> float:
        return self._limit

    def frame(self, samples: F32) -> F32:
        """The next 20 ms for the horn, in -1..1 as it comes in; never louder than the limit. What is returned holds
        until the next call. Raises ValueError for another length."""
        if samples.shape != (FRAME,):
            raise ValueError(f"{FRAME} samples, not {samples.shape}")
        self.given.all[:] = samples
        return self.run().all

    def run(self) -> Samples:
        """`frame`, of what was laid into `given`."""
        samples = self.given
        level = dbfs(self._meter.power(samples))
        if level <= SILENT_DBFS + 1:
            self._fast *= KEEPS
            return samples
        self._follow(level)
        gain_db = self._gain_db
        allowed = 10 ** ((self._limit - self._loudness.horn_full_dba) / 10)
        room = max(allowed - KEEPS * self._fast, 1e-3 * allowed) / (1 - KEEPS)
        most_db = 10 * math.log10(room) - level
        if gain_db > most_db:
            gain_db = most_db
            self.limited_frames += 1
        gain = 10 ** (gain_db / 20)
        before = min(self._before, 4 * gain) if self._before else gain
        self._before = gain
        peak = min(PEAK, 10 ** ((self._limit - self._loudness.horn_full_dba + CREST_DB) / 20))
        power = self._meter.play(samples, self._out, before, gain, RAMP_SAMPLES, peak, STRAIGHT)
        self._fast = KEEPS * self._fast + (1 - KEEPS) * power
        return self._out

    def _follow(self, level: float) -> None:
        """The mean level of speech, and the gain towards what is wanted."""
        if level > SPEECH_DBFS and (self._mean is None or level > self._mean - 20):
            pace = FRAME_S / MEAN_S
            power = 10 ** (level / 10)
            before = power if self._mean is None else 10 ** (self._mean / 10)
            self._mean = 10 * math.log10(before + pace * (power - before))
        if self._mean is None:
            return
        goal = self._wanted - self._loudness.horn_full_dba - self._mean
        goal = min(max(goal, LEAST_GAIN_DB), MOST_GAIN_DB)
        step = goal - self._gain_db
        self._gain_db += min(max(step, -DOWN_DB_S * FRAME_S), UP_DB_S * FRAME_S)
