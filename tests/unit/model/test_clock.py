"""The clock's judgement: whatever it said, once it is known every stamp of the boot is put right."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from unitd.model import clock
from unitd.model.clock import Correction, Reading

SECOND_NS = 1_000_000_000
HOUR_US = 3_600_000_000
YEAR_US = 365 * 24 * HOUR_US
TRUTH_US = 1_795_000_000_000_000
"""UTC minus CLOCK_MONOTONIC of the boot in these tests."""


@dataclass(frozen=True)
class Stamped:
    mono_ns: int
    utc_us: int
    clock: str


class World:
    """A wall clock that somebody steps, looked at every second, with a stamp made at any time."""

    def __init__(self, offset_us: int, quality: str) -> None:
        self.offset_us, self.quality, self.mono_ns = offset_us, quality, 10 * SECOND_NS
        self.stamps: list[Stamped] = []
        self.corrections: list[Correction] = []
        self.stamp()
        self.timeline = clock.began(self.reading())

    def reading(self) -> Reading:
        return Reading(self.mono_ns, self.offset_us, self.quality)

    def stamp(self) -> None:
        self.stamps.append(Stamped(self.mono_ns, self.mono_ns // 1000 + self.offset_us, self.quality))

    def second(self, after_step: tuple[int, str] | None = None, step_at_ns: int = 0) -> None:
        """A second passes; the clock may be stepped in it, with a stamp before and one after."""
        began_ns = self.mono_ns
        self.stamp()
        if after_step is not None:
            self.mono_ns = began_ns + step_at_ns
            self.offset_us, self.quality = after_step
            self.stamp()
        self.mono_ns = began_ns + SECOND_NS
        self.timeline, found = clock.look(self.timeline, self.reading())
        self.corrections += found

    def synced(self) -> None:
        self.second((TRUTH_US, "synced"))
        self.second()
        self.second()

    def corrected(self, stamp: Stamped) -> int:
        """What a reader of the corrections makes of a stamp: the newest that covers it counts."""
        for each in reversed(self.corrections):
            if each.from_mono_ns <= stamp.mono_ns < each.to_mono_ns:
                return clock.true_utc_us(stamp.mono_ns, each.true_offset_us)
        return stamp.utc_us


def all_true(world: World) -> bool:
    return all(abs(world.corrected(each) - each.mono_ns // 1000 - TRUTH_US) < clock.STEP_US for each in world.stamps)


offsets = st.one_of(
    st.integers(0, 100).map(lambda s: s * 1_000_000),
    st.integers(-YEAR_US, YEAR_US).map(lambda off: TRUTH_US + off),
    st.integers(-2 * clock.STEP_US, 2 * clock.STEP_US).map(lambda off: TRUTH_US + off),
)
steps = st.none() | st.tuples(offsets, st.sampled_from(["unknown", "held", "synced"]))


@given(
    st.tuples(offsets, st.sampled_from(["unknown", "synced"])),
    st.lists(st.tuples(steps, st.integers(0, SECOND_NS - 1)), max_size=40),
)
def test_after_any_steps_and_wrong_syncs_a_true_one_puts_every_stamp_right(
    start: tuple[int, str], seconds: list[tuple[tuple[int, str] | None, int]]
) -> None:
    world = World(*start)
    for step, at_ns in seconds:
        world.second(step, at_ns)
    world.synced()
    assert world.timeline.truth_us is not None
    assert not clock.differs(world.timeline.truth_us, TRUTH_US)
    assert all_true(world)
    assert len(world.timeline.spans) <= clock.KEPT_SPANS


def test_starting_in_1970_is_one_correction_from_the_beginning_of_the_boot() -> None:
    world = World(0, "unknown")
    for _ in range(30):
        world.second()
    assert world.corrections == []
    world.synced()
    [found] = world.corrections
    assert (found.from_mono_ns, found.was_offset_us, found.true_offset_us) == (0, 0, TRUTH_US)
    assert found.quality == "unknown"
    assert found.matters
    assert all_true(world)


def test_a_step_back_and_forth_while_synchronised() -> None:
    world = World(TRUTH_US, "synced")
    world.second()
    world.second((TRUTH_US - HOUR_US, "synced"), SECOND_NS // 2)
    for _ in range(5):
        world.second()
    assert not clock.differs(world.timeline.truth_us or 0, TRUTH_US - HOUR_US), "the newest word counts"
    world.synced()
    assert all_true(world)


def test_a_year_forward_by_hand_is_never_believed() -> None:
    world = World(TRUTH_US, "synced")
    world.second()
    world.second((TRUTH_US + YEAR_US, "unknown"), SECOND_NS // 2)
    for _ in range(5):
        world.second()
    assert world.timeline.truth_us == TRUTH_US
    world.synced()
    assert all_true(world)
    assert any(each.was_offset_us == TRUTH_US + YEAR_US for each in world.corrections)


def test_a_flag_that_comes_before_the_step_is_not_believed() -> None:
    """The time service says in two moves that the clock is right."""
    world = World(0, "unknown")
    world.second((0, "synced"))
    world.second((TRUTH_US, "synced"), SECOND_NS // 2)
    world.second()
    assert {each.true_offset_us for each in world.corrections} == {TRUTH_US}


@given(st.lists(st.integers(-1000, 1000), max_size=600))
def test_slewing_and_the_jitter_of_reading_two_clocks_say_nothing(jitter_us: list[int]) -> None:
    world = World(TRUTH_US, "synced")
    world.second()
    told = len(world.corrections)
    assert told == 1
    assert not world.corrections[0].matters
    for each in jitter_us:
        world.second((TRUTH_US + each, "synced"))
    assert len(world.corrections) == told


def test_a_restarted_core_does_not_tell_again_what_its_predecessor_told() -> None:
    timeline = clock.began(Reading(SECOND_NS, TRUTH_US, "synced"), TRUTH_US)
    timeline, found = clock.look(timeline, Reading(2 * SECOND_NS, TRUTH_US, "synced"))
    assert found == ()
    late = clock.known_before(clock.began(Reading(SECOND_NS, TRUTH_US, "synced")), TRUTH_US)
    assert clock.look(late, Reading(2 * SECOND_NS, TRUTH_US, "synced"))[1] == ()


def test_a_predecessor_that_was_wrong_is_corrected() -> None:
    timeline = clock.began(Reading(SECOND_NS, TRUTH_US, "synced"), TRUTH_US - HOUR_US)
    _, [found] = clock.look(timeline, Reading(2 * SECOND_NS, TRUTH_US, "synced"))
    assert (found.from_mono_ns, found.true_offset_us) == (0, TRUTH_US)
