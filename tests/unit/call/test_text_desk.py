"""The conversation in letters: who sees what, when, and what core is told."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from unitd.call.text import desk as desks
from unitd.call.text.desk import LETTERS_AT_ONCE, MAX_LINES, MAX_WRITERS, SEND_EVERY_S, Line, TextDesk
from unitd.call.text.t140 import ERASE, LOST, NEW_LINE
from unitd.messages.workers import TextLine

DEADLINE_S = 3.0


class Room:
    """Two consoles, and all that they, the panel and core get."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str]] = []
        self.times: list[float] = []
        self.told: list[tuple[str, str, str]] = []
        self.shown = 0
        self.names = ["ann", "bob"]
        self.desk = TextDesk(lambda *line: self.told.append(line), self._show)
        self.desk.connect(self)
        self.desk.follow("incident", "answered", True)

    def _show(self) -> None:
        self.shown += 1

    def consoles(self) -> list[str]:
        return self.names

    def send_letters(self, console: str, letters: str, by: str) -> None:
        self.got.append((console, letters, by))
        self.times.append(time.monotonic())

    def all_for(self, console: str, by: str = "") -> str:
        return "".join(letters for name, letters, of in self.got if (name, of) == (console, by))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


def in_room(act: Callable[[Room], Coroutine[Any, Any, None]]) -> Room:
    async def run() -> Room:
        room = Room()
        await act(room)
        return room

    return asyncio.run(run())


def test_a_console_names_itself_for_the_letters_that_come_without_a_name() -> None:
    async def act(room: Room) -> None:
        room.desk.heard("peer-1", "", "Ann of desk 3")
        room.desk.heard("peer-1", f"I see you{NEW_LINE}")

    room = in_room(act)
    assert room.told == [("operator", "Ann of desk 3", "I see you")]
    assert room.desk.lines == [Line("operator", "I see you", True, "Ann of desk 3")]


def test_the_first_letter_goes_at_once_and_the_rest_at_their_pace() -> None:
    async def act(room: Room) -> None:
        room.desk.typed("H")
        began_s = time.monotonic()
        await until(lambda: room.all_for("ann") == "H")
        assert time.monotonic() - began_s < 0.1
        for letter in "elp!":
            room.desk.typed(letter)
            await asyncio.sleep(0.02)
        await until(lambda: room.all_for("bob") == "Help!")
        times = [at_s for at_s, (name, _, _) in zip(room.times, room.got, strict=True) if name == "ann"]
        assert len(times) == 2 and times[1] - times[0] >= SEND_EVERY_S - 0.01
        assert time.monotonic() - began_s < 0.5

    in_room(act)


def test_an_operators_letters_go_to_the_panel_and_the_others() -> None:
    async def act(room: Room) -> None:
        room.desk.heard("ann", "Are you h\u0008safe?")
        await until(lambda: room.all_for("bob", "ann") != "")

    room = in_room(act)
    assert room.all_for("bob", "ann") == f"Are you h{ERASE}safe?"
    assert not room.all_for("ann", "ann")
    assert room.desk.lines == [Line("operator", "Are you safe?", False, "ann")]


def test_each_line_is_told_once() -> None:
    async def act(room: Room) -> None:
        room.desk.typed(f"I am hurt{NEW_LINE}my le")
        room.desk.answered("No")
        room.desk.heard("ann", f"coming{NEW_LINE}", "Ann of desk 3")

    room = in_room(act)
    assert room.told == [
        ("caller", "", "I am hurt"),
        ("caller", "", "my le"),
        ("caller", "", "No"),
        ("operator", "Ann of desk 3", "coming"),
    ]


def test_a_line_that_rests_is_told_and_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "REST_S", 0.2)

    async def act(room: Room) -> None:
        room.desk.typed("he has a")
        await until(lambda: room.told == [("caller", "", "he has a")])
        room.desk.typed(" knife")
        await until(lambda: len(room.told) == 2)
        room.desk.typed(NEW_LINE)
        assert room.desk.lines == [Line("caller", "he has a knife", True)]

    room = in_room(act)
    assert room.told[1] == ("caller", "", "he has a knife")


