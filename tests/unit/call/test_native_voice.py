"""The voice's inner loops in C against the same in numpy, sound after sound; and what no sound may do to them."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.unit.call.reference_echo_filter import ReferenceEchoFilter
from tests.unit.call.reference_residual import ReferenceSuppressor
from unitd.call.voice import resample
from unitd.call.voice.echo_filter import BINS, BLOCK, PARTS, EchoFilter
from unitd.call.voice.gain import STRAIGHT
from unitd.call.voice.loudness import _WEIGHTS, LevelMeter, level_dbfs
from unitd.call.voice.residual import ResidualSuppressor
from unitd.call.voice.samples import Pcm, Samples

ALIKE = 1e-3
"""Of the loudest: rounding, in another order."""


def street(blocks: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The horn's and the microphone's blocks: an operator, both at once, pauses on each side, and again."""
    chance = np.random.default_rng(seed)
    size = 1 << int(np.ceil(np.log2(blocks * BLOCK + 9000)))
    spectrum = np.fft.rfft(0.1 * chance.standard_normal(size))
    spectrum[size // 6 :] = 0  # 8 kHz
    horn = np.fft.irfft(spectrum)[: blocks * BLOCK] * np.repeat(np.arange(blocks) % 500 < 420, BLOCK)
    answer = np.zeros(9000)
    answer[3000:] = 0.05 * chance.standard_normal(6000) * np.exp(-np.arange(6000) / 1500)
    echo = np.fft.irfft(np.fft.rfft(horn, size) * np.fft.rfft(answer, size))[: len(horn)]
    caller = 0.2 * chance.standard_normal(blocks * BLOCK) * np.repeat(np.arange(blocks) % 300 > 220, BLOCK)
    heard = echo + caller + 0.001 * chance.standard_normal(blocks * BLOCK)
    for k in range(blocks):
        piece = slice(k * BLOCK, (k + 1) * BLOCK)
        yield horn[piece].clip(-1, 1).astype(np.float32), heard[piece].clip(-1, 1).astype(np.float32)


def off(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The difference, of the loudest; relative to it."""
    return float(np.abs(ours - theirs).max() / max(1e-3, np.abs(theirs).max()))


def test_the_filter_is_the_one_in_numpy() -> None:
    ours, theirs = EchoFilter(), ReferenceEchoFilter()
    heard, left = 0.0, 0.0
    for k, (far, near) in enumerate(street(3000, 1)):
        if k in (700, 1950):
            ours.doubt()
            theirs.doubt()
        made, wanted = ours.block(far, near), theirs.block(far, near)
        assert off(made[0], wanted[0]) < ALIKE and off(made[1], wanted[1]) < ALIKE, k
        assert off(made[2], wanted[2]) < ALIKE, k
        if k % 300 == 200:  # the caller has paused for a while, the horn has not
            assert off(ours.way, theirs.way) < ALIKE, k
        if 2550 < k < 2620:  # the horn alone
            heard, left = heard + float(near @ near), left + float(made[0] @ made[0])
    assert left < heard / 100, "an echo that was not found proves nothing"


def test_the_suppressor_is_the_one_in_numpy() -> None:
    ours, theirs, echo_filter = ResidualSuppressor(), ReferenceSuppressor(), EchoFilter()
    for k, (far, near) in enumerate(street(1500, 2)):
        rest, echo, expected = (each.copy() for each in echo_filter.block(far, near))
        rest = rest if k % 700 < 650 else np.zeros(BLOCK, np.float32)
        ours.expect(expected)
        theirs.expect(expected)
        assert off(ours.block(rest, echo), theirs.block(rest, echo)) < ALIKE, k


CORNERS = {
    "nothing": np.zeros(BLOCK, np.float32),
    "full": np.ones(BLOCK, np.float32),
    "square": np.where(np.arange(BLOCK) % 100 < 50, 1, -1).astype(np.float32),
    "least": np.full(BLOCK, 1e-42, np.float32),
}


@pytest.mark.parametrize("far", CORNERS)
@pytest.mark.parametrize("near", CORNERS)
def test_corners(far: str, near: str) -> None:
    ours, theirs = EchoFilter(), ReferenceEchoFilter()
    suppressor, reference = ResidualSuppressor(), ReferenceSuppressor()
    for k in range(3 * PARTS):
        made, wanted = ours.block(CORNERS[far], CORNERS[near]), theirs.block(CORNERS[far], CORNERS[near])
        if far == "square":  # leaves rounding alone in most bins, and the filter learns from that too
            assert np.abs(made[0]).max() < 4, k
        else:
            assert off(made[0], wanted[0]) < ALIKE, k
        assert off(suppressor.block(made[0], made[1]), reference.block(made[0], made[1])) < ALIKE, k


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_no_sample_is_gone_at_once(bad: float) -> None:
    ours, suppressor = EchoFilter(), ResidualSuppressor()
    for k, (far, near) in enumerate(street(300, 3)):
        if k == 200:
            far[5] = near[7] = bad
        rest, echo, expected = ours.block(far, near)
        if k == 205:
            rest[3] = echo[4] = expected[5] = bad
        suppressor.expect(expected)
        out = suppressor.block(rest, echo)
        assert np.isfinite(out).all() and np.abs(out).max() < 4, k
        if k != 205:
            assert np.isfinite(rest).all() and np.isfinite(expected).all(), k
    assert np.isfinite(ours.way).all()


def test_a_state_that_is_no_number_begins_afresh() -> None:
    ours = EchoFilter()
    ours._native.unitd_echo_filter_doubt(ours._state, np.inf)
    for far, near in street(300, 4):
        rest, _, expected = ours.block(far, near)
        assert np.isfinite(rest).all() and np.isfinite(expected).all()
    assert np.abs(ours.way).max() > 0


def test_silence_passes_as_it_is_and_the_way_is_kept() -> None:
    ours = EchoFilter()
    sound = list(street(400, 5))
    for far, near in sound:
        ours.block(far, near)
    nothing = np.zeros(BLOCK, np.float32)
    for _ in range(PARTS + 1):
        ours.block(nothing, nothing)
    way = ours.way
    for _ in range(500):
        rest, echo, expected = ours.block(nothing, sound[250][1])
        assert (rest == sound[250][1]).all() and not echo.any() and not expected.any()
    assert (ours.way == way).all()
    far, near = sound[0]
    rest, _, _ = ours.block(far, near)
    assert rest.shape == (BLOCK,)


def test_a_wrong_length_is_refused() -> None:
    block, short = np.zeros(BLOCK, np.float32), np.zeros(1, np.float32)
    for wrong in ((block, short), (short, block), (block, np.zeros((1, BLOCK), np.float32))):
        with pytest.raises(ValueError, match="960"):
            EchoFilter().block(*wrong)
        with pytest.raises(ValueError, match="960"):
            ResidualSuppressor().block(*wrong)
    with pytest.raises(ValueError):
        ResidualSuppressor().expect(np.zeros(2 * BLOCK, np.float32))
    ResidualSuppressor().expect(np.zeros(BINS, np.float32))


def test_a_level_is_the_one_in_numpy() -> None:
    for _, near in street(50, 6):
        spectrum = np.fft.rfft(near)
        power = float(np.dot(_WEIGHTS, spectrum.real**2 + spectrum.imag**2))
        assert level_dbfs(near) == pytest.approx(10 * np.log10(power), abs=1e-3)


def test_a_frame_for_the_horn_is_the_one_in_numpy() -> None:
    meter, given, out = LevelMeter(), Samples(BLOCK), Samples(BLOCK)
    for k, (_, near) in enumerate(street(50, 7)):
        before, gain, peak = (0.5, 1.0 + k / 20, 0.4)
        given.all[:] = near
        power = meter.play(given, out, before, gain, 96, peak, STRAIGHT)
        louder = near * np.concatenate((np.linspace(before, gain, 96), np.full(BLOCK - 96, gain)))
        over = np.maximum(np.abs(louder) - STRAIGHT * peak, 0)
        room = (1 - STRAIGHT) * peak
        bent = np.sign(louder) * (STRAIGHT * peak + room * np.tanh(over / room))
        assert off(out.all, np.where(over > 0, bent, louder)) < ALIKE
        assert np.abs(out.all).max() <= peak * (1 + 1e-6)
        assert 10 * np.log10(power + 1e-12) == pytest.approx(level_dbfs(out.all), abs=0.01)


def test_a_line_is_read_as_by_numpy() -> None:
    chance = np.random.default_rng(8)
    line, whole = resample.Line(8 * BLOCK), np.zeros(0, np.float32)
    for _ in range(60):
        piece = chance.standard_normal(int(chance.integers(1, 2000))).astype(np.float32)
        line.write(piece)
        whole = np.concatenate((whole, piece))
        held = np.pad(whole, 20_000)  # what is not held any more, and what has not come, is silence
        held[: 20_000 + len(whole) - 8 * BLOCK] = 0
        for behind in (BLOCK, 0.37, 4000.5, 8 * BLOCK - 100.25, 8 * BLOCK + 300.0):
            first, step = len(whole) - behind, 1 + float(chance.uniform(-3e-4, 3e-4))
            wanted = []
            for at in range(0, BLOCK, resample.PIECE):
                place = first + step * (at + resample.PIECE / 2) - resample.PIECE / 2
                begins = int(np.floor(place))
                taps = resample._TABLE[round((place - begins) * resample.PHASES)]
                start = 20_000 + begins - resample.HALF + 1
                wanted.append(np.correlate(held[start : start + resample.PIECE + resample.TAPS - 1], taps, "valid"))
            assert off(line.read(first, step, BLOCK), np.concatenate(wanted)) < ALIKE


def test_samples_and_back() -> None:
    pcm, samples = Pcm(BLOCK), Samples(BLOCK)
    frame = np.random.default_rng(9).integers(-32767, 32768, BLOCK).astype("<i2")
    pcm.read(frame.tobytes(), samples)
    back = np.frombuffer(pcm.made(samples), "<i2")
    assert np.abs(back.astype(int) - frame).max() <= 1
    samples.all[:4] = (2.0, -2.0, np.nan, np.inf)
    assert np.frombuffer(pcm.made(samples), "<i2")[:4].tolist() == [32767, -32767, 0, 0]
    with pytest.raises(ValueError):
        pcm.read(frame.tobytes()[:-2], samples)
