"""A serial device's end of a pseudo-terminal, behind a stable symlink, that can be unplugged.

One thread per port reads what the driver writes and runs the timers; every callback runs on it.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import logging
import os
import select
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

_READ_BYTES = 4096


class PtyPort:
    """The master side of a PTY in raw mode.

    `on_bytes` gets what the driver wrote. With `link`, that path always leads to the present PTY and is
    gone while unplugged, as `/dev/serial/by-id/...` is. Like a real port, bytes nobody reads fill the
    kernel's buffer (4 KiB) and are then lost: `lost_bytes` counts them; a write never blocks.
    """

    def __init__(self, on_bytes: Callable[[bytes], None], *, name: str, link: Path | None = None) -> None:
        self.name = name
        self.link = link
        self.lost_bytes = 0
        self._on_bytes = on_bytes
        self._lock = threading.RLock()
        self._master: int | None = None
        self._slave: int | None = None
        self._slave_path: str | None = None
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._closing = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self.plug()
        self._thread = threading.Thread(target=self._run, name=f"pty-{name}", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """What the driver opens: the symlink if there is one, else the PTY (the last one while unplugged)."""
        return self.link if self.link is not None else Path(self._slave_path or "")

    @property
    def plugged(self) -> bool:
        """Whether the port exists at present."""
        return self._master is not None

    def plug(self) -> None:
        """Make a new PTY and lead the symlink to it; nothing when already plugged."""
        with self._lock:
            if self._master is not None or self._closing:
                return
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            # The slave stays open here as well: without any holder, reading the master fails with EIO.
            self._master, self._slave = master, slave
            self._slave_path = os.ttyname(slave)
            if self.link is not None:
                fresh = self.link.with_name(f".{self.link.name}.new")
                fresh.unlink(missing_ok=True)
                fresh.symlink_to(self._slave_path)
                fresh.replace(self.link)
        self._wake()

    def unplug(self) -> None:
        """Close the PTY: a driver that holds it gets a hang-up (EIO), its symlink is gone."""
        with self._lock:
            master, slave = self._master, self._slave
            self._master = self._slave = None
            if self.link is not None:
                self.link.unlink(missing_ok=True)
            for fd in (slave, master):
                if fd is not None:
                    os.close(fd)
        self._wake()

    def write(self, data: bytes) -> None:
        """Send to the driver; never blocks, what does not fit is lost and counted."""
        with self._lock:
            if self._master is None:
                self.lost_bytes += len(data)
                return
            try:
                sent = os.write(self._master, data)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EIO):
                    raise
                sent = 0
            self.lost_bytes += len(data) - sent

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Run `call` on the port's thread after a delay; forgotten at close."""
        with self._lock:
            heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._order), call))
        self._wake()

    def close(self) -> None:
        """Unplug for good and end the thread; safe to call twice. Waits at most 5 s."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._timers.clear()
        self.unplug()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)
        with self._lock:
            # -1: a late wake must not reach whatever gets this number next.
            wake_write, self._wake_write = self._wake_write, -1
            os.close(wake_write)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"x")

    def _run(self) -> None:
        try:
            while not self._closing:
                self._run_due_timers()
                self._read_some(self._until_next_timer_s())
        finally:
            os.close(self._wake_read)

    def _until_next_timer_s(self) -> float | None:
        with self._lock:
            return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _run_due_timers(self) -> None:
        while True:
            with self._lock:
                if not self._timers or self._timers[0][0] > time.monotonic():
                    return
                call = heapq.heappop(self._timers)[2]
            self._guarded(call)

    def _read_some(self, timeout_s: float | None) -> None:
        poller = select.poll()
        poller.register(self._wake_read, select.POLLIN)
        with self._lock:
            master = self._master
        if master is not None:
            poller.register(master, select.POLLIN)
        ready = poller.poll(None if timeout_s is None else timeout_s * 1000)
        data = b""
        with self._lock:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, _READ_BYTES)
            # Unplugged meanwhile: the number may belong to another file by now.
            if master is not None and master == self._master and any(fd == master for fd, _ in ready):
                with contextlib.suppress(OSError):
                    data = os.read(master, _READ_BYTES)
        if data:
            self._guarded(lambda: self._on_bytes(data))

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            log.exception("the simulated device %s failed; it goes on", self.name)
