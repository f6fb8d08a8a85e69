"""The glitch filter's promises, over any train of edges."""

from hypothesis import given
from hypothesis import strategies as st

from unitd.model import press

MS = 1_000_000


def presses(edges: list[tuple[int, bool]], until_ns: int) -> list[press.Accepted]:
    """What the filter accepts of `edges`, with time passing in between as the press thread lets it."""
    state, accepted = press.Filter(), []
    for at_ns, closed in edges:
        while (due := press.deadline_ns(state)) is not None and due < at_ns:
            state, fired = press.on_time(state, due)
            accepted += [fired] if fired else []
        state, fired = press.on_edge(state, closed, at_ns)
        accepted += [fired] if fired else []
    while (due := press.deadline_ns(state)) is not None and due <= until_ns:
        state, fired = press.on_time(state, due)
        accepted += [fired] if fired else []
    return accepted


def train(durations_ns: list[int], start_ns: int = 0) -> list[tuple[int, bool]]:
    """Edges that begin by closing and alternate after each duration."""
    edges, at_ns, closed = [], start_ns, True
    for duration_ns in durations_ns:
        edges.append((at_ns, closed))
        at_ns, closed = at_ns + duration_ns, not closed
    edges.append((at_ns, closed))
    return edges


def test_clean_press_fires_once_within_15_ms() -> None:
    [accepted] = presses(train([40 * MS]), 10**12)
    assert accepted.edge_ns == 0
    assert accepted.accepted_ns <= 15 * MS


@given(st.lists(st.integers(1000, 3 * MS), max_size=20))
def test_bounce_then_closed_fires_exactly_once(bounce_ns: list[int]) -> None:
    while sum(bounce_ns) > 10 * MS:
        bounce_ns = bounce_ns[:-1]
    bounce_ns = bounce_ns[: len(bounce_ns) // 2 * 2]  # ends open, so that the long closure follows
    [accepted] = presses(train([*bounce_ns, 20 * MS]), 10**12)
    assert accepted.edge_ns == 0


@given(st.lists(st.integers(1, 5 * MS - 1), min_size=1, max_size=50))
def test_isolated_sparks_never_fire(sparks_ns: list[int]) -> None:
    durations = [each for spark in sparks_ns for each in (spark, 50 * MS)]
    assert presses(train(durations[:-1]), 10**13) == []


def test_leaning_fires_once_however_long() -> None:
    assert len(presses(train([3600 * 10**9]), 10**13)) == 1


def test_release_bounce_does_not_fire_again() -> None:
    assert len(presses(train([100 * MS, 2 * MS, 9 * MS, 3 * MS, 10 * MS]), 10**13)) == 1


def test_ten_quick_presses_are_ten() -> None:
    assert len(presses(train([60 * MS, 70 * MS] * 9 + [60 * MS]), 10**13)) == 10


def test_a_level_told_twice_is_no_edge() -> None:
    assert len(presses([(0, True), (5 * MS, True), (40 * MS, False)], 10**12)) == 1


@given(st.lists(st.integers(5 * MS, 20 * MS - 1), min_size=1, max_size=30))
def test_between_a_spark_and_a_press_either_will_do_but_never_twice(closures_ns: list[int]) -> None:
    durations = [each for closure in closures_ns for each in (closure, 50 * MS)]
    assert len(presses(train(durations[:-1]), 10**13)) <= len(closures_ns)


@given(st.lists(st.tuples(st.integers(-(10**10), 10**10), st.booleans(), st.booleans()), max_size=60))
def test_times_in_any_order_raise_nothing_and_the_next_press_fires(
    steps: list[tuple[int, bool, bool]],
) -> None:
    state = press.Filter()
    for at_ns, closed, as_time in steps:
        state, _ = press.on_time(state, at_ns) if as_time else press.on_edge(state, closed, at_ns)
    state, _ = press.on_edge(state, False, 10**11)
    state, _ = press.on_time(state, 2 * 10**11)
    assert press.deadline_ns(state) is None
    state, _ = press.on_edge(state, True, 3 * 10**11)
    _, accepted = press.on_time(state, 3 * 10**11 + press.ACCEPT_NS)
    assert accepted == press.Accepted(3 * 10**11, 3 * 10**11 + press.ACCEPT_NS)


@given(st.integers(0, 10**12), st.lists(st.booleans(), min_size=1, max_size=20))
def test_edges_of_one_and_the_same_time_are_no_press(at_ns: int, levels: list[bool]) -> None:
    assert presses([(at_ns, level) for level in levels] + [(at_ns, False)], at_ns + 10**10) == []
