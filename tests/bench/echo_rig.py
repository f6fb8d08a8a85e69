"""The near-end chain of a call on a simulated pole, in virtual time: two cards, each by its own clock with callbacks
that tremble, the product's gain, limiter and canceller, and the air between horn and microphone."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from hw_sim.world.acoustics import BLOCK, RATE_HZ, Acoustics, Street
from tests.live.stoi import stoi
from unitd.call.voice.canceller import Canceller

F32 = npt.NDArray[np.float32]
FRAME = 2 * BLOCK
HORN_PPM = -40.0
"""No card is right; the microphone's is `drift_ppm` faster than this."""

MIC_AFTER_S = 0.007
LONGEST_LAG = RATE_HZ // 10
PRELUDE_FRAMES = 3000
"""The horn's card has been open since the unit started; a minute of that is enough. The microphone's is just opened."""


class Played(Protocol):
    def frame(self, samples: F32) -> F32: ...


class AsItIs:
    """No gain, no limit."""

    def frame(self, samples: F32) -> F32:
        return samples


@dataclass(frozen=True)
class Heard:
    """One run, all at 48 kHz: the caller's part of what the microphone heard, the echo's, all of it, and what went to
    the far end."""

    caller: F32
    echo: F32
    microphone: F32
    sent: F32


def run(street: Street, operator: F32, caller: F32, played: Played, canceller: Canceller) -> Heard:
    """Play `operator` on the horn while `caller` (as the microphone hears it) speaks."""
    air, random = Acoustics(street), np.random.default_rng(street.seed + 7)
    horn_s = FRAME / RATE_HZ / (1 + HORN_PPM * 1e-6)
    mic_s = FRAME / RATE_HZ / (1 + (HORN_PPM + street.drift_ppm) * 1e-6)

    def late_s() -> float:
        return float(abs(random.normal(0, street.jitter_ms / 1000)))

    for k in range(-PRELUDE_FRAMES, 0):
        canceller.horn_clock.callback(FRAME, _ns(k * horn_s + late_s()))
    events: list[tuple[float, bool, int]] = []
    for k in range(len(operator) // FRAME):
        events.append((k * horn_s + late_s(), False, k))
        events.append(((k + 1) * mic_s + MIC_AFTER_S + late_s(), True, k))
    echo, heard, sent = np.zeros_like(operator), np.zeros_like(operator), [np.zeros(0, np.float32)]
    for at_s, is_near, k in sorted(events):
        span = slice(k * FRAME, (k + 1) * FRAME)
        if not is_near:
            pcm = _pcm(played.frame(operator[span]))
            for part in np.split(_samples(pcm), 2):
                air.play(part)
            canceller.far(pcm, _ns(at_s))
            continue
        for at in (0, BLOCK):
            part = slice(k * FRAME + at, k * FRAME + at + BLOCK)
            heard[part], echo[part] = air.hear(caller[part])
        sent += [_samples(out) for out in canceller.near(_pcm(heard[span]), _ns(at_s))]
    whole = np.zeros_like(operator)
    out = np.concatenate(sent)[: len(whole)]
    whole[: len(out)] = out
    return Heard(caller, echo, heard, whole)


@dataclass(frozen=True)
class Figures:
    """`erle_db`: the echo at the microphone over what of it is left, of which `residual_db` is the level (dB of full
    scale; at the street's own noise no more can be measured). `stoi` in double talk against `stoi_alone`, the same
    caller in the same street with a silent horn. `attenuation_db`: by how much the caller is turned down in double
    talk. `over_db`: the echo over the caller's own level at the microphone."""

    erle_db: float
    residual_db: float
    stoi_alone: float
    stoi: float
    raw_stoi: float
    attenuation_db: float
    over_db: float
    converged_s: float

    @property
    def stoi_lost(self) -> float:
        return self.stoi_alone - self.stoi


def judged(heard: Heard, alone: Heard, single: slice, double: slice) -> Figures:
    """The figures of `heard`, beside the same run with a silent horn; `single` is the stretch (in samples) in which the
    operator speaks alone, `double` the one in which both do."""
    clean = heard.caller[double.start : double.stop - LONGEST_LAG]
    left, best = (_on_time(clean, each.sent[double.start : double.stop]) for each in (heard, alone))
    excess = 10 ** (db(heard.sent[single]) / 10) - 10 ** (db(alone.sent[single]) / 10)
    residual_db = 10 * np.log10(max(excess, 0.1 * 10 ** (db(alone.sent[single]) / 10)))
    along = float(np.dot(left, best) / np.dot(best, best))
    return Figures(
        erle_db=db(heard.echo[single]) - residual_db,
        residual_db=residual_db,
        stoi_alone=intelligibility(clean, best),
        stoi=intelligibility(clean, left),
        raw_stoi=intelligibility(heard.caller[double], heard.microphone[double]),
        attenuation_db=-20 * float(np.log10(max(along, 1e-3))),
        over_db=db(heard.echo[double]) - db(heard.caller[double]),
        converged_s=_converged_s(heard, single.stop),
    )


def intelligibility(clean: F32, heard: F32) -> float:
    """STOI of two stretches at 48 kHz that begin at the same instant."""
    value = stoi(resample_poly(clean.astype(np.float64), 5, 24), resample_poly(heard.astype(np.float64), 5, 24))
    assert value is not None, "too little speech to judge"
    return value


def _converged_s(heard: Heard, until: int) -> float:
    """From when on each second of the operator alone is 20 dB down at least."""
    last = 0.0
    for at in range(0, until - RATE_HZ + 1, RATE_HZ):
        piece = slice(at, at + RATE_HZ)
        if db(heard.sent[piece]) > db(heard.echo[piece]) - 20:
            last = at / RATE_HZ + 1
    return last


def _on_time(clean: F32, late: F32) -> F32:
    """The part of `late` that fits `clean` best; it is up to LONGEST_LAG samples late."""
    lag = max(range(0, LONGEST_LAG, 12), key=lambda at: float(np.dot(clean, late[at : at + len(clean)])))
    return late[lag : lag + len(clean)]


def _ns(at_s: float) -> int:
    return int((at_s + 1000) * 1e9)


def _pcm(samples: F32) -> bytes:
    return (np.clip(samples, -1, 1) * np.float32(32767)).astype("<i2").tobytes()


def _samples(pcm: bytes) -> F32:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32767)


def db(samples: F32) -> float:
    """Power in dB of full scale."""
    return float(10 * np.log10(np.mean(np.square(samples.astype(np.float64))) + 1e-14))
