"""The button's two threads: the GPIO callback latches and lights at once; the press thread runs the glitch filter.

Neither needs the event loop: with a hung loop a press is still latched, lit and accepted, and waits for core's
successor.
"""

import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from unitd.core.latch import Latch, Latched
from unitd.core.panel import Panel
from unitd.core.watched import STAMP_EVERY_S, WatchedStamp
from unitd.model import contact, press
from unitd.model.contact import Kind, Line
from unitd.ports import Button, Clock

OUT_OF_THE_WAY_S = 0.001
"""The press thread rests so long after a press: the loop, which sends the alarm now, has the interpreter to itself."""
EDGES_PENDING = 1000
LATE_S = 0.1
"""How long an edge may be under way from the kernel to the press thread; assumed, far beyond the interpreter's 5 ms."""
LATE_LOOK_S = 0.002
COMPARE_EVERY_S = 1.0


class Gap(NamedTuple):
    """How long at most nobody watched the button before this core did, and the how-manieth start of this boot it is."""

    blind_ns: int
    restarts: int


def gap_facts(gap: Gap | None) -> dict[str, str | int | float | bool | None]:
    """What core itself tells of the button's watch in this boot. Pure."""
    return {"restarts": gap.restarts if gap else 0, "blind_ms": gap.blind_ns // 1_000_000 if gap else 0}


class Felt(NamedTuple):
    """An accepted press with the instants of its way through the GPIO thread (CLOCK_MONOTONIC ns)."""

    latched: Latched
    light_ns: int
    latched_ns: int
    accepted_ns: int


def mint_id() -> str:
    """A new id of a press or an incident."""
    return str(uuid.uuid4())


class PressJudge:
    """From edges of one contact to presses, a stuck button and a bad cable; no thread, no queue, no clock of its own.

    One thread feeds it: `edge` for each edge, `turn` when `due_ns` has come and at least every second. Where edges
    arrive on a thread that must answer at once, that one calls `touch` and another one `take`: the two halves of
    `edge`. `on_press(felt)` is called for each accepted press, with its latch written; `on_stuck(stuck)` when the
    button has been held longer than `stuck_after_s`, when it comes free, and when `fault` changes. Nothing here raises
    or waits. `before` is what a predecessor knew of the contact ("", `button_stuck` or a fault of its cable).
    """

    def __init__(
        self,
        panel: Panel,
        latch: Latch,
        clock: Clock,
        boot_id: str,
        stuck_after_s: float,
        on_press: Callable[[Felt], None],
        on_stuck: Callable[[bool], None],
        new_id: Callable[[], str],
        kind: Kind = "no",
        before: str = "",
    ) -> None:
        self._panel = panel
        self._latch = latch
        self._clock = clock
        self._boot_id = boot_id
        self._stuck_after_ns = int(stuck_after_s * 1e9)
        self._on_press = on_press
        self._on_stuck = on_stuck
        self._new_id = new_id
        self._before = before
        self._contact = contact.begin(kind, before)
        self._making: Felt | None = None
        self._minting = threading.Lock()
        self.stuck = False
        """Whether the button has been held for too long, now."""
        self.fault = self._contact.fault
        """What is wrong with the contact's cable ("" for nothing)."""

    @property
    def closed(self) -> bool:
        """What the edges taken so far say of the contact of one line."""
        return self.line_closed("nc" if self._contact.kind == "nc" else "no")

    def line_closed(self, line: Line) -> bool:
        """What the edges taken so far say of a line."""
        return contact.closed(self._contact, line)

    def at_start(self, now_ns: int, no_closed: bool = False, nc_closed: bool = True) -> None:
        """How the lines stand before the first edge. Only for what the predecessor knew: it is no news. A line that is
        touched is to be told by `edge` too."""
        self._contact = contact.at_start(self._contact, no_closed, nc_closed, now_ns)
        touched = not nc_closed if self._contact.kind == "nc" else no_closed
        if self._before == "button_stuck" and touched:
            self._contact = contact.known_held(self._contact, now_ns - self._stuck_after_ns - 1)
            self.stuck = True
        self.fault = self._contact.fault

    def edge(self, mono_ns: int, closed: bool, line: Line = "no") -> None:
        """One edge, answered and judged."""
        self.touch(mono_ns, closed, line)
        self.take(mono_ns, closed, line)

    def touch(self, mono_ns: int, closed: bool, line: Line = "no") -> None:
        """Light and latch what may become a press. On any thread."""
        with self._minting:  # a start may find the contact closed by the very edge that the driver reports now
            if self._making is None and contact.fresh(self._contact, line, closed):
                self._making = self._answer(mono_ns)

    def take(self, mono_ns: int, closed: bool, line: Line = "no") -> None:
        """Judge one edge that was touched."""
        self._contact, accepted = contact.on_edge(self._contact, line, closed, mono_ns)
        self._conclude(accepted)

    def turn(self, now_ns: int) -> None:
        """Judge what the passing of time alone decides."""
        self._contact, accepted = contact.on_time(self._contact, now_ns)
        self._conclude(accepted)

    def due_ns(self) -> int | None:
        """When time alone has something to decide, if no edge comes first; None: at leisure."""
        return contact.deadline_ns(self._contact)

    def _answer(self, edge_ns: int) -> Felt:
        """Mint the press, light, latch: what a finger is owed within a blink."""
        self._panel.first_light()
        light_ns = self._clock.mono_ns()
        stamp = self._clock.stamp(edge_ns)
        latched = Latched(
            press_id=self._new_id(),
            incident_id=self._new_id(),
            mono_ns=edge_ns,
            utc_us=stamp.utc_us,
            clock=stamp.clock,
            boot_id=self._boot_id,
        )
        self._latch.set(latched)
        return Felt(latched, light_ns, self._clock.mono_ns(), 0)

    def _conclude(self, accepted: list[press.Accepted]) -> None:
        for each in accepted:
            self._accept(each)
        if not accepted and self._is_glitch():
            self._glitch()
        self._watch_contact()

    def _accept(self, accepted: press.Accepted) -> None:
        felt, self._making = self._making, None
        if felt is None:  # the contact was closed again while its release was still bouncing
            felt = self._answer(accepted.edge_ns)
        self._on_press(felt._replace(accepted_ns=self._clock.mono_ns()))

    def _is_glitch(self) -> bool:
        """A press in the making that the contact has let go of. Its age excludes one whose edge is still queued."""
        making = self._making
        if making is None or not contact.at_rest(self._contact):
            return False
        return self._clock.mono_ns() - making.latched_ns >= press.REARM_NS

    def _glitch(self) -> None:
        felt, self._making = self._making, None
        if felt is not None:
            self._latch.clear(felt.latched.press_id)
            self._panel.settle()

    def _watch_contact(self) -> None:
        held = contact.held_ns(self._contact, self._clock.mono_ns()) > self._stuck_after_ns
        fault = self._contact.fault
        if held != self.stuck or fault != self.fault:
            self.stuck, self.fault = held, fault
            self._on_stuck(held)


class PressWatch:
    """A PressJudge with its contact, a queue and the press thread around it.

    `button` is the contact's line, of either kind; `nc` the second line of `no+nc`. `on_press` and `on_stuck` (see
    PressJudge) are called on the press thread. `stamp` is kept fresh for core's successor; `unbroken` says that the
    lines were open all the time since a predecessor, and their edges waited.
    """

    def __init__(
        self,
        button: Button,
        panel: Panel,
        latch: Latch,
        clock: Clock,
        boot_id: str,
        stuck_after_s: float,
        on_press: Callable[[Felt], None],
        on_stuck: Callable[[bool], None],
        new_id: Callable[[], str] = mint_id,
        *,
        nc: Button | None = None,
        kind: Kind = "no",
        stamp: WatchedStamp | None = None,
        unbroken: bool = False,
    ) -> None:
        main: Line = "nc" if kind == "nc" else "no"
        self._lines: dict[Line, Button] = {main: button}
        if nc is not None and kind == "no+nc":
            self._lines["nc"] = nc
        self._stamp = stamp
        self._unbroken = unbroken
        before = stamp.before if stamp is not None else None
        known = "" if before is None else "button_stuck" if before.stuck else before.fault

        def pressed(felt: Felt) -> None:
            on_press(felt)
            time.sleep(OUT_OF_THE_WAY_S)

        self._judge = PressJudge(
            panel, latch, clock, boot_id, stuck_after_s, pressed, on_stuck, new_id, kind=kind, before=known
        )
        self._edges: queue.Queue[tuple[int, bool, Line]] = queue.Queue(EDGES_PENDING)
        self._alive_ns = time.monotonic_ns()
        self.dropped_edges = 0
        self.gap: Gap | None = None
        """What a predecessor in this boot left unwatched; None for the first core of a boot."""

    @property
    def stuck(self) -> bool:
        """Whether the button has been held for too long, now."""
        return self._judge.stuck

    @property
    def fault(self) -> str:
        """What is wrong with the contact's cable: "", `button_cable` or `button_disagrees`."""
        return self._judge.fault

    def start(self) -> None:
        """Watch from now on. A contact that is held already counts as touched now: a press, or a leaning caller."""
        now = {line: button.closed() for line, button in self._lines.items()}
        self._judge.at_start(time.monotonic_ns(), now.get("no", False), now.get("nc", True))
        for line, button in self._lines.items():
            button.watch(partial(self._edge, line))
        for line, button in self._lines.items():
            closed = button.closed()
            if closed == (line == "no"):
                self._edge(line, time.monotonic_ns(), closed)
        self._in_order()
        self._armed()
        threading.Thread(target=self._run, name="press", daemon=True).start()

    @property
    def alive_ns(self) -> int:
        """When the press thread last completed a cycle; it does so at least every second."""
        return self._alive_ns

    def _armed(self) -> None:
        """The window in which nobody watched ends here."""
        if self._stamp is not None:
            now_ns, before = time.monotonic_ns(), self._stamp.before
            if before is not None:
                self.gap = Gap(0 if self._unbroken else now_ns - before.watched_ns, before.starts)
            self._stamp.armed(now_ns, self.stuck, self.fault)

    def _in_order(self) -> None:
        """Put edges that waited in two lines into the order of their times: each driver delivers its own line's."""
        waiting = []
        with contextlib.suppress(queue.Empty):
            while len(self._lines) > 1:
                waiting.append(self._edges.get_nowait())
        for each in sorted(waiting, key=lambda edge: edge[0]):
            self._put(each)

    def _edge(self, line: Line, mono_ns: int, closed: bool) -> None:
        """On the GPIO thread: latch and light first, then let the press thread judge."""
        self._judge.touch(mono_ns, closed, line)
        self._put((mono_ns, closed, line))

    def _put(self, edge: tuple[int, bool, Line]) -> None:
        try:
            self._edges.put_nowait(edge)
        except queue.Full:
            self.dropped_edges += 1

    def _run(self) -> None:
        compared_ns, told, late = time.monotonic_ns(), (self.stuck, self.fault), False
        while True:
            now_ns = time.monotonic_ns()
            due_ns = self._judge.due_ns()
            wait_s = STAMP_EVERY_S if due_ns is None else max(0.0, min((due_ns - now_ns) / 1e9, STAMP_EVERY_S))
            if late:
                wait_s, late = LATE_LOOK_S, False
            try:
                at_ns, closed, line = self._edges.get(timeout=wait_s) if wait_s > 0 else self._edges.get_nowait()
                self._judge.take(at_ns, closed, line)
            except queue.Empty:
                now_ns = time.monotonic_ns()
                late = due_ns is not None and self._edge_under_way(now_ns - due_ns)
                if not late:
                    self._judge.turn(now_ns)
                if due_ns is None and now_ns - compared_ns >= COMPARE_EVERY_S * 1e9:
                    compared_ns = now_ns
                    self._compare()
            self._alive_ns = time.monotonic_ns()
            if self._stamp is not None:
                if told != (self.stuck, self.fault):
                    told = self.stuck, self.fault
                    self._stamp.armed(self._alive_ns, *told)
                self._stamp.watched(self._alive_ns)

    def _edge_under_way(self, overdue_ns: int) -> bool:
        """The filter wants to decide, but a contact is not as its last edge left it: on a busy machine the next edge
        may come late. Its own time decides then, or a spark would become a press. One that was lost is not awaited."""
        if not 0 <= overdue_ns < LATE_S * 1e9:
            return False
        with contextlib.suppress(Exception):  # a pin that cannot be read now
            return any(button.closed() != self._judge.line_closed(line) for line, button in self._lines.items())
        return False

    def _compare(self) -> None:
        """A quiet second: the contact itself is right, whatever edges a queue or the kernel dropped."""
        with contextlib.suppress(Exception):  # a pin that cannot be read now is read again in a second
            for line, button in self._lines.items():
                closed = button.closed()
                if closed != self._judge.line_closed(line) and self._edges.empty():
                    self._edge(line, time.monotonic_ns(), closed)
