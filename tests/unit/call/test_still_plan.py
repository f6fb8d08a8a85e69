"""Stills at the rate that is left: one a second, under 1.5 s on its way, as good as fits."""

import pytest

from unitd.call.picture.still_plan import SIZES, StillChooser, StillSize, budget_bytes, most_bytes, period_s
from unitd.messages.duplex import MAX_STILL_BYTES

SHAPE = (640, 360)


def scene(size: StillSize, richness: float) -> int:
    """What a scene's still takes."""
    factor = min(1.0, size.short_side / 360)
    return int(640 * 360 * factor**2 * size.bit_per_pixel * richness / 8)


@pytest.mark.parametrize("richness", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("kbit_s", [30, 60, 120, 200, 400])
def test_the_second_still_of_any_scene_is_there_in_time(kbit_s: int, richness: float) -> None:
    chooser = StillChooser()
    size = chooser.choose(kbit_s * 1000, SHAPE)
    chooser.learn(size, SHAPE, scene(size, richness))
    size = chooser.choose(kbit_s * 1000, SHAPE)
    made = scene(size, richness)
    smallest = scene(SIZES[-1], richness)
    assert made <= max(budget_bytes(kbit_s * 1000), smallest)
    if made > smallest:
        assert made * 8 / (kbit_s * 1000) < 1.0
    assert period_s(made, kbit_s * 1000) <= max(1.0, smallest * 8 / (0.9 * kbit_s * 1000))


def test_a_quarter_of_a_megabit_with_voice_leaves_a_good_picture_every_second() -> None:
    size = StillChooser().choose(150_000, SHAPE)
    assert size.short_side >= 270
    assert period_s(scene(size, 1.0), 150_000) == pytest.approx(1.0)


def test_it_gets_better_with_the_rate_and_is_never_larger_than_the_source() -> None:
    chosen = [SIZES.index(StillChooser().choose(kbit_s * 1000, SHAPE)) for kbit_s in range(20, 500, 10)]
    assert chosen == sorted(chosen, reverse=True)
    assert all(SIZES[index].short_side <= 360 for index in chosen)
    assert StillChooser().choose(1e9, (64, 48)) == SIZES[-1]


def test_below_a_size_there_is_a_smaller_one_until_the_smallest() -> None:
    chooser = StillChooser()
    size, seen = chooser.choose(1e6, SHAPE), []
    for _ in SIZES:
        seen.append(SIZES.index(size))
        size = chooser.choose(1e6, SHAPE, below=size)
    assert seen == sorted(seen)
    assert size == SIZES[-1]


def test_no_rate_makes_a_still_that_no_message_holds() -> None:
    assert budget_bytes(1e9) == most_bytes(1e9) == MAX_STILL_BYTES
    assert budget_bytes(0.0) > 0
    assert period_s(10_000, 0.0) < 10.0
