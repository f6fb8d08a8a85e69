"""The button on a line of the kernel's GPIO character device, with a descriptor that outlives core.

systemd keeps a second hold on the line (see `DescriptorStore`), so the kernel goes on queueing edges while no core runs
and hands them, with the times of their interrupts, to the next one. gpiozero, lgpio and libgpiod's Python cannot take
over a descriptor, hence our own few bytes of the kernel's interface: docs/adr/0009-button-line-in-the-fd-store.md.
"""

import contextlib
import errno
import os
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path

from unitd.drivers import gpio_uapi as uapi
from unitd.drivers.gpio_chip import GpioKernel
from unitd.errors import DeviceError
from unitd.ports import DescriptorStore

CONSUMER = "unitd"
BOARD_LABELS = ("pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1")
"""The chip behind the 40-pin header of a Raspberry Pi 1-3 and Zero, 4, and 5; its number differs between kernels."""
CLOSE_WITHIN_S = 1.0


class KernelButton:
    """A contact on a GPIO line: every edge, unfiltered, with the kernel's time of its interrupt.

    Takes over the line that `store` handed down under `name` when that is this very line (chip, offset, input, both
    edges, pull), else asks the kernel for it and stores it at once. Raises DeviceError when the line is not to be had:
    after a change of configuration that may be so for a moment, until systemd has let go of the old one.

    `on_lost(why)` comes once, on the driver's thread, when the line has gone (its chip was removed): no edge will come.

    Limits: the kernel holds 1,024 edges and drops the oldest (`lost_edges` counts what is found missing; the level is
    then read anew). An edge that core had read but not yet latched when it was killed is lost.
    """

    def __init__(
        self,
        chip: str,
        offset: int,
        closed_level: str,
        store: DescriptorStore,
        name: str = "button",
        on_lost: Callable[[str], None] = lambda _why: None,
        kernel: GpioKernel | None = None,
    ) -> None:
        self._kernel = kernel or GpioKernel()
        self._closed_high = closed_level == "high"
        self._store = store
        self._name = name
        self.adopted = False
        """Whether the line was open all the time since a predecessor asked for it."""
        self.kept = False
        """Whether systemd was told to keep the line open beyond this process."""
        self.waiting_edges = 0
        """How many edges waited in the kernel when `watch` was called."""
        self.lost_edges = 0
        self.strange_bytes = 0
        self._fd = self._line(chip, offset)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._reader: threading.Thread | None = None
        self._seqno: int | None = None
        self._closed_last: bool | None = None
        self._on_edge: Callable[[int, bool], None] = lambda _mono_ns, _closed: None
        self._on_lost = on_lost
        self._ended = False

    def closed(self) -> bool:
        """Whether the contact is closed at this instant. Raises DeviceError when the line has gone."""
        try:
            return self._kernel.high(self._fd) == self._closed_high
        except OSError as error:
            raise DeviceError(f"the button's line cannot be read: {error.strerror}") from error

    def watch(self, on_edge: Callable[[int, bool], None]) -> None:
        """Call `on_edge(mono_ns, closed)` for each edge. Those that waited in the kernel are delivered, oldest first,
        before this returns, on the calling thread; later ones on a thread of the driver's own.
        """
        self._on_edge = on_edge
        try:
            if self._readable(0):
                self.waiting_edges = self._read()
        except OSError as error:
            raise DeviceError(f"the button's line cannot be read: {error.strerror}") from error
        if self.waiting_edges >= uapi.EVENT_BUFFER_EVENTS:
            self._look()  # the queue was full: older edges may have been dropped
        self._reader = threading.Thread(target=self._run, name="button line", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Give the line up, systemd's hold on it included; not for an orderly end of core, which leaves it open."""
        if self._ended:
            return
        self._ended = True
        self._store.drop(self._name)
        os.eventfd_write(self._wake, 1)
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join(CLOSE_WITHIN_S)
            if self._reader.is_alive():
                return  # it is held up in `on_edge`; a descriptor that it uses must not be closed beneath it
        os.close(self._fd)
        os.close(self._wake)

    def _line(self, chip: str, offset: int) -> int:
        inherited = self._store.take(self._name)
        try:
            path = self._find(chip)
            flags = uapi.input_flags(pull_up=not self._closed_high)
            for fd in list(inherited):
                if not self.adopted and self._is_ours(fd, path, offset, flags):
                    inherited.remove(fd)
                    self.adopted = self.kept = True
                    return fd
            if inherited:
                self._store.drop(self._name)
            for fd in inherited:  # before the request: it may be the same line with another pull
                os.close(fd)
            inherited.clear()
            fd = self._request(path, offset, flags)
        finally:
            for fd in inherited:
                os.close(fd)
        self.kept = self._store.keep(self._name, fd)
        return fd

    def _find(self, chip: str) -> str:
        if chip != "auto":
            return chip
        seen = []
        for path in self._kernel.chips():
            with contextlib.suppress(OSError):
                label = self._kernel.label(path)
                if label in BOARD_LABELS:
                    return path
                seen.append(f"{path} ({label})")
        raise DeviceError(
            f"button.chip: no Raspberry Pi's header among the GPIO chips ({', '.join(seen) or 'there is none'}); "
            "name the chip, such as /dev/gpiochip0"
        )

    def _is_ours(self, fd: int, path: str, offset: int, flags: int) -> bool:
        held = self._kernel.held(fd)
        try:
            if held is None or held != uapi.Held(Path(path).resolve().name, (offset,)):
                return False
            info = self._kernel.info(path, offset)
            self._kernel.high(fd)  # a line whose chip was removed and came back is dead for ever
        except OSError:
            return False
        return info.consumer == CONSUMER and info.flags == flags | uapi.FLAG_USED

    def _request(self, path: str, offset: int, flags: int) -> int:
        try:
            return self._kernel.request(path, offset, CONSUMER, flags)
        except OSError as error:
            raise DeviceError(f"button: line {offset} of {path}: {self._reason(error, path, offset)}") from error

    def _reason(self, error: OSError, path: str, offset: int) -> str:
        if error.errno == errno.EBUSY:
            with contextlib.suppress(OSError):
                return f"is held by {self._kernel.info(path, offset).consumer!r}"
        if error.errno == errno.EACCES:
            return "not allowed; the account must be in the group that owns the chip (gpio)"
        return error.strerror or repr(error)

    def _readable(self, timeout_ms: int | None) -> bool:
        """Wait for edges; False when woken to end or none came. Raises OSError when the line has gone."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        ready = dict(poll.poll(timeout_ms))
        if self._ended:
            return False
        events = ready.get(self._fd, 0)
        if events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) and not events & select.POLLIN:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return bool(events & select.POLLIN)

    def _run(self) -> None:
        try:
            while not self._ended:
                if self._readable(None):
                    self._read()
        except OSError as error:
            if not self._ended:
                self._store.drop(self._name)
                self._on_lost(error.strerror or repr(error))

    def _read(self) -> int:
        """Deliver what one read gives; returns how many edges. After a gap in their numbers the level is read anew."""
        data = os.read(self._fd, uapi.EVENTS_BYTES)
        if not data:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        found, strange = uapi.edges(data)
        self.strange_bytes += strange
        gap = False
        for edge in found:
            missed = uapi.missed(self._seqno, edge.seqno)
            gap = gap or missed > 0
            self.lost_edges += missed
            self._seqno = edge.seqno
            self._deliver(edge.mono_ns, edge.high == self._closed_high)
        if gap or strange:
            self._look()
        return len(found)

    def _look(self) -> None:
        """Edges are missing: if the contact is not as the last one left it, say so with the time of now."""
        with contextlib.suppress(DeviceError):  # a line that has gone is found by the next read
            closed = self.closed()
            if closed != self._closed_last:
                self._deliver(time.monotonic_ns(), closed)

    def _deliver(self, mono_ns: int, closed: bool) -> None:
        self._closed_last = closed
        self._on_edge(mono_ns, closed)
