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
from typing import NamedTuple

from unitd.core.latch import Latch, Latched
from unitd.core.panel import Panel
from unitd.model import press
from unitd.ports import Button, Clock

EDGES_PENDING = 1000


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
    """From edges of one contact to presses and a stuck button, without a thread, a queue or a clock of its own.

    One thread feeds it: `edge` for each edge, `turn` when `due_ns` has come and at least every second. Where edges
    arrive on a thread that must answer at once, that one calls `touch` and another one `take`: the two halves of
    `edge`. `on_press(felt)` is called for each accepted press, with its latch written; `on_stuck(stuck)` when the
    contact has been closed longer than `stuck_after_s`, and when it opens again. Nothing here raises or waits.
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
    ) -> None:
        self._panel = panel
        self._latch = latch
        self._clock = clock
        self._boot_id = boot_id
        self._stuck_after_ns = int(stuck_after_s * 1e9)
        self._on_press = on_press
        self._on_stuck = on_stuck
        self._new_id = new_id
        self._filter = press.Filter()
        self._making: Felt | None = None
        self._minting = threading.Lock()
        self.stuck = False
        """Whether the contact has been closed for too long, now."""

    @property
    def closed(self) -> bool:
        """What the edges taken so far say of the contact."""
        return self._filter.closed

    def edge(self, mono_ns: int, closed: bool) -> None:
        """One edge, answered and judged."""
        self.touch(mono_ns, closed)
        self.take(mono_ns, closed)

    def touch(self, mono_ns: int, closed: bool) -> None:
        """Light and latch what may become a press. On any thread."""
        with self._minting:  # a start may find the contact closed by the very edge that the driver reports now
            if closed and self._making is None and not self._filter.fired:
                self._making = self._answer(mono_ns)

    def take(self, mono_ns: int, closed: bool) -> None:
        """Judge one edge that was touched."""
        self._filter, accepted = press.on_edge(self._filter, closed, mono_ns)
        self._conclude(accepted)

    def turn(self, now_ns: int) -> None:
        """Judge what the passing of time alone decides."""
        self._filter, accepted = press.on_time(self._filter, now_ns)
        self._conclude(accepted)

    def due_ns(self) -> int | None:
        """When the glitch filter wants a `turn`, if no edge comes first; None: at leisure."""
        return press.deadline_ns(self._filter)

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

    def _conclude(self, accepted: press.Accepted | None) -> None:
        if accepted is not None:
            self._accept(accepted)
        elif self._is_glitch():
            self._glitch()
        self._watch_stuck()

    def _accept(self, accepted: press.Accepted) -> None:
        felt, self._making = self._making, None
        if felt is None:  # the contact was closed again while its release was still bouncing
            felt = self._answer(accepted.edge_ns)
        self._on_press(felt._replace(accepted_ns=self._clock.mono_ns()))

    def _is_glitch(self) -> bool:
        """A press in the making that the filter has let go of. Its age excludes one whose edge is still queued."""
        making = self._making
        settled = press.deadline_ns(self._filter) is None and not self._filter.closed
        return making is not None and settled and self._clock.mono_ns() - making.latched_ns >= press.REARM_NS

    def _glitch(self) -> None:
        felt, self._making = self._making, None
        if felt is not None:
            self._latch.clear(felt.latched.press_id)
            self._panel.settle()

    def _watch_stuck(self) -> None:
        held = self._filter.closed and self._clock.mono_ns() - self._filter.edge_ns > self._stuck_after_ns
        if held != self.stuck:
            self.stuck = held
            self._on_stuck(held)


class PressWatch:
    """A PressJudge with its contact, a queue and the press thread around it.

    `on_press` and `on_stuck` (see PressJudge) are called on the press thread.
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
    ) -> None:
        self._button = button
        self._judge = PressJudge(panel, latch, clock, boot_id, stuck_after_s, on_press, on_stuck, new_id)
        self._edges: queue.Queue[tuple[int, bool]] = queue.Queue(EDGES_PENDING)
        self._alive_ns = time.monotonic_ns()
        self.dropped_edges = 0

    @property
    def stuck(self) -> bool:
        """Whether the contact has been closed for too long, now."""
        return self._judge.stuck

    def start(self) -> None:
        """Watch from now on. A contact that is closed already counts as closed now: a press, or a leaning caller."""
        self._button.watch(self._edge)
        threading.Thread(target=self._run, name="press", daemon=True).start()
        if self._button.closed():
            self._edge(time.monotonic_ns(), True)

    @property
    def alive_ns(self) -> int:
        """When the press thread last completed a cycle; it does so at least every second."""
        return self._alive_ns

    def _edge(self, mono_ns: int, closed: bool) -> None:
        """On the GPIO thread: latch and light first, then let the press thread judge."""
        self._judge.touch(mono_ns, closed)
        try:
            self._edges.put_nowait((mono_ns, closed))
        except queue.Full:
            self.dropped_edges += 1

    def _run(self) -> None:
        while True:
            now_ns = time.monotonic_ns()
            due_ns = self._judge.due_ns()
            wait_s = 1.0 if due_ns is None else max(0.0, min((due_ns - now_ns) / 1e9, 1.0))
            try:
                at_ns, closed = self._edges.get(timeout=wait_s) if wait_s > 0 else self._edges.get_nowait()
                self._judge.take(at_ns, closed)
            except queue.Empty:
                self._judge.turn(time.monotonic_ns())
                if due_ns is None:
                    self._compare()
            self._alive_ns = time.monotonic_ns()

    def _compare(self) -> None:
        """A quiet second: the contact itself is right, whatever edges a queue or the kernel dropped."""
        with contextlib.suppress(Exception):  # a pin that cannot be read now is read again in a second
            closed = self._button.closed()
            if closed != self._judge.closed and self._edges.empty():
                self._edge(time.monotonic_ns(), closed)
