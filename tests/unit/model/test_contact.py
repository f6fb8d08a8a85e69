"""The two-line contact: which movements are presses, which are faults of the cable, and that no press is lost."""

from hypothesis import given
from hypothesis import strategies as st

from unitd.model import contact, press
from unitd.model.contact import Contact, Line

MS = 1_000_000
S = 1000 * MS

Edge = tuple[int, Line, bool]


class Watched:
    """A contact and what it told, with time passing between edges as the press thread lets it."""

    def __init__(self, kind: contact.Kind = "no+nc", before: str = "") -> None:
        self.state = contact.begin(kind, before)
        self.presses: list[press.Accepted] = []
        self.faults: list[str] = [self.state.fault]

    def feed(self, edges: list[Edge], until_ns: int) -> "Watched":
        for at_ns, line, closed in edges:
            self.wait(at_ns - 1)
            self._take(contact.on_edge(self.state, line, closed, at_ns))
        self.wait(until_ns)
        return self

    def wait(self, until_ns: int) -> None:
        while (due := contact.deadline_ns(self.state)) is not None and due <= until_ns:
            self._take(contact.on_time(self.state, due))

    def _take(self, result: tuple[Contact, list[press.Accepted]]) -> None:
        self.state, told = result
        self.presses += told
        if self.state.fault != self.faults[-1]:
            self.faults.append(self.state.fault)


def touch(at_ns: int, held_ns: int, travel_ns: int = 2 * MS, lines: str = "both") -> list[Edge]:
    """One touch of a changeover contact: NC opens, NO closes, and back. `lines` = those whose wires work."""
    edges: list[Edge] = []
    if lines in ("both", "nc"):
        edges += [(at_ns, "nc", False), (at_ns + held_ns + 2 * travel_ns, "nc", True)]
    if lines in ("both", "no"):
        edges += [(at_ns + travel_ns, "no", True), (at_ns + travel_ns + held_ns, "no", False)]
    return sorted(edges)


def test_a_press_of_both_lines_is_felt_at_the_first_and_faultless() -> None:
    seen = Watched().feed(touch(S, 100 * MS), 10 * S)
    assert [each.edge_ns for each in seen.presses] == [S]
    assert seen.faults == [""]
    assert contact.at_rest(seen.state)


@given(
    held_ms=st.lists(st.integers(12, 4000), min_size=1, max_size=8),
    pause_ms=st.integers(120, 3000),
    travel_ms=st.integers(0, 20),
    lines=st.sampled_from(["both", "no", "nc"]),
)
def test_each_touch_is_one_press_whichever_wire_is_broken(
    held_ms: list[int], pause_ms: int, travel_ms: int, lines: str
) -> None:
    edges, at_ns = [], S
    for held in held_ms:
        edges += touch(at_ns, held * MS, travel_ms * MS, lines)
        at_ns += (held + pause_ms + 4 * travel_ms) * MS
    seen = Watched().feed(edges, at_ns + 10 * S)
    assert len(seen.presses) == len(held_ms)
    assert seen.state.fault == ("" if lines == "both" else "button_disagrees")
    assert contact.at_rest(seen.state)


def test_a_cut_cable_is_a_fault_and_no_press_and_heals() -> None:
    seen = Watched().feed([(S, "nc", False)], S + contact.CUT_AFTER_NS + 100 * MS)
    assert (seen.presses, seen.state.fault) == ([], "button_cable")
    assert contact.at_rest(seen.state)  # the light and the latch that NC's opening was owed are taken back
    seen.feed([(3600 * S, "nc", True)], 3601 * S)
    assert (seen.presses, seen.state.fault) == ([], "")


def test_no_still_works_while_nc_is_cut() -> None:
    seen = Watched().feed([(S, "nc", False)], 10 * S)
    seen.feed([(20 * S, "no", True), (20 * S + 300 * MS, "no", False)], 30 * S)
    assert [each.edge_ns for each in seen.presses] == [20 * S]
    assert seen.state.fault == "button_cable"


def test_a_predecessors_cut_is_the_same_cut() -> None:
    seen = Watched(before="button_cable")
    seen.state = contact.at_start(seen.state, no_closed=False, nc_closed=False, now_ns=S)
    seen.feed([(S, "nc", False), (5 * S, "nc", True)], 10 * S)
    assert (seen.presses, seen.state.fault) == ([], "")
    mended = contact.at_start(contact.begin("no+nc", "button_cable"), no_closed=False, nc_closed=True, now_ns=S)
    assert mended.fault == ""


def test_leaning_on_a_button_whose_no_wire_is_broken_is_a_press_when_it_ends() -> None:
    seen = Watched().feed([(S, "nc", False), (9 * S, "nc", True)], 60 * S)
    assert [each.edge_ns for each in seen.presses] == [S]
    assert seen.faults == ["", "button_cable", "button_disagrees"]


