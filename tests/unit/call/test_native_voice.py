"""The voice's inner loops in C against the same in numpy, sound after sound; and what no sound may do to them."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.unit.call.reference_echo_filter import ReferenceEchoFilter
from tests.unit.call.reference_residual import ReferenceSuppressor
from unitd.call.voice.echo_filter import BINS, BLOCK, PARTS, EchoFilter
from unitd.call.voice.residual import ResidualSuppressor

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
    ours._least_doubt(ours._state, np.inf)
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
