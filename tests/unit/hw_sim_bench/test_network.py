"""The emulated 4G link: what passes, what waits, what is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from hw_sim.world import network
from hw_sim.world.network import Direction, Link, Shape

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def echo_server() -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def over_link(test: Callable[[Link, int, Streams], Awaitable[None]]) -> None:
    """Run `test` with a link, the port on it that leads to an echo server, and one connection."""

    async def run() -> None:
        link = Link(seed=1)
        async with echo_server() as target:
            port = await link.tcp("127.0.0.1", target)
            streams = await asyncio.open_connection("127.0.0.1", port)
            try:
                await asyncio.wait_for(test(link, port, streams), 20)
            finally:
                streams[1].transport.abort()
                await link.close()

    asyncio.run(run())


async def echoed(streams: Streams, data: bytes, within_s: float = 5.0) -> bytes:
    streams[1].write(data)
    return await asyncio.wait_for(streams[0].readexactly(len(data)), within_s)


def test_bytes_pass_whole_and_so_does_the_end() -> None:
    async def test(link: Link, _port: int, streams: Streams) -> None:
        data = random.Random(3).randbytes(300_000)
        reading = asyncio.ensure_future(streams[0].readexactly(len(data)))
        streams[1].write(data)
        assert await reading == data
        assert link.up.sent_bytes > len(data)
        streams[1].write_eof()
        assert await streams[0].read() == b""

    over_link(test)


def test_a_cut_says_nothing_and_what_waited_arrives_afterwards() -> None:
    async def test(link: Link, port: int, streams: Streams) -> None:
        assert await echoed(streams, b"before") == b"before"
        link.cut()
        assert link.state == "cut"
        streams[1].write(b"during")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(streams[0].read(1), 0.3)
        late = await asyncio.open_connection("127.0.0.1", port)
        late[1].write(b"late")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(late[0].read(1), 0.2)
        link.restore()
        assert await asyncio.wait_for(streams[0].readexactly(6), 5) == b"during"
        assert await asyncio.wait_for(late[0].readexactly(4), 5) == b"late"
        late[1].transport.abort()

    over_link(test)


def test_after_a_long_cut_the_connection_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "FORGOTTEN_AFTER_S", 0.0)

    async def test(link: Link, _port: int, streams: Streams) -> None:
        assert await echoed(streams, b"x") == b"x"
        link.cut()
        link.restore()
        with pytest.raises(ConnectionError):
            if not await streams[0].read(1):
                raise ConnectionResetError

    over_link(test)


def test_a_slow_link_takes_its_time() -> None:
    async def test(link: Link, _port: int, streams: Streams) -> None:
        link.slow(kbit_s=400, delay_ms=50, jitter_ms=0, loss=0)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await echoed(streams, b"ping")
        assert loop.time() - began_s >= 0.1
        began_s = loop.time()
        await echoed(streams, bytes(10_000))
        assert loop.time() - began_s >= 10_000 * 8 / 400_000 + 0.1

    over_link(test)


def test_a_dead_target_is_a_closed_connection() -> None:
    async def run() -> None:
        link = Link()
        port = await link.tcp("127.0.0.1", 1)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises(ConnectionError):
            if not await asyncio.wait_for(reader.read(), 5):
                raise ConnectionResetError
        writer.close()
        await link.close()

    asyncio.run(run())


class Inbox(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()
        self.senders: set[tuple[str, int]] = set()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.got.put_nowait(data)
        self.senders.add(addr)


async def endpoint() -> tuple[asyncio.DatagramTransport, Inbox]:
    return await asyncio.get_running_loop().create_datagram_endpoint(Inbox, local_addr=("127.0.0.1", 0))


def test_media_finds_its_way_through_a_pair() -> None:
    async def run() -> None:
        link = Link()
        pair = await link.udp_pair()
        unit, unit_in = await endpoint()
        peer, peer_in = await endpoint()
        unit.sendto(b"too early", pair.addr_for_unit)
        peer.sendto(b"hello unit", pair.addr_for_peer)
        assert await asyncio.wait_for(unit_in.got.get(), 5) == b"hello unit"
        unit.sendto(b"hello peer", pair.addr_for_unit)
        assert await asyncio.wait_for(peer_in.got.get(), 5) == b"hello peer"
        assert unit_in.senders == {pair.addr_for_unit}
        assert peer_in.senders == {pair.addr_for_peer}
        link.cut()
        dropped = link.down.dropped
        peer.sendto(b"gone", pair.addr_for_peer)
        while link.down.dropped == dropped:  # noqa: ASYNC110 - a counter, looked at between turns of the loop
            await asyncio.sleep(0.001)
        link.restore()
        peer.sendto(b"back", pair.addr_for_peer)
        assert await asyncio.wait_for(unit_in.got.get(), 5) == b"back"
        unit.close()
        peer.close()
        await link.close()

    asyncio.run(run())


def test_a_full_queue_drops_and_counts() -> None:
    way = Direction(random.Random(0), Shape(kbit_s=100, queue_ms=100))
    dues = [way.datagram_due_s(972, now_s=10.0) for _ in range(10)]
    assert [due is None for due in dues] == [False, False] + [True] * 8
    assert dues[0] == pytest.approx(10.08)
    assert way.dropped == 8


def test_loss_is_seeded_and_as_asked() -> None:
    def losses(seed: int) -> list[bool]:
        way = Direction(random.Random(seed), Shape(loss=0.05))
        return [way.datagram_due_s(100, now_s=0.0) is None for _ in range(4000)]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)
    assert 0.03 < sum(losses(1)) / 4000 < 0.07


def test_a_lost_segment_is_late_but_never_lost() -> None:
    way = Direction(random.Random(0), Shape(loss=0.999999))
    assert way.segment_due_s(100, now_s=1.0) == pytest.approx(1.2)
    assert way.dropped == 0
