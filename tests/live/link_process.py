"""The emulated link as a process of its own: `python -m tests.live.link_process ROOM_PID SEED`.

Opens the unit's two devices in the namespace it is started in and the control room's in that of ROOM_PID, says
`{"ready": true}`, and obeys lines of JSON on standard input: `{"up": Shape, "down": Shape}` changes the link,
`{"counts": true}` is answered with what passed (bins of BIN_S; `mono_s` is when the first began, `stalled_s` for how
long the machine had no time for this process), end of file ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from dataclasses import asdict

from tests.live.forwarder import OneWay
from tests.live.shape import Shape
from tests.live.tunnels import (
    ROOM,
    ROOM_DEVICE,
    UNIT_DEVICES,
    Device,
    device_up,
    enter_network_of,
    is_upload,
    loopback_up,
    way_to,
)

LONGEST_WAIT_S = 0.05
PACKETS_AT_ONCE = 64
STALL_S = 0.02
"""Woken so much later than asked for: the machine had no time for us, and so for nothing that is measured here."""


class LinkLoop:
    """Reads, waits and writes; one thread."""

    def __init__(self, unit_ends: list[Device], room_end: Device, seed: int) -> None:
        self._unit_ends, self._room_end = unit_ends, room_end
        self._up, self._down = OneWay(Shape(), seed), OneWay(Shape(), seed + 1)
        self._start_s = time.monotonic()
        self._orders = b""
        self._stalled_s = 0.0
        self.open = True

    def run(self) -> None:
        ends = {each.fileno(): each for each in (*self._unit_ends, self._room_end)}
        poll = select.epoll()
        for number in (*ends, sys.stdin.fileno()):
            poll.register(number, select.EPOLLIN)
        while self.open:
            now_s = time.monotonic() - self._start_s
            times = [at_s for at_s in (self._up.next_s(), self._down.next_s()) if at_s is not None]
            wait_s = max(0.0, min([LONGEST_WAIT_S, *(at_s - now_s for at_s in times)]))
            ready = poll.poll(wait_s)
            late_s = time.monotonic() - self._start_s - now_s - wait_s
            if late_s > STALL_S:
                self._stalled_s += late_s
            for number, _ in ready:
                if number == sys.stdin.fileno():
                    self._obey(os.read(number, 65_536))
                else:
                    self._take(ends[number])
            self._deliver()

    def _take(self, end: Device) -> None:
        way = self._down if end is self._room_end else self._up
        with contextlib.suppress(BlockingIOError, OSError):
            for _ in range(PACKETS_AT_ONCE):
                packet = end.read()
                if packet[0] >> 4 == 4:
                    way.offer(packet, time.monotonic() - self._start_s, foreign=is_upload(packet))

    def _deliver(self) -> None:
        now_s = time.monotonic() - self._start_s
        with contextlib.suppress(OSError):  # a device that is down takes nothing
            for packet in self._up.due(now_s):
                self._room_end.write(packet)
        for packet in self._down.due(now_s):
            way = way_to(packet)
            if way is not None:
                with contextlib.suppress(OSError):
                    self._unit_ends[way].write(packet)

    def _obey(self, data: bytes) -> None:
        self.open = bool(data)
        self._orders += data
        while b"\n" in self._orders:
            line, _, self._orders = self._orders.partition(b"\n")
            order = json.loads(line)
            now_s = time.monotonic() - self._start_s
            if "up" in order:
                self._up.change(Shape(**order["up"]), now_s)
                self._down.change(Shape(**order["down"]), now_s)
            if "counts" in order:
                counts = {"up": asdict(self._up.counts), "down": asdict(self._down.counts)}
                self._say(counts | {"mono_s": self._start_s, "stalled_s": self._stalled_s})

    def _say(self, message: object) -> None:
        print(json.dumps(message), flush=True)


def main() -> int:
    room_pid, seed = int(sys.argv[1]), int(sys.argv[2])
    unit_ends = [Device(name) for name in UNIT_DEVICES]
    enter_network_of(room_pid)
    loopback_up()
    room_end = Device(ROOM_DEVICE)
    device_up(ROOM_DEVICE, ROOM)
    print(json.dumps({"ready": True}), flush=True)
    LinkLoop(unit_ends, room_end, seed).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