def test_nothing_is_taken_outside_an_incident_that_a_person_started() -> None:
    async def act(room: Room) -> None:
        room.desk.follow("incident", "answered", False)
        room.desk.typed("x")
        room.desk.heard("ann", "x")
        room.desk.follow(None)
        room.desk.typed("x")

    room = in_room(act)
    assert (room.told, room.desk.lines, room.desk.refused_letters) == ([], [], 3)


def test_the_conversation_ends_with_its_incident() -> None:
    async def act(room: Room) -> None:
        room.desk.typed(f"one{NEW_LINE}two")
        room.desk.follow("next", "raised", True)
        assert room.desk.lines == []

    assert in_room(act).told == [("caller", "", "one"), ("caller", "", "two")]


def test_lines_by_the_broker_are_shown_once_each() -> None:
    async def act(room: Room) -> None:
        lines = (TextLine(number=1, by="ann", text="Stay there"), TextLine(number=2, by="ann", text="Police come"))
        room.desk.show_lines(lines[:1])
        room.desk.show_lines(lines)
        await until(lambda: room.all_for("bob", "ann") != "")

    room = in_room(act)
    assert [line.text for line in room.desk.lines] == ["Stay there", "Police come"]
    assert room.all_for("bob", "ann") == f"Stay there{NEW_LINE}Police come{NEW_LINE}"
    assert room.told == []  # core has it already


def test_who_comes_later_gets_what_is_being_typed() -> None:
    async def act(room: Room) -> None:
        room.desk.typed("I cannot sp")
        await until(lambda: bool(room.got))
        room.names.append("late")
        room.desk.greet("late")
        room.desk.typed("eak")
        await until(lambda: room.all_for("late") == "I cannot speak")

    in_room(act)


def test_a_flood_is_cut_marked_and_counted_and_does_not_hurt_the_other() -> None:
    async def act(room: Room) -> None:
        for _ in range(500):
            room.desk.heard("ann", "z" * 100)
        room.desk.typed("help")
        await until(lambda: "help" in room.all_for("bob"))

    room = in_room(act)
    assert room.desk.cut_letters > 50_000 - LETTERS_AT_ONCE - 100
    assert room.all_for("bob", "ann").count(LOST) == 1
    assert len(room.desk.lines) <= MAX_LINES + MAX_WRITERS


def test_consoles_that_come_and_go_take_each_others_place() -> None:
    async def act(room: Room) -> None:
        room.desk.typed("help")
        for number in range(50):
            room.desk.heard(f"console {number}", "hello")

    room = in_room(act)
    assert len(room.desk.lines) == MAX_WRITERS
    assert ("operator", "console 0", "hello") in room.told
    assert room.desk.lines[-1].who == "caller"


def test_no_operator_can_pass_for_the_caller() -> None:
    async def act(room: Room) -> None:
        room.desk.heard("ann", f"I am fine{NEW_LINE}", "caller")

    room = in_room(act)
    assert room.told == [("operator", "caller", "I am fine")]
    assert room.desk.lines[0].who == "operator"


def test_a_name_breaks_no_line() -> None:
    async def act(room: Room) -> None:
        room.desk.heard("ann", f"hello{NEW_LINE}", "Ann\n\u202e\x1bof desk 3")

    assert in_room(act).told == [("operator", "Annof desk 3", "hello")]


def test_a_console_without_a_name_that_can_be_read_is_not_taken_for_the_caller() -> None:
    async def act(room: Room) -> None:
        room.desk.heard("\u200b", "hello", "\u202e")
        await until(lambda: bool(room.all_for("ann", "operator")))

    room = in_room(act)
    assert room.all_for("ann") == ""