def test_shorted_nc_is_found_by_a_press_and_forgotten_after_a_good_one() -> None:
    seen = Watched().feed(touch(S, 100 * MS, lines="no"), 5 * S)
    assert (len(seen.presses), seen.state.fault) == (1, "button_disagrees")
    seen.feed(touch(10 * S, 100 * MS), 20 * S)
    assert (len(seen.presses), seen.state.fault) == (2, "")


def test_shorted_no_is_one_press_and_nc_is_heard_alone() -> None:
    seen = Watched().feed([(S, "no", True)], 10 * S)
    assert (len(seen.presses), seen.state.fault) == (1, "button_disagrees")
    assert contact.held_ns(seen.state, 61 * S) == 60 * S
    assert contact.fresh(seen.state, "nc", False)
    seen.feed([(70 * S, "nc", False), (71 * S, "nc", True)], 80 * S)
    assert [each.edge_ns for each in seen.presses] == [S, 70 * S]


@given(st.lists(st.integers(1, 5 * MS - 1), min_size=1, max_size=30), st.data())
def test_isolated_sparks_on_either_line_never_fire(sparks_ns: list[int], data: st.DataObject) -> None:
    edges: list[Edge] = []
    at_ns = S
    for spark_ns in sparks_ns:
        line: Line = data.draw(st.sampled_from(["no", "nc"]))
        edges += [(at_ns, line, line == "no"), (at_ns + spark_ns, line, line != "no")]
        at_ns += spark_ns + 50 * MS
    seen = Watched().feed(edges, at_ns + 10 * S)
    assert (seen.presses, seen.faults) == ([], [""])
    assert contact.at_rest(seen.state)


@given(st.integers(3, 4), st.lists(st.integers(1000, 3 * MS), max_size=20), st.integers(20, 500))
def test_bounce_on_both_lines_fires_once(seed: int, bounce_ns: list[int], held_ms: int) -> None:
    while sum(bounce_ns) > 10 * MS or len(bounce_ns) % 2:
        bounce_ns = bounce_ns[:-1]
    edges: list[Edge] = []
    for line, at_ns in (("nc", S), ("no", S + seed * MS)):
        touched = True
        for interval_ns in (*bounce_ns, held_ms * MS):
            edges.append((at_ns, line, touched == (line == "no")))  # type: ignore[arg-type]
            at_ns, touched = at_ns + interval_ns, not touched
        edges.append((at_ns, line, touched == (line == "no")))  # type: ignore[arg-type]
    seen = Watched().feed(sorted(edges), 10 * S)
    assert len(seen.presses) == 1
    assert seen.state.fault == ""


@given(
    st.sampled_from(["no", "nc", "no+nc"]),
    st.lists(
        st.tuples(st.integers(0, 10 * S), st.sampled_from(["no", "nc"]), st.booleans(), st.booleans()), max_size=60
    ),
)
def test_any_order_of_times_raises_nothing_and_comes_to_rest(
    kind: contact.Kind, steps: list[tuple[int, Line, bool, bool]]
) -> None:
    state = contact.begin(kind)
    lines: tuple[Line, ...] = ("no", "nc") if kind == "no+nc" else (("nc",) if kind == "nc" else ("no",))
    for at_ns, line, closed, as_time in steps:
        if as_time:
            state, _ = contact.on_time(state, at_ns)
        elif line in lines:
            state, _ = contact.on_edge(state, line, closed, at_ns)
    now_ns = 100 * S
    for line in lines:
        state, _ = contact.on_edge(state, line, line == "nc", now_ns)
    for _ in range(20):
        now_ns += S
        state, told = contact.on_time(state, now_ns)
    assert contact.deadline_ns(state) is None
    assert contact.at_rest(state)
    state, _ = contact.on_edge(state, lines[0], lines[0] != "nc", now_ns)
    state, told = contact.on_time(state, now_ns + press.ACCEPT_NS)
    if kind != "no+nc":
        assert len(told) == 1


def test_one_line_is_judged_by_the_glitch_filter_alone() -> None:
    for kind, closes in (("no", True), ("nc", False)):
        line: Line = kind  # type: ignore[assignment]
        seen = Watched(kind).feed([(S, line, closes), (S + 200 * MS, line, not closes)], 5 * S)  # type: ignore[arg-type]
        assert [each.edge_ns for each in seen.presses] == [S]
        assert seen.faults == [""]
    cut = Watched("nc").feed([(S, "nc", False)], 3600 * S)
    assert len(cut.presses) == 1
    assert contact.held_ns(cut.state, 3600 * S) == 3599 * S


def test_an_old_spark_of_nc_is_no_part_of_a_later_press() -> None:
    seen = Watched().feed([(S, "nc", False), (S + 2 * MS, "nc", True)], 5 * S)
    seen.feed(touch(10 * S, 100 * MS, lines="no"), 20 * S)
    assert [each.edge_ns for each in seen.presses] == [10 * S + 2 * MS]
    assert seen.state.fault == "button_disagrees"
