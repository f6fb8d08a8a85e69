"""First light, and the latch that outlives core."""

import os
from pathlib import Path

import msgspec
import pytest

from unitd.core.latch import MAX_LATCHES, Latch, Latched
from unitd.core.panel import Panel
from unitd.model.lamps import Lamps


class FakeLamp:
    """A lamp's level as the driver was last told."""

    def __init__(self) -> None:
        self.level = "off"

    def show(self, level: str) -> None:
        self.level = level

    def close(self) -> None:
        self.level = "off"


def panel_of(**lamps: FakeLamp) -> Panel:
    panel = Panel()
    for name, lamp in lamps.items():
        panel.fit(name, lamp)
    return panel


def latched(number: int, boot_id: str = "b") -> Latched:
    return Latched(f"press-{number}", f"incident-{number}", number, 0, "unknown", boot_id)


def test_first_light_holds_against_the_loop_until_settled() -> None:
    yellow, sounder = FakeLamp(), FakeLamp()
    panel = panel_of(yellow=yellow, sounder=sounder)
    panel.first_light()
    panel.show(Lamps("off", "off", "steady"), False)
    assert (yellow.level, sounder.level) == ("flashing", "steady")
    panel.settle()
    assert (yellow.level, sounder.level) == ("off", "off")


def test_first_light_never_dims_a_registered_call() -> None:
    yellow = FakeLamp()
    panel = panel_of(yellow=yellow, green=FakeLamp())
    panel.show(Lamps("steady", "steady", "steady"), False)
    panel.first_light()
    assert yellow.level == "steady"


def test_a_latched_press_is_found_by_the_successor_in_order(tmp_path: Path) -> None:
    first = Latch(tmp_path)
    for number in (2, 1):
        first.set(latched(number))
    first.set(latched(3, "another boot"))
    assert [each.press_id for each in Latch(tmp_path).pending("b")] == ["press-1", "press-2"]
    first.clear("press-1")
    assert [each.press_id for each in Latch(tmp_path).pending("b")] == ["press-2"]


def test_what_a_dead_core_left_half_written_is_counted_and_removed(tmp_path: Path) -> None:
    Latch(tmp_path).set(latched(1))
    (tmp_path / "latch" / "torn.json").write_bytes(b'{"press_id": "x"')
    (tmp_path / "latch" / ".temporary").write_bytes(b"")
    successor = Latch(tmp_path)
    assert len(successor.pending("b")) == 1
    assert successor.counts() == {"latch_failed": 0, "latch_beyond": 0, "latch_unreadable": 2}
    assert [each.name for each in (tmp_path / "latch").iterdir()] == ["press-1.json"]


def test_a_latch_whose_writer_died_before_its_name_is_a_press(tmp_path: Path) -> None:
    Latch(tmp_path).set(latched(1))
    whole = tmp_path / "latch" / "press-1.json"
    whole.rename(tmp_path / "latch" / ".press-1")
    successor = Latch(tmp_path)
    assert [each.press_id for each in successor.pending("b")] == ["press-1"]
    successor.clear("press-1")
    assert list((tmp_path / "latch").iterdir()) == []


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr("unitd.core.latch.os.write", lambda descriptor, data: write(descriptor, bytes(data[:7])))
    Latch(tmp_path).set(latched(1))
    monkeypatch.undo()
    assert [each.press_id for each in Latch(tmp_path).pending("b")] == ["press-1"]


def test_a_tmpfs_that_refuses_is_counted_and_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "latch").write_text("in the way")
    latch = Latch(tmp_path)
    latch.set(latched(1))
    assert latch.failed == 1
    assert latch.pending("b") == []


def test_latches_are_bounded(tmp_path: Path) -> None:
    latch = Latch(tmp_path)
    for number in range(MAX_LATCHES + 10):
        latch.set(latched(number))
    assert (latch.beyond, latch.failed) == (10, 0)
    for number in range(5):
        left = Latched(f"other-{number}", "i", number, 0, "unknown", "b")
        (tmp_path / "latch" / f"other-{number}.json").write_bytes(msgspec.json.encode(left))
    successor = Latch(tmp_path)
    assert len(successor.pending("b")) == MAX_LATCHES
    assert successor.beyond == 5


def test_a_lamp_fitted_late_takes_its_level() -> None:
    panel = Panel()
    panel.show(Lamps("steady", "off", "off"), False)
    yellow = FakeLamp()
    panel.fit("yellow", yellow)
    assert yellow.level == "steady"
