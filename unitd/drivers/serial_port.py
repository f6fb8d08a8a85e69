"""A serial port whose every blocking call is on a thread of its own: a stuck port or a stuck close blocks nobody.

pyserial's open, write and close can each hang in the kernel (a USB adapter that is wedged, a close that waits for
output to drain). Two daemon threads serve each opening of the port; when they do not end in time they are abandoned and
counted, and after MAX_STUCK of them the port is not opened again until one has come back. A thread that stops turning
while the port is open (a read that ignores its time-out) loses the port in the same way.
"""

import asyncio
import contextlib
import fcntl
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import serial

from unitd.errors import DeviceError

OPEN_TIMEOUT_S = 3.0
CLOSE_TIMEOUT_S = 1.5
WRITE_TIMEOUT_S = 1.0
READ_TIMEOUT_S = 1.0
"""How often an idle thread wakes; `end` wakes it at once."""
SAME_DEVICE_CHECK_S = 1.0
QUEUE_WRITES = 32
UNREAD_BYTES = 64 * 1024
MAX_STUCK = 3
HUNG_S = 5.0
"""Both threads complete a turn about each second."""
LOOK_EVERY_S = 1.0

T = TypeVar("T")


class SerialPort:
    """A port found by a stable path, opened and closed any number of times by one loop. Not thread-safe.

    - `on_bytes` is called on the loop with what arrived. At most UNREAD_BYTES wait for a busy loop; more are dropped
      and counted in `dropped_bytes`.
    - `wait_lost` returns once, with the reason, when the device is gone: read or write failed, a write took longer
      than WRITE_TIMEOUT_S, a thread has hung for HUNG_S, or the path leads to another device now (re-enumeration).
      Then close and open again.
    - No method blocks the loop.
    """

    def __init__(self, path: str, baud: int, on_bytes: Callable[[bytes], None]) -> None:
        self.path = path
        self._baud = baud
        self._on_bytes = on_bytes
        self._now: _Opening | None = None
        self._stuck: set[_Opening] = set()
        self._hopeless_since_s: float | None = None
        self.dropped_bytes = 0

    @property
    def stuck(self) -> int:
        """Earlier openings whose threads still hang in the kernel."""
        self._stuck = {one for one in self._stuck if one.alive()}
        return len(self._stuck)

    def hopeless_s(self) -> float:
        """For how long the port has not been tried because MAX_STUCK openings hang; 0 when it is."""
        return 0.0 if self._hopeless_since_s is None else time.monotonic() - self._hopeless_since_s

    async def open(self) -> None:
        """Open the port. Raises DeviceError within OPEN_TIMEOUT_S."""
        await self.close()
        hopeless = self.stuck >= MAX_STUCK
        if not hopeless or self._hopeless_since_s is None:
            self._hopeless_since_s = time.monotonic() if hopeless else None
        if hopeless:
            raise DeviceError(f"{self.stuck} earlier attempts still hang; unplug it or cut its supply")
        self._now = opening = _Opening(self.path, self._baud, self._arrived, self._drop)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await asyncio.shield(opening.opened)
        except TimeoutError:
            await self.close(timeout_s=0)
            raise DeviceError("opening it hangs") from None
        except DeviceError:
            await self.close()
            raise

    def write(self, data: bytes) -> None:
        """Queue `data` to be written. Raises DeviceError when the port is not open or does not take what it has."""
        if self._now is None or self._now.lost.done():
            raise DeviceError("not open")
        self._now.put(data)

    async def wait_lost(self) -> str:
        """Wait until the open port is lost and return why."""
        if self._now is None:
            return "not open"
        return await asyncio.shield(self._now.lost)

    async def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Write what is queued and close; when that takes longer than `timeout_s`, leave it to its threads."""
        opening, self._now = self._now, None
        if opening is None:
            return
        opening.end()
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(opening.closed)
        except TimeoutError:
            opening.unlock()
            self._stuck.add(opening)

    def _arrived(self, opening: "_Opening", data: bytes) -> None:
        if opening is self._now:
            self._on_bytes(data)

    def _drop(self, count: int) -> None:
        self.dropped_bytes += count


class _Opening:
    """One opening of the port: a thread that opens, reads and closes, and one that writes."""

    def __init__(
        self, path: str, baud: int, on_bytes: Callable[["_Opening", bytes], None], on_drop: Callable[[int], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.opened.add_done_callback(lambda done: done.cancelled() or done.exception())  # looked at: no warning
        self._path, self._baud = path, baud
        self._on_bytes, self._on_drop = on_bytes, on_drop
        self._ended = threading.Event()
        self._writes: queue.Queue[bytes | None] = queue.Queue(QUEUE_WRITES)
        self._lock = threading.Lock()
        self._unread = bytearray()
        self._dropped = 0
        self._port: serial.Serial | None = None
        self._read_turn_s = self._write_turn_s = time.monotonic()
        name = Path(path).name
        self._reader = threading.Thread(target=self._run, name=f"serial-{name}", daemon=True)
        self._writer = threading.Thread(target=self._write, name=f"serial-{name}-write", daemon=True)
        self._reader.start()

    # On the loop.

    def alive(self) -> bool:
        return self._reader.is_alive()

    def put(self, data: bytes) -> None:
        try:
            self._writes.put_nowait(data)
        except queue.Full:
            raise DeviceError("it does not take what is written to it") from None

    def end(self) -> None:
        with contextlib.suppress(queue.Full):
            self._writes.put_nowait(None)  # after what is queued, so a last stop still leaves
        self._ended.set()
        if self._port is not None:
            with contextlib.suppress(OSError, TypeError):  # closed by its thread in this very moment
                self._port.cancel_read()

    def unlock(self) -> None:
        """It is left to its threads; a successor may open the port. Does not block."""
        port = self._port
        if port is not None:
            with contextlib.suppress(OSError, ValueError, TypeError):  # closed in this very moment
                fcntl.flock(port.fileno(), fcntl.LOCK_UN)

    def _look(self) -> None:
        if self.lost.done() or self._ended.is_set():
            return
        if time.monotonic() - min(self._read_turn_s, self._write_turn_s) > HUNG_S:
            self._settle(self.lost, f"its thread has hung for {HUNG_S:g} s")
            return
        self._loop.call_later(LOOK_EVERY_S, self._look)

    def _deliver(self) -> None:
        with self._lock:
            data, dropped = bytes(self._unread), self._dropped
            self._unread.clear()
            self._dropped = 0
        if dropped:
            self._on_drop(dropped)
        self._on_bytes(self, data)

    # On the threads.

    def _tell(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has gone: nobody is left to tell
            self._loop.call_soon_threadsafe(call)

    def _run(self) -> None:
        try:
            self._port = serial.Serial(
                self._path, self._baud, timeout=READ_TIMEOUT_S, write_timeout=WRITE_TIMEOUT_S, exclusive=True
            )
        except (OSError, ValueError) as failure:
            error = DeviceError(f"cannot be opened ({_plain(failure)})")
            self._tell(lambda: self._settle_failed(error))
            return
        self._tell(self._settle_opened)
        self._writer.start()
        try:
            self._read(self._port)
        except (OSError, ValueError, TypeError) as failure:  # TypeError: pyserial reading a port that is being closed
            self._lose(_plain(failure))
        self._ended.set()
        with contextlib.suppress(queue.Full):
            self._writes.put_nowait(None)
        self._writer.join(WRITE_TIMEOUT_S * 2)
        with contextlib.suppress(OSError, ValueError):
            self._port.close()
        self._tell(lambda: self._settle(self.closed, None))

    def _read(self, port: serial.Serial) -> None:
        own = os.fstat(port.fileno()).st_rdev
        next_check_s = time.monotonic() + SAME_DEVICE_CHECK_S
        while not self._ended.is_set():
            self._read_turn_s = time.monotonic()
            data = port.read(port.in_waiting or 1)
            if data:
                self._hand_over(data)
            if time.monotonic() >= next_check_s:
                next_check_s = time.monotonic() + SAME_DEVICE_CHECK_S
                if Path(self._path).stat().st_rdev != own:
                    raise DeviceError("the path leads to another device now")

    def _hand_over(self, data: bytes) -> None:
        with self._lock:
            room = UNREAD_BYTES - len(self._unread)
            first = not self._unread
            self._unread += data[:room]
            self._dropped += max(0, len(data) - room)
        if first:
            self._tell(self._deliver)

    def _write(self) -> None:
        port = self._port
        while port is not None:
            self._write_turn_s = time.monotonic()
            try:
                data = self._writes.get(timeout=READ_TIMEOUT_S)
            except queue.Empty:
                if self._ended.is_set():
                    return
                continue
            if data is None:
                return
            try:
                port.write(data)
            except (OSError, ValueError, TypeError) as failure:
                self._lose(_plain(failure))
                self._ended.set()
                return

    def _lose(self, why: str) -> None:
        self._tell(lambda: self._settle(self.lost, why))

    def _settle_opened(self) -> None:
        self._read_turn_s = self._write_turn_s = time.monotonic()
        self._settle(self.opened, None)
        self._look()

    def _settle_failed(self, error: DeviceError) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)
        self._settle(self.lost, str(error))
        self._settle(self.closed, None)

    @staticmethod
    def _settle(future: "asyncio.Future[T]", value: T) -> None:
        if not future.done():
            future.set_result(value)


def _plain(error: Exception) -> str:
    """A device's error without Python's wrapping."""
    if isinstance(error, serial.SerialTimeoutException):
        return "it takes no bytes"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    if isinstance(error, serial.SerialException) and "readiness to read" in str(error):
        return "the device has gone"  # pyserial's words for a hang-up
    return str(error) or type(error).__name__
