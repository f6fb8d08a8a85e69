"""The counter of bytes at IP level, on real sockets of this machine."""

import asyncio

from hw_sim.waiting import until
from tests.bench.tcp_counter import HEADER_BYTES, Sent, TcpCounter


def test_headers_of_every_segment_are_in_the_bytes() -> None:
    assert Sent(segments=3, stream_bytes=100).ip_bytes == 100 + 3 * HEADER_BYTES
    assert Sent(5, 100).since(Sent(2, 40)) == Sent(3, 60)


def test_it_passes_both_ways_and_counts_only_what_the_client_sends() -> None:
    async def run() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(len(await reader.readexactly(1000)) * b"y" * 5)
            await reader.read()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        counter = TcpCounter(server.sockets[0].getsockname()[1])
        await counter.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", counter.port)
        writer.write(b"x" * 1000)
        assert await reader.readexactly(5000) == b"y" * 5000
        sent = counter.sent()
        assert sent.stream_bytes == 1000
        assert 1 <= sent.segments < 50  # the data, the handshake and some acknowledgements
        writer.close()
        # a closed connection stays counted (its FIN is one more segment)
        await until(lambda: counter.open == 0, 5.0, "the counter has let the connection go")
        assert counter.sent().segments > sent.segments
        assert counter.sent().stream_bytes in (1000, 1001)  # Linux counts the FIN as a byte
        await counter.close()
        server.close()

    asyncio.run(run())
