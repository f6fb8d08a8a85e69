"""The conversation in letters between the caller's panel and every operator's console.

Letters go on as they are typed: the first at once, then every SEND_EVERY_S at most (RFC 4103, 5.1), so that one is seen
within 500 ms (EN 301 549, 6.2.4). Each line that ends, and each that rests, is told to core and becomes evidence.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from unitd.call.text.t140 import LOST, NEW_LINE, Writing, pieces
from unitd.messages.workers import TextLine

SEND_EVERY_S = 0.3
SHOW_EVERY_S = 0.1
"""The panel's display is beside the one who reads it: nothing is gained by making it wait longer."""
REST_S = 5.0
"""A line at which nobody has typed for so long is told to core as it stands."""
LETTERS_PER_S, LETTERS_AT_ONCE = 30.0, 400.0
"""Of one writer. Nobody types so quickly; a pasted paragraph and a quick answer pass. More is cut and counted."""
MAX_LINES = 30
"""Shown on the panel, the open ones besides."""
MAX_WRITERS = 8
"""With the caller. A console too many takes the place of the operator who has typed nothing for the longest."""
MAX_PENDING = 2000
MAX_PIECE = 900
THE_CALLER = ""
"""Among the writers; all others go by the name of their console."""


class Consoles(Protocol):
    """The operators' end of the conversation, while there is a call."""

    def consoles(self) -> Iterable[str]:
        """Everybody who reads along."""

    def send_letters(self, console: str, letters: str, by: str) -> None:
        """`by` is empty for the caller's own letters. What cannot go is lost: the line comes again as evidence."""


@dataclass(frozen=True)
class Line:
    """As the panel shows it: `who` is `caller` or `operator`."""

    who: str
    text: str
    done: bool
    by: str = ""


@dataclass
class Writer:
    """`told`: what core knows of the open line. `was_cut`: letters are missing, and the gap has its mark."""

    who: str
    by: str
    writing: Writing = field(default_factory=Writing)
    credit: float = LETTERS_AT_ONCE
    credit_s: float = 0.0
    last_s: float = 0.0
    told: str = ""
    was_cut: bool = False


