"""A serial port that hangs, goes away or is replaced never blocks the loop."""

import asyncio
import contextlib
import os
import threading
import time
import tty
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial

from unitd.drivers import serial_port
from unitd.drivers.serial_port import MAX_STUCK, SerialPort
from unitd.errors import DeviceError


class Pty:
    """The least device: a PTY behind a link that can be led elsewhere."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.masters: list[int] = []
        self.slaves: list[int] = []
        self.plug()

    def plug(self) -> None:
        master, slave = os.openpty()
        tty.setraw(slave)
        self.masters.append(master)
        self.slaves.append(slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(slave))

    def unplug(self) -> None:
        self.link.unlink(missing_ok=True)
        for fd in (self.masters.pop(), self.slaves.pop()):
            os.close(fd)

    def read(self, size: int) -> bytes:
        out = b""
        while len(out) < size:
            out += os.read(self.masters[-1], size - len(out))
        return out

    def close(self) -> None:
        while self.masters:
            self.unplug()


@pytest.fixture
def pty(tmp_path: Path) -> Iterator[Pty]:
    made = Pty(tmp_path / "port")
    yield made
    made.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        await asyncio.sleep(0.005)


def with_port(pty: Pty, work: Callable[[SerialPort, list[bytes]], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        heard: list[bytes] = []
        port = SerialPort(str(pty.link), 9600, heard.append)
        try:
            return await work(port, heard)
        finally:
            await port.close()

    return asyncio.run(go())


def test_ok__both_ways(pty: Pty) -> None:
    async def work(port: SerialPort, heard: list[bytes]) -> None:
        await port.open()
        port.write(b"to the device")
        assert await asyncio.to_thread(pty.read, 13) == b"to the device"
        os.write(pty.masters[-1], b"from the device")
        await until(lambda: b"".join(heard) == b"from the device")

    with_port(pty, work)


def test_ok__what_was_queued_leaves_before_the_close(pty: Pty) -> None:
    async def work(port: SerialPort, _heard: list[bytes]) -> None:
        await port.open()
        for _ in range(10):
            port.write(b"stop")
        await port.close()
        assert await asyncio.to_thread(pty.read, 40) == b"stop" * 10

    with_port(pty, work)


def test_fail__no_such_port(tmp_path: Path) -> None:
    async def go() -> None:
        with pytest.raises(DeviceError, match="No such file"):
            await SerialPort(str(tmp_path / "none"), 9600, lambda _: None).open()

    asyncio.run(go())


def test_fail__not_a_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def go() -> None:
        with pytest.raises(DeviceError, match="cannot be opened"):
            await SerialPort(str(tmp_path / "file"), 9600, lambda _: None).open()

    asyncio.run(go())


def test_fail__write_to_a_port_that_is_not_open(pty: Pty) -> None:
    async def work(port: SerialPort, _heard: list[bytes]) -> None:
        with pytest.raises(DeviceError):
            port.write(b"x")

    with_port(pty, work)


def test_lost__unplugged_and_back_under_the_same_link(pty: Pty) -> None:
    async def work(port: SerialPort, heard: list[bytes]) -> None:
        await port.open()
        pty.unplug()
        assert await asyncio.wait_for(port.wait_lost(), 5)
        pty.plug()
        await port.open()
        os.write(pty.masters[-1], b"again")
        await until(lambda: b"".join(heard) == b"again")

    with_port(pty, work)


def test_lost__the_link_leads_elsewhere_though_the_old_port_lives(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "SAME_DEVICE_CHECK_S", 0.05)

    async def work(port: SerialPort, _heard: list[bytes]) -> None:
        await port.open()
        pty.plug()
        assert "another device" in await asyncio.wait_for(port.wait_lost(), 5)
        await port.open()
        port.write(b"new")
        assert await asyncio.to_thread(pty.read, 3) == b"new"

    with_port(pty, work)


def test_lost__a_device_that_takes_no_bytes(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "WRITE_TIMEOUT_S", 0.1)

    async def work(port: SerialPort, _heard: list[bytes]) -> str:
        await port.open()
        lost = asyncio.create_task(port.wait_lost())
        while not lost.done():
            try:
                port.write(b"x" * 4096)
            except DeviceError:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)
        return await lost

    assert with_port(pty, work) == "it takes no bytes"


class Stuck:
    """Stands for the kernel: the named call of pyserial hangs until let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
        self.free = threading.Event()
        real = getattr(serial.Serial, call)

        def hang(port: serial.Serial, *arguments: Any) -> Any:
            self.free.wait(30)
            return real(port, *arguments)

        monkeypatch.setattr(serial.Serial, call, hang)


