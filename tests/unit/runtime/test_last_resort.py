"""A thread that hangs for good ends its process, once in ten minutes and not in a circle."""

from pathlib import Path

import pytest
import structlog

from unitd.runtime.last_resort import AGAIN_S, STUCK_S, LastResort

S = 1_000_000_000


class Rig:
    """A process that counts its ends, and starts again with the same stamp."""

    def __init__(self, stamp: Path) -> None:
        self.stamp = stamp
        self.now_ns = 5 * S
        self.ends = 0
        self.start()

    def start(self) -> None:
        log = structlog.get_logger(level=100)
        self.resort = LastResort(self.stamp, log, lambda: self.now_ns, self._end)

    def _end(self) -> None:
        self.ends += 1


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "field.stuck")


def test_what_is_well_or_slow_ends_nothing(rig: Rig) -> None:
    rig.resort.watch("dome", lambda: 0.0)
    rig.resort.watch("modem", lambda: STUCK_S)
    rig.resort.look()
    assert rig.ends == 0
    assert not rig.stamp.exists()


def test_one_that_hangs_ends_the_process_once_in_ten_minutes_over_restarts(rig: Rig) -> None:
    ends_at = []
    for second in range(0, 1800, 10):
        rig.now_ns = second * S
        rig.start()
        rig.resort.watch("dome", lambda: STUCK_S + 1)
        rig.resort.look()
        if rig.ends > len(ends_at):
            ends_at.append(second)
    assert ends_at == [0, AGAIN_S, 2 * AGAIN_S]


@pytest.mark.parametrize("content", ["", "rubbish", "99999999999999999999"])
def test_a_stamp_of_another_boot_or_of_nobody_counts_for_nothing(rig: Rig, content: str) -> None:
    rig.stamp.write_text(content)
    rig.resort.watch("dome", lambda: STUCK_S + 1)
    rig.resort.look()
    assert rig.ends == 1


def test_without_a_stamp_nothing_is_ended(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "no" / "such" / "place")
    rig.resort.watch("dome", lambda: STUCK_S + 1)
    rig.resort.look()
    assert rig.ends == 0
