"""The arithmetic of the benchmarks and their table."""

import pytest

from tests.bench.figures import Row, median, per_day, percentile, table


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7.0], 95, 7.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 50, 2.5),
        ([float(n) for n in range(101)], 95, 95.0),
        ([0.0, 10.0], 95, 9.5),
        ([5.0, 1.0, 9.0], 0, 1.0),
        ([5.0, 1.0, 9.0], 100, 9.0),
    ],
)
def test_percentiles_are_interpolated_between_neighbours(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == pytest.approx(expected)


def test_a_percentile_of_nothing_is_an_error_and_not_a_figure() -> None:
    with pytest.raises(ValueError, match="no values"):
        median([])


def test_one_outlier_does_not_move_the_median() -> None:
    assert median([1.0, 1.0, 1.0, 1.0, 900.0]) == 1.0


def test_a_rate_is_carried_on_to_a_day() -> None:
    assert per_day(100, 60.0) == pytest.approx(144_000)


@pytest.mark.parametrize(
    ("value", "ceiling", "verdict"),
    [
        (2.0, 2.0, "ok"),
        (2.01, 2.0, "OVER"),
        (99.0, None, ""),
        (None, 2.0, "NOT MEASURED"),
        (None, None, "NOT MEASURED"),
    ],
)
def test_a_row_is_judged_by_its_ceiling(value: float | None, ceiling: float | None, verdict: str) -> None:
    assert Row("x", value, "s", ceiling).verdict == verdict


def test_the_table_is_aligned_and_says_what_is_over_and_why_nothing_is_there() -> None:
    rows = [
        Row("short", 0.5, "s", 1.0, "a note"),
        Row("a longer name", 251.4, "ms", 250.0, digits=0),
        Row("third", None, "", note="RuntimeError: no camera"),
    ]
    lines = table(rows).splitlines()
    assert lines[0].startswith("what")
    assert set(lines[1]) == {"-"}
    assert lines[2].index("0.50 s") + len("0.50 s") == lines[3].index("251 ms") + len("251 ms")
    assert "ok" in lines[2]
    assert "OVER" in lines[3]
    assert "NOT MEASURED" in lines[4]
    assert lines[4].endswith("RuntimeError: no camera")
    assert lines[2].index("a note") == lines[4].index("RuntimeError")
