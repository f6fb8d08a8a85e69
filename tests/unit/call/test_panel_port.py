"""`panel.sock`: the display gets the whole state, the keys get through, and no program can hurt the call."""

import asyncio
import json
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog

from tests.unit.call.test_text_desk import until
from unitd.call.text.panel import MAX_CLIENTS, MAX_LINE_BYTES, PanelPort, Show, ShownLine


class Panel:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.typed: list[str] = []
        self.quick: list[int] = []
        self.state = Show(incident="i", stage="raised", lines=(ShownLine(who="caller", text="help", done=False),))
        self.port = PanelPort(path, structlog.get_logger(), self.typed.append, self.quick.append, lambda: self.state)

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(str(self.path))


def with_panel(tmp_path: Path, act: Callable[[Panel], Coroutine[Any, Any, None]]) -> Panel:
    async def run() -> Panel:
        panel = Panel(tmp_path / "panel.sock")
        task = asyncio.create_task(panel.port.run())
        await until(panel.path.is_socket)
        async with asyncio.timeout(5):
            await act(panel)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return panel

    return asyncio.run(run())


def test_a_display_gets_the_state_at_once_and_at_every_change(tmp_path: Path) -> None:
    async def act(panel: Panel) -> None:
        reader, writer = await panel.dial()
        first = json.loads(await reader.readline())
        assert first == {
            "type": "show", "incident": "i", "stage": "raised", "quick_answers": [], "language": "en",
            "lines": [{"who": "caller", "text": "help", "done": False, "by": ""}],
        }  # fmt: skip
        panel.state = Show()
        panel.port.show()
        assert json.loads(await reader.readline())["incident"] is None
        writer.close()

    with_panel(tmp_path, act)


def test_keys_get_through(tmp_path: Path) -> None:
    async def act(panel: Panel) -> None:
        _, writer = await panel.dial()
        writer.write(b'{"type":"typed","t140":"he\\u0008"}\n{"type":"quick","n":1}\n')
        await until(lambda: panel.quick == [1])
        assert panel.typed == ["he\b"]
        writer.close()

    with_panel(tmp_path, act)


def test_what_is_no_message_is_counted_and_the_next_one_taken(tmp_path: Path) -> None:
    wrong = (b"\n", b"{}\n", b"\xff\xfe\n", b"[" * 2000 + b"\n", b'{"type":"quick","n":-1}\n', b'{"type":"show"}\n')

    async def act(panel: Panel) -> None:
        _, writer = await panel.dial()
        for line in wrong:
            writer.write(line)
        writer.write(b'{"type":"typed","t140":"a"}\n')
        await until(lambda: panel.typed == ["a"])
        writer.close()

    assert with_panel(tmp_path, act).port.ignored == len(wrong)


def test_a_line_without_an_end_ends_its_program_alone(tmp_path: Path) -> None:
    async def act(panel: Panel) -> None:
        reader, writer = await panel.dial()
        writer.write(b"x" * (2 * MAX_LINE_BYTES))
        await reader.read()
        _, other = await panel.dial()
        other.write(b'{"type":"typed","t140":"a"}\n')
        await until(lambda: panel.typed == ["a"])
        other.close()

    with_panel(tmp_path, act)


def test_too_many_programs_and_one_that_does_not_read_are_let_go(tmp_path: Path) -> None:
    async def act(panel: Panel) -> None:
        kept = [await panel.dial() for _ in range(MAX_CLIENTS)]
        for reader, _ in kept:
            await reader.readline()
        reader, _ = await panel.dial()
        assert await reader.read() == b""
        assert panel.port.let_go == 1
        panel.state = Show(lines=tuple(ShownLine(who="caller", text="x" * 300, done=True) for _ in range(30)))
        for _ in range(200):
            panel.port.show()
            await asyncio.sleep(0)
        assert panel.port.let_go == 1 + MAX_CLIENTS

    with_panel(tmp_path, act)


def test_a_program_that_reads_nothing_and_goes_leaves_no_descriptor(tmp_path: Path) -> None:
    async def act(panel: Panel) -> None:
        panel.state = Show(lines=tuple(ShownLine(who="caller", text="x" * 300, done=True) for _ in range(30)))
        near = socket.socket(socket.AF_UNIX)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        near.connect(str(panel.path))
        await until(lambda: bool(panel.port._clients))
        (client,) = panel.port._clients
        while client.transport.get_write_buffer_size() == 0:
            panel.port.show()
            await asyncio.sleep(0)
        near.shutdown(socket.SHUT_WR)
        await until(lambda: not panel.port._clients)
        await until(lambda: client.transport.get_extra_info("socket").fileno() == -1)
        near.close()

    with_panel(tmp_path, act)
