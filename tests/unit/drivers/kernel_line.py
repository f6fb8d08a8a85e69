"""A stand-in for the kernel's side of a GPIO line: one end of a socket pair into which a test writes edges."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from dataclasses import dataclass, field

from unitd.drivers import gpio_uapi as uapi
from unitd.drivers.gpio_chip import GpioKernel

EVENT = struct.Struct("=QIIIIIIIIII")  # struct gpio_v2_line_event, padding written out
RISING, FALLING = 1, 2


def event(mono_ns: int, kind: int, seqno: int, offset: int = 17) -> bytes:
    return EVENT.pack(mono_ns, kind, offset, seqno, seqno, *[0] * 6)


@dataclass
class FakeKernel(GpioKernel):
    """Chips by path with their labels. Descriptors that it gave out, in this process or a dead one, are known by the
    socket behind them; as in the kernel a line can be requested once until its last descriptor is closed."""

    labels: dict[str, str] = field(default_factory=lambda: {"/dev/gpiochip0": "pinctrl-bcm2711"})
    level_high: bool = True
    gone: bool = False
    consumer: str = "unitd"
    flags: int = 0
    requests: list[tuple[str, int, str, int]] = field(default_factory=list)
    lines: dict[int, uapi.Held] = field(default_factory=dict)
    refusal: int = 0
    line: uapi.Held | None = None

    def chips(self) -> list[str]:
        return sorted(self.labels)

    def label(self, chip: str) -> str:
        return self.labels[chip]

    def info(self, chip: str, offset: int) -> uapi.LineInfo:
        return uapi.LineInfo(self.consumer, self.flags)

    def request(self, chip: str, offset: int, consumer: str, flags: int) -> int:
        self.requests.append((chip, offset, consumer, flags))
        if self.refusal:
            raise OSError(self.refusal, os.strerror(self.refusal))
        line = uapi.Held(chip.rsplit("/", 1)[1], (offset,))
        if line == self.line and not select.select([self.far], [], [], 0)[0]:  # somebody holds the other end still
            raise OSError(errno.EBUSY, "Device or resource busy")
        self.flags = flags | uapi.FLAG_USED
        near, self.far = socket.socketpair()
        self.line = self.lines[os.fstat(near.fileno()).st_ino] = line
        return near.detach()

    def held(self, fd: int) -> uapi.Held | None:
        return self.lines.get(os.fstat(fd).st_ino)

    def high(self, fd: int) -> bool:
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")
        os.fstat(fd)
        return self.level_high

    def edges(self, *events: bytes) -> None:
        self.far.sendall(b"".join(events))


@dataclass
class FakeStore:
    """A file-descriptor store that hands its copies to the next life."""

    kept: dict[str, list[int]] = field(default_factory=dict)
    inherited: dict[str, list[int]] = field(default_factory=dict)
    reachable: bool = True

    def take(self, name: str) -> list[int]:
        return self.inherited.pop(name, [])

    def keep(self, name: str, fd: int) -> bool:
        if self.reachable:
            self.kept.setdefault(name, []).append(os.dup(fd))
        return self.reachable

    def drop(self, name: str) -> bool:
        for fd in self.kept.pop(name, []):
            os.close(fd)
        return self.reachable

    def next_life(self) -> None:
        """The process has died and another one starts."""
        self.inherited = {name: [os.dup(fd) for fd in fds] for name, fds in self.kept.items()}