class TextDesk:
    """Lives on the loop; nothing blocks. `tell(who, by, words)` gets each line for core, `show()` is called when the
    panel's display has changed (at most every SHOW_EVERY_S)."""

    def __init__(self, tell: Callable[[str, str, str], None], show: Callable[[], None]) -> None:
        self._tell, self._show = tell, show
        self._loop = asyncio.get_running_loop()
        self.incident_id: str | None = None
        self.stage = ""
        self.is_open = False
        self._consoles: Consoles | None = None
        self._writers: dict[str, Writer] = {}
        self._lines: list[Line] = []
        self._waiting: dict[tuple[str, str], str] = {}
        self._known: set[str] = set()
        self._shown_number = 0
        self._sent_s = self._show_s = 0.0
        self._send_timer: asyncio.TimerHandle | None = None
        self._show_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self.cut_letters = 0
        self.refused_letters = 0

    # --- levels -----------------------------------------------------------------------------------------------------

    def follow(self, incident_id: str | None, stage: str = "", is_open: bool = False) -> None:
        """Which incident is talked in, and whether letters are taken in it: only in one that a person started. Another
        one, or none, clears the conversation."""
        if incident_id != self.incident_id:
            self._finish()
            self.incident_id = incident_id
        elif (stage, is_open) == (self.stage, self.is_open):
            return
        self.stage, self.is_open = stage, is_open
        self._show_soon()

    def connect(self, consoles: Consoles | None) -> None:
        """The call whose consoles read along from now on."""
        if consoles is not self._consoles:
            self._consoles = consoles
            self._known.clear()
            self._waiting.clear()

    def show_lines(self, lines: Iterable[TextLine]) -> None:
        """Lines that came by MQTT: each is shown once, by its number. Core has told of them."""
        for line in lines:
            if line.number > self._shown_number and self.incident_id is not None:
                self._shown_number = line.number
                taken = Writing().take(line.text + NEW_LINE)
                for words in taken.lines:
                    self._add(Line("operator", words, True, _name(line.by)))
                self._pass_on(taken.letters, _name(line.by) or "operator", except_for="")

    @property
    def lines(self) -> list[Line]:
        """What the panel shows, oldest first; open lines last, the caller's at the very end."""
        writers = sorted(self._writers.values(), key=lambda writer: writer.who == "caller")
        typing = [Line(each.who, each.writing.open, False, each.by) for each in writers if each.writing.open]
        return self._lines + typing

    # --- letters ----------------------------------------------------------------------------------------------------

    def typed(self, letters: str) -> None:
        """By the caller, at the panel."""
        self._letters(THE_CALLER, "", letters)

    def answered(self, words: str) -> None:
        """A quick answer: a whole line, after what the caller may have begun."""
        caller = self._writers.get(THE_CALLER)
        begun = NEW_LINE if caller is not None and caller.writing.open else ""
        self._letters(THE_CALLER, "", begun + words + NEW_LINE)

    def heard(self, console: str, letters: str, by: str = "") -> None:
        """By an operator. `by` is the name that the console gives, else the one that it gave last (a data channel has
        no room for names; no letters with a name are the name alone), else it is known by its own."""
        known = self._writers.get(console)
        name = _name(by) or (known.by if known is not None else "") or _name(console)
        self._letters(console, name or "operator", letters)  # none at all is the caller's mark

    def greet(self, console: str) -> None:
        """Somebody new reads along: he gets what the caller has begun."""
        caller = self._writers.get(THE_CALLER)
        if self.incident_id is not None and caller is not None and caller.writing.open:
            self._waiting[console, ""] = caller.writing.open
            self._send_soon()

    def _letters(self, name: str, by: str, letters: str) -> None:
        if not self.is_open or self.incident_id is None:
            self.refused_letters += len(letters)
            return
        writer = self._writers.get(name)
        if writer is None:
            self._make_room()
            who = "caller" if name == THE_CALLER else "operator"
            writer = self._writers[name] = Writer(who, by, credit_s=time.monotonic())
        writer.by = by
        taken = writer.writing.take(self._within_pace(writer, letters))
        if not taken.letters:
            return
        writer.last_s = time.monotonic()
        for words in taken.lines:
            self._add(Line(writer.who, words, True, by))
            self._tell(writer.who, by, words)
        if NEW_LINE in taken.letters:
            writer.told = ""
        self._pass_on(taken.letters, by, except_for=name)
        self._show_soon()
        self._rest_soon()

    def _make_room(self) -> None:
        operators = {name: writer for name, writer in self._writers.items() if name != THE_CALLER}
        if len(operators) >= MAX_WRITERS - 1:
            oldest = min(operators, key=lambda name: operators[name].last_s)
            self._tell_open(self._writers.pop(oldest))

    def _within_pace(self, writer: Writer, letters: str) -> str:
        now_s = time.monotonic()
        writer.credit = min(LETTERS_AT_ONCE, writer.credit + (now_s - writer.credit_s) * LETTERS_PER_S)
        writer.credit_s = now_s
        fit = letters[: int(writer.credit)]
        writer.credit -= len(fit)
        self.cut_letters += len(letters) - len(fit)
        was_cut, writer.was_cut = writer.was_cut, len(fit) < len(letters)
        return fit + LOST if writer.was_cut and not was_cut else fit

    def _add(self, line: Line) -> None:
        self._lines = [*self._lines, line][-MAX_LINES:]
        self._show_soon()

    # --- to the consoles --------------------------------------------------------------------------------------------

    def _pass_on(self, letters: str, by: str, except_for: str) -> None:
        if self._consoles is None:
            return
        for console in self._consoles.consoles():
            if console != except_for:
                waiting = self._waiting.get((console, by), "") + letters
                self._waiting[console, by] = waiting[-MAX_PENDING:]
        self._send_soon()

    def _send_soon(self) -> None:
        if self._send_timer is None and self._waiting:
            wait_s = max(0.0, self._sent_s + SEND_EVERY_S - time.monotonic())
            self._send_timer = self._loop.call_later(wait_s, self._send)

    def _send(self) -> None:
        self._send_timer = None
        waiting, self._waiting = self._waiting, {}
        if self._consoles is None or not waiting:
            return
        self._sent_s = time.monotonic()
        for (console, by), letters in waiting.items():
            for piece in pieces(letters, MAX_PIECE):
                self._consoles.send_letters(console, piece, by)

    # --- to the panel -----------------------------------------------------------------------------------------------

    def _show_soon(self) -> None:
        if self._show_timer is None:
            wait_s = max(0.0, self._show_s + SHOW_EVERY_S - time.monotonic())
            self._show_timer = self._loop.call_later(wait_s, self._show_now)

    def _show_now(self) -> None:
        self._show_timer = None
        self._show_s = time.monotonic()
        self._show()

    # --- to core ----------------------------------------------------------------------------------------------------

    def _rest_soon(self) -> None:
        if self._rest_timer is None:
            self._rest_timer = self._loop.call_later(REST_S, self._rested)

    def _rested(self) -> None:
        """Tell the lines that rest; they stay open on every display."""
        self._rest_timer = None
        now_s = time.monotonic()
        again = False
        for writer in self._writers.values():
            if writer.writing.open.strip() and writer.writing.open != writer.told:
                if now_s - writer.last_s < REST_S - 0.01:
                    again = True
                else:
                    self._tell_open(writer)
        if again:
            self._rest_soon()

    def _tell_open(self, writer: Writer) -> None:
        if writer.writing.open.strip() and writer.writing.open != writer.told:
            writer.told = writer.writing.open
            self._tell(writer.who, writer.by, writer.told.strip())

    def _finish(self) -> None:
        """The incident is over: what stands half written is told, and nothing of it is shown in the next."""
        for writer in self._writers.values():
            self._tell_open(writer)
        self._writers.clear()
        self._lines = []
        self._waiting.clear()
        self._shown_number = 0


def _name(by: str) -> str:
    """A name as it may stand beside somebody's words: nothing in it that turns or breaks a line."""
    return "".join(letter for letter in by if letter.isprintable())[:64]
