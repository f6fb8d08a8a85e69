"""The other end of the simulated pins: a contact to press, lamps and a sounder to watch, with the time of every change.

Threads, not asyncio: the button and the lamps must keep their times while the rest of the simulator is busy.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

Shown = Literal["off", "steady", "flashing"]

HISTORY_CHANGES = 4000
SETTLED_S = 0.8
"""A lamp that has kept its level this long is not flashing (a flash of 0.7 Hz or faster is seen as one)."""


class Change(NamedTuple):
    """A line took the level `value` at `mono_ns` (CLOCK_MONOTONIC)."""

    mono_ns: int
    value: bool


@dataclass
class _Line:
    function: str = "none"
    pull: str = "floating"
    closed_level: bool = False
    closed: bool = False
    driven: bool = False
    held_ns: int = 0
    released_ns: int | None = None
    blind_ms: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY_CHANGES))
    owner: _Client | None = None
    changes: deque[Change] = field(default_factory=lambda: deque(maxlen=HISTORY_CHANGES))

    def input_level(self) -> bool:
        if self.closed:
            return self.closed_level
        return {"up": True, "down": False}.get(self.pull, not self.closed_level)


class GpioBench:
    """A server for SocketFactory at the unix socket `path`; a context manager, usable from any thread.

    - A contact is open until pressed; it connects its line to ground, or to 3.3 V after `wire_high(pin)`.
    - A process that connects gets the level of each line it sets up and the edges from then on, never older ones.
    - A process that goes away lets go of its lines: outputs drop to 0, as on a Pi.
    - The last HISTORY_CHANGES changes of each line are kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[int, _Line] = {}
        self._changed = threading.Condition()
        self._clients: set[_Client] = set()
        self._watchers: list[Callable[[int, bool, int], None]] = []
        self._planned: list[tuple[int, int, Callable[[int], None]]] = []
        self._plan_number = 0
        self._closing = False
        self._server: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    # --- life ---

    def start(self) -> GpioBench:
        self.path.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(self.path))
        self._server.listen(8)
        for run, name in ((self._accept, "gpio accept"), (self._run_plans, "gpio plans")):
            thread = threading.Thread(target=run, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            clients = list(self._clients)
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
        for client in clients:
            client.drop()
        for thread in self._threads:
            thread.join(timeout=2.0)
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> GpioBench:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # --- the contact ---

    def wire_high(self, pin: int) -> None:
        """The contact of `pin` connects it to 3.3 V when closed (`closed_level = "high"`)."""
        with self._changed:
            self._line(pin).closed_level = True

    def press(self, pin: int, duration_ms: float | None = None) -> int:
        """Close the contact now, and open it again after `duration_ms` if given; returns the edge's monotonic ns."""
        at_ns = self.set_contact(pin, True, None)
        if duration_ms is not None:
            self.plan(at_ns + int(duration_ms * 1e6), lambda _due: self.set_contact(pin, False, None))
        return at_ns

    def release(self, pin: int) -> int:
        """Open the contact now; returns the edge's monotonic ns."""
        return self.set_contact(pin, False, None)

    def bounce(self, pin: int, pattern_ms: Sequence[float]) -> int:
        """Close now and then toggle after each of the intervals in `pattern_ms`; returns the first edge's time.

        The edges carry exactly the planned times, as a kernel's time stamps would, however late they are delivered.
        """
        start_ns = due_ns = time.monotonic_ns()
        self.set_contact(pin, True, start_ns)
        closed = True
        for interval_ms in pattern_ms:
            due_ns += int(interval_ms * 1e6)
            closed = not closed
            self.plan(due_ns, lambda due, to=closed: self.set_contact(pin, to, due))  # type: ignore[misc]
        return start_ns

    def closed(self, pin: int) -> bool:
        with self._changed:
            return self._line(pin).closed

    # --- the outputs ---

    def level(self, pin: int) -> bool:
        with self._changed:
            return self._line(pin).driven

    def history(self, pin: int, since_ns: int = 0) -> list[Change]:
        """The changes of a line from `since_ns` on, oldest first."""
        with self._changed:
            return [change for change in self._line(pin).changes if change.mono_ns >= since_ns]

    def shown(self, pin: int) -> Shown:
        """What an onlooker says of a lamp. A lamp that has just changed counts as what it is now."""
        with self._changed:
            return self._shown(pin)

    def held(self, pin: int) -> bool:
        """Whether some process holds the line."""
        with self._changed:
            return self._line(pin).owner is not None

    def watch(self, on_change: Callable[[int, bool, int], None]) -> None:
        """Call `on_change(pin, value, mono_ns)` for every change of an output from now on, on the bench's threads."""
        with self._changed:
            self._watchers.append(on_change)

    def wait_output(self, pin: int, wanted: bool | Shown, timeout_s: float, since_ns: int | None = None) -> int:
        """Block until the output is as wanted and return the monotonic ns *at which it became so*.

        A bool is a level. `steady` and `off` must last SETTLED_S to count, `flashing` needs two periods; their time is
        that of the first change of the run, so the time to be sure is not in the figure. With `since_ns` a state that
        came before counts as of `since_ns`. Raises TimeoutError with what was seen instead.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while True:
                at_ns = self._became(pin, wanted)
                if at_ns is not None:
                    return at_ns if since_ns is None else max(at_ns, since_ns)
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    recent = [(change.mono_ns // 1_000_000, int(change.value)) for change in self._line(pin).changes]
                    raise TimeoutError(
                        f"pin {pin} is {self._shown(pin)}, not {wanted!r}, after {timeout_s:g} s; "
                        f"last changes (ms, level): {recent[-8:]}"
                    )
                self._changed.wait(min(left_s, 0.05))

    def blind_windows_ms(self, pin: int) -> list[float]:
        """How long the input was held by nobody each time a process let go of it and one took it again, oldest first.

        The edges of a window are lost, as on a real line. A process that is stopped (SIGSTOP) still holds its lines.
        """
        with self._changed:
            return list(self._line(pin).blind_ms)

    def wait_held(self, pin: int, timeout_s: float) -> None:
        """Block until a process holds the line (it is set up); raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._line(pin).owner is not None, timeout_s):
                raise TimeoutError(f"no process has set up pin {pin} within {timeout_s:g} s")

    # --- inside; the lock is held where the name starts with an underscore and says nothing else ---

    def _line(self, pin: int) -> _Line:
        return self._lines.setdefault(pin, _Line())

    def _flash_run(self, pin: int) -> list[Change]:
        """The changes, oldest first, that follow each other closer than SETTLED_S up to now."""
        run: list[Change] = []
        later_ns = time.monotonic_ns()
        for change in reversed(self._line(pin).changes):
            if later_ns - change.mono_ns > SETTLED_S * 1e9:
                break
            run.append(change)
            later_ns = change.mono_ns
        return run[::-1]

    def _shown(self, pin: int) -> Shown:
        if len(self._flash_run(pin)) >= 4:
            return "flashing"
        return "steady" if self._line(pin).driven else "off"

    def _became(self, pin: int, wanted: bool | Shown) -> int | None:
        line = self._line(pin)
        last_ns = line.changes[-1].mono_ns if line.changes else 0
        if isinstance(wanted, bool):
            return last_ns if line.driven == wanted else None
        run = self._flash_run(pin)
        if wanted == "flashing":
            return run[0].mono_ns if len(run) >= 4 else None
        return last_ns if not run and line.driven == (wanted == "steady") else None

    def set_contact(self, pin: int, closed: bool, at_ns: int | None = None) -> int:
        """Open or close the contact of a line now, or as of `at_ns`; returns the edge's time.

        What came before the line was held is told as a level alone: a process never gets an edge older than itself.
        """
        with self._changed:
            line = self._line(pin)
            stamp_ns = time.monotonic_ns() if at_ns is None else at_ns
            if line.closed == closed:
                return stamp_ns
            line.closed = closed
            line.changes.append(Change(stamp_ns, closed))
            if line.function == "input" and line.owner is not None:
                operation = "edge" if stamp_ns >= line.held_ns else "level"
                line.owner.send(op=operation, pin=pin, value=int(line.input_level()), mono_ns=stamp_ns)
            self._changed.notify_all()
            return stamp_ns

    def plan(self, due_ns: int, action: Callable[[int], Any]) -> None:
        """Call `action(due_ns)` at `due_ns`, or soon after; on the bench's own thread."""
        with self._changed:
            self._plan_number += 1
            heapq.heappush(self._planned, (due_ns, self._plan_number, action))
            self._changed.notify_all()

    def _run_plans(self) -> None:
        while True:
            with self._changed:
                if self._closing:
                    return
                now_ns = time.monotonic_ns()
                if not self._planned or self._planned[0][0] > now_ns:
                    wait_s = (self._planned[0][0] - now_ns) / 1e9 if self._planned else math.inf
                    self._changed.wait(min(wait_s, 1.0))
                    continue
                due_ns, _, action = heapq.heappop(self._planned)
            action(due_ns)

    def _accept(self) -> None:
        assert self._server is not None  # noqa: S101 - started before the thread
        while True:
            try:
                channel, _ = self._server.accept()
            except OSError:
                return
            with self._changed:
                client = _Client(channel, self)
                self._clients.add(client)
            client.thread.start()

    def take(self, client: _Client, message: dict[str, Any]) -> None:
        """One message of a client, on its thread."""
        operation, pin = message.get("op"), int(message.get("pin", -1))
        if operation == "hello":
            client.pid = int(message.get("pid", 0))
            return
        with self._changed:
            line = self._line(pin)
            if operation == "setup":
                line.owner = client
                self._seen(line, message["function"])
                line.function, line.pull = message["function"], message["pull"]
                if line.function == "input":
                    self._drive(pin, line, False)
                    client.send(op="level", pin=pin, value=int(line.input_level()))
            elif operation == "write" and line.function == "output":
                self._drive(pin, line, bool(message["value"]))
            self._changed.notify_all()

    def _seen(self, line: _Line, function: str) -> None:
        """An input is held again: the window in which nobody saw its edges is over."""
        line.held_ns = time.monotonic_ns()
        if function == "input" and line.released_ns is not None:
            line.blind_ms.append((line.held_ns - line.released_ns) / 1e6)
            line.released_ns = None

    def _drive(self, pin: int, line: _Line, value: bool) -> None:
        if line.driven == value:
            return
        line.driven = value
        stamp_ns = time.monotonic_ns()
        line.changes.append(Change(stamp_ns, value))
        for watcher in self._watchers:
            watcher(pin, value, stamp_ns)

    def forget(self, client: _Client) -> None:
        """A client is gone: its lines are nobody's."""
        with self._changed:
            self._clients.discard(client)
            for pin, line in self._lines.items():
                if line.owner is client:
                    if line.function == "input":
                        line.released_ns = time.monotonic_ns()
                    self._drive(pin, line, False)
                    line.owner, line.function = None, "none"
            self._changed.notify_all()


class _Client:
    """One process that holds lines."""

    def __init__(self, channel: socket.socket, bench: GpioBench) -> None:
        self.pid = 0
        self._channel = channel
        self._bench = bench
        self.thread = threading.Thread(target=self._read, name="gpio client", daemon=True)

    def send(self, **message: Any) -> None:
        """Never blocks: a stopped process with a full socket loses its edges, as with a kernel's full event queue."""
        with contextlib.suppress(OSError):
            self._channel.send((json.dumps(message) + "\n").encode(), socket.MSG_DONTWAIT)

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        try:
            with self._channel.makefile("rb") as lines:
                for line in lines:
                    with contextlib.suppress(ValueError, KeyError, TypeError):
                        self._bench.take(self, json.loads(line))
        except OSError:
            return
        finally:
            self._bench.forget(self)
            self._channel.close()