def test_a_stuck_open_gives_up_and_the_loop_goes_on(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "OPEN_TIMEOUT_S", 0.1)
    stuck = Stuck(monkeypatch, "open")

    async def work(port: SerialPort, _heard: list[bytes]) -> None:
        for number in range(MAX_STUCK):
            with pytest.raises(DeviceError, match="hangs"):
                await port.open()
            assert port.stuck == number + 1
        threads = threading.active_count()
        with pytest.raises(DeviceError, match="still hang"):
            await port.open()
        assert threading.active_count() == threads, "no more threads for a port that hangs"
        stuck.free.set()
        await until(lambda: port.stuck == 0)
        await port.open()

    with_port(pty, work)


def test_a_stuck_close_is_left_to_its_thread(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(port: SerialPort, _heard: list[bytes]) -> None:
        await port.open()
        stuck = Stuck(monkeypatch, "close")
        started = time.monotonic()
        await port.close(timeout_s=0.1)
        assert time.monotonic() - started < 1.0
        assert port.stuck == 1
        stuck.free.set()
        await until(lambda: port.stuck == 0)

    with_port(pty, work)


def test_a_busy_loop_loses_bytes_beyond_the_bound_and_counts_them(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "UNREAD_BYTES", 1000)

    async def work(port: SerialPort, heard: list[bytes]) -> None:
        await port.open()
        for _ in range(30):
            os.write(pty.masters[-1], b"z" * 100)
            time.sleep(0.01)  # noqa: ASYNC251 - the loop is busy on purpose
        await until(lambda: sum(map(len, heard)) + port.dropped_bytes == 3000)
        assert port.dropped_bytes > 0
        assert max(map(len, heard)) <= 1000

    with_port(pty, work)


def test_closing_leaves_no_thread_and_no_descriptor(pty: Pty) -> None:
    async def work(port: SerialPort, _heard: list[bytes]) -> None:
        await port.open()
        await port.close()
        before = descriptors()
        for _ in range(10):
            await port.open()
            await port.close()
        assert descriptors() == before
        await until(lambda: not [t for t in threading.enumerate() if t.name.startswith("serial-")])

    with_port(pty, work)


@pytest.mark.parametrize("call", ["read", "write"])
def test_a_thread_that_hangs_while_the_port_is_open_loses_it_and_the_next_opening_works(
    pty: Pty, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A driver that ignores its time-outs. The first opening's thread hangs still while the second one serves."""
    monkeypatch.setattr(serial_port, "HUNG_S", 0.5)
    monkeypatch.setattr(serial_port, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(serial_port, "READ_TIMEOUT_S", 0.05)
    free, real, hung = threading.Event(), getattr(serial.Serial, call), []

    def hang(port: serial.Serial, *arguments: Any) -> Any:
        if not hung:
            hung.append(port)
            free.wait(30)
        return real(port, *arguments)

    async def work(port: SerialPort, heard: list[bytes]) -> None:
        monkeypatch.setattr(serial.Serial, call, hang)
        await port.open()
        with contextlib.suppress(DeviceError):
            port.write(b"AT")
        assert "hung" in await port.wait_lost()
        await port.close(timeout_s=0.05)
        assert port.stuck == 1
        await port.open()  # the lock of the one that hangs is not in the way
        os.write(pty.masters[-1], b"OK")
        await until(lambda: b"".join(heard) == b"OK")
        assert port.hopeless_s() == 0
        free.set()
        await until(lambda: port.stuck == 0)
        assert b"".join(heard) == b"OK"

    with_port(pty, work)


def test_a_port_that_is_given_up_says_since_when_and_heals(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "OPEN_TIMEOUT_S", 0.05)
    stuck = Stuck(monkeypatch, "open")

    async def work(port: SerialPort, _heard: list[bytes]) -> None:
        for _ in range(MAX_STUCK + 2):
            with contextlib.suppress(DeviceError):
                await port.open()
        assert port.hopeless_s() > 0
        first_s = port.hopeless_s()
        with pytest.raises(DeviceError, match="still hang"):
            await port.open()
        assert port.hopeless_s() > first_s, "since the first refusal, not the last"
        stuck.free.set()
        await until(lambda: port.stuck == 0)
        await port.open()
        assert port.hopeless_s() == 0

    with_port(pty, work)
