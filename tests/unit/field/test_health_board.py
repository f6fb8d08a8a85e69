"""The parts' faults and facts become one health, told only when it changes."""

from unitd.field.health import Board, Facts
from unitd.messages.workers import Fault


def test_parts_are_put_together_and_told_on_change_only() -> None:
    told: list[tuple[tuple[Fault, ...], Facts]] = []
    board = Board(lambda faults, facts: told.append((faults, facts)))
    dome, modem = board.part("dome"), board.part("modem")
    lost = Fault(code="dome_lost", subject="/dev/dome")
    facts: Facts = {"modem.signal_dbm": -90}
    dome((lost,), {"dome.port": "/dev/dome"})
    modem((), facts)
    modem((), {"modem.signal_dbm": -90})
    assert told[-1] == ((lost,), {"dome.port": "/dev/dome", "modem.signal_dbm": -90})
    assert len(told) == 2
    dome((), {"dome.port": "/dev/dome"})
    assert told[-1][0] == ()


def test_a_part_may_go_on_changing_its_own_facts() -> None:
    told: list[Facts] = []
    report = Board(lambda _faults, facts: told.append(facts)).part("modem")
    facts: Facts = {"a": 1}
    report((), facts)
    facts["a"] = 2
    report((), facts)
    assert told == [{"a": 1}, {"a": 2}]
