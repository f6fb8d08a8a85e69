"""The arithmetic of the table: each figure from a case that was made up to have it."""

from typing import Any

from tests.live.cases import CASES, Case, Goal, named
from tests.live.figures import as_json, figures
from tests.live.report import markdown, page
from tests.live.shape import Shape, both
from tests.live.voice import Heard

FROM_S = 1000.0
SECONDS = 20.0
HEARD = Heard(stoi=0.97, gaps=[(5.0, 5.5)], series=[(0.0, 0.97)])


def _raw(shown: list[float], sent_kbit_s: float = 1000.0, age_ms: int = 80, **fields: Any) -> dict[str, Any]:
    frames = [[FROM_S + at, round((FROM_S + at) * 1000) - age_ms, 1280] for at in shown]
    offered = [round(sent_kbit_s * 12.5)] * 300
    return {
        "seconds": SECONDS, "press_s": FROM_S - 0.6, "from_s": FROM_S, "frames": frames, "stills": [], "messages": [],
        "stats": [], "heard_from_s": FROM_S, "horn_from_s": FROM_S, "steps": [], "cpu_s": 2.0, "peak_mb": 90.0,
        "link": {"stalled_s": 0.2, "mono_s": FROM_S - 5.0, "up": {"offered": offered, "foreign": []}},
    } | fields  # fmt: skip


def _every(step_s: float, begin: float = 0.0, end: float = SECONDS) -> list[float]:
    return [begin + index * step_s for index in range(int((end - begin) / step_s))]


def _case(goal: Goal = Goal(), **fields: Any) -> Case:  # noqa: B008 - frozen
    return Case("made", "made up", (both(0, Shape(kbit_s=2000)),), goal, **fields)


def test_a_steady_picture() -> None:
    made = figures(_case(), _raw(_every(0.05)), HEARD, HEARD)
    assert made.shown == 400
    assert (made.freezes, made.frozen_s) == (0, 0)
    assert made.p50_ms is not None
    assert abs(made.p50_ms - 80) < 2
    assert made.first_picture_s is not None
    assert abs(made.first_picture_s - 0.6) < 1e-6
    assert abs(made.cpu_s_a_minute - 6.0) < 1e-9
    assert abs(made.out_gap_s - 0.5) < 1e-6
    assert made.misses == []


def test_a_freeze_is_found_and_forgiven_only_where_the_case_says_so() -> None:
    shown = _every(0.05, 0, 8) + _every(0.05, 10, SECONDS)
    made = figures(_case(Goal(frozen_s=0.0)), _raw(shown), HEARD, HEARD)
    assert made.freezes == 1
    assert 2.0 <= made.frozen_s < 2.1
    assert any("frozen" in miss for miss in made.misses)
    forgiven = figures(_case(Goal(frozen_s=0.1), forgiven_s=(7.0, 11.0)), _raw(shown), HEARD, HEARD)
    assert forgiven.counted_frozen_s < 0.1
    assert forgiven.misses == []


def test_a_picture_that_is_painted_twice_does_not_hide_a_freeze() -> None:
    raw = _raw(_every(0.05, 0, 8))
    last = raw["frames"][-1]
    raw["frames"] += [[FROM_S + at, last[1], 1280] for at in _every(0.05, 8, SECONDS)]
    assert figures(_case(), raw, HEARD, HEARD).frozen_s > 11


def test_stills_shorten_the_longest_gap_but_are_no_stream() -> None:
    raw = _raw(_every(0.05, 0, 2), stills=[[FROM_S + at, None, 9000] for at in _every(1.0, 2, SECONDS)])
    made = figures(_case(), raw, HEARD, HEARD)
    assert made.longest_gap_s <= 1.06
    assert made.frozen_s > 17
    assert made.stills == 18


def test_no_picture_at_all_is_a_freeze_of_the_whole_case() -> None:
    made = figures(_case(Goal(p95_ms=90)), _raw([]), HEARD, HEARD)
    assert made.first_picture_s is None
    assert made.frozen_s == SECONDS
    assert made.misses


def test_bytes_above_capacity_are_a_share_of_it() -> None:
    under = figures(_case(), _raw(_every(0.05), 1900), HEARD, HEARD)
    assert under.over_capacity == 0.0
    over = figures(_case(), _raw(_every(0.05), 3000), HEARD, HEARD)
    assert over.over_capacity is not None
    assert abs(over.over_capacity - 0.5) < 0.01
    assert any("capacity" in miss for miss in over.misses)


def test_a_competing_flow_is_not_counted_as_ours() -> None:
    raw = _raw(_every(0.05), 3000)
    raw["link"]["up"]["foreign"] = [round(2500 * 12.5)] * 300
    made = figures(_case(), raw, HEARD, HEARD)
    assert abs(made.sent_kbit_s - 500) < 5
    assert made.over_capacity == 0.0


def test_what_is_sent_into_an_outage_is_above_capacity() -> None:
    shape = Shape(kbit_s=2000)
    moments = (both(0, shape), both(5, Shape(kbit_s=2000, cut=True)), both(18, shape))
    made = figures(Case("made", "made up", moments), _raw(_every(0.05), 1000), HEARD, HEARD)
    assert made.over_capacity is not None
    assert abs(made.over_capacity - 0.5) < 0.02


def test_back_after_an_outage() -> None:
    moments = (both(0, Shape()), both(5, Shape(cut=True)), both(8, Shape()))
    case = Case("made", "made up", moments, Goal(voice_back_s=2, picture_back_s=3))
    raw = _raw(_every(0.05, 0, 5) + _every(0.05, 9.5, SECONDS))
    voice = Heard(stoi=0.8, gaps=[(5.1, 9.0)])
    made = figures(case, raw, voice, Heard(stoi=0.8))
    assert made.picture_back_s is not None
    assert abs(made.picture_back_s - 1.5) < 0.1
    assert made.voice_back_s is not None
    assert abs(made.voice_back_s - 1.0) < 0.1
    never = figures(case, _raw(_every(0.05, 0, 5)), voice, voice)
    assert never.picture_back_s is None
    assert any("picture back" in miss for miss in never.misses)


def test_the_ladder_as_the_console_was_told_it() -> None:
    told = [[FROM_S + at, {"type": "link", "step": step}] for at, step in ((1, "main"), (2, "main"), (3, "sub"))]
    assert figures(_case(), _raw(_every(0.05), messages=told), HEARD, HEARD).steps == [(1.0, "main"), (3.0, "sub")]


def test_every_case_can_be_shortened_and_an_outage_keeps_its_length() -> None:
    for case in CASES:
        short = named(case.name, 15.0)
        assert [each.up for each in short.moments] == [each.up for each in case.moments]
    moments = named("outage-3", 15.0).moments
    assert abs(moments[2].at_s - moments[1].at_s - 3.0) < 1e-9


def test_table_and_page_hold_every_case_even_one_that_failed() -> None:
    made = as_json(figures(_case(Goal(p95_ms=10)), _raw(_every(0.05)), HEARD, HEARD))
    results = {"made": made, "made/off": made, "lost": {"title": "lost", "error": "<no such device>"}}
    assert markdown(results).count("\n") == 5
    assert "made up, controller off" in markdown(results)
    html = page(results, "a machine")
    assert html.count("<svg") == 6
    assert "&lt;no such device&gt;" in html
    assert "Missed: p95" in html
