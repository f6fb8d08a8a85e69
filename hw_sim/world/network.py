"""The 4G link between a pole and its control room, in user space: no root, no kernel module, no namespaces.

Everything that crosses the link goes through ports of this object: TCP by a proxy, media (UDP) by a relay pair. All of
it shares one bottleneck per direction, as it does on air. One asyncio loop; no method blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

LOOPBACK = "127.0.0.1"
Address = tuple[str, int]
LinkState = Literal["up", "cut", "slow"]

QUEUE_MS = 400.0
"""The bottleneck's buffer: what would wait longer is dropped (UDP) or held back at the sender (TCP)."""
TCP_RETRANSMIT_MS = 200.0
"""What a lost segment costs a TCP stream: Linux's least retransmission time-out (TCP_RTO_MIN)."""
FORGOTTEN_AFTER_S = 120.0
"""A mobile network forgets a silent connection (carrier NAT, some minutes); after a longer cut it is reset."""
IP_UDP_BYTES = 28
IP_TCP_BYTES = 40
SOCKET_BYTES = 4 * 2**20
SO_RCVBUFFORCE = 33
SEGMENT_BYTES = 1400


@dataclass(frozen=True)
class Shape:
    """One way of the link. `loss` is a probability per packet, `datagram_loss` one for media alone (a carrier may let
    only TCP through); None for `kbit_s` means no limit."""

    kbit_s: float | None = None
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    queue_ms: float = QUEUE_MS
    datagram_loss: float = 0.0


@dataclass
class Direction:
    """One way through the bottleneck. Times are the loop's seconds. `dropped` counts datagrams."""

    rng: random.Random
    shape: Shape = Shape()
    sent_bytes: int = 0
    dropped: int = 0
    _free_at_s: float = 0.0
    _last_due_s: float = 0.0

    def backlog_s(self, now_s: float) -> float:
        return max(0.0, self._free_at_s - now_s)

    def datagram_due_s(self, size_bytes: int, now_s: float) -> float | None:
        """When a datagram offered now comes out, or None when it is lost on air or finds the queue full."""
        loss = max(self.shape.loss, self.shape.datagram_loss)
        lost = loss > 0 and self.rng.random() < loss
        if lost or self.backlog_s(now_s) * 1000 > self.shape.queue_ms:
            self.dropped += 1
            return None
        # In order, as a radio link layer delivers: jitter does not make packets overtake each other.
        self._last_due_s = max(self._last_due_s, self._through(size_bytes + IP_UDP_BYTES, now_s, 0.0))
        return self._last_due_s

    def segment_due_s(self, size_bytes: int, now_s: float) -> float:
        """When a piece of a TCP stream offered now comes out; a lost one comes later, and so does all behind it."""
        packets = 1 + (size_bytes - 1) // SEGMENT_BYTES
        lost = self.shape.loss > 0 and self.rng.random() < 1 - (1 - self.shape.loss) ** packets
        return self._through(size_bytes + packets * IP_TCP_BYTES, now_s, TCP_RETRANSMIT_MS if lost else 0.0)

    def _through(self, wire_bytes: int, now_s: float, extra_ms: float) -> float:
        self.sent_bytes += wire_bytes
        start_s = max(now_s, self._free_at_s)
        if self.shape.kbit_s is not None:
            start_s += wire_bytes * 8 / (self.shape.kbit_s * 1000)
        self._free_at_s = start_s
        return start_s + (self.shape.delay_ms + self.rng.uniform(0, self.shape.jitter_ms) + extra_ms) / 1000


class Link:
    """The link of one pole. `up` from the pole to the control room, `down` the other way; begins without limits.

    While cut, datagrams vanish, streams stand still without any sign of it (half-open), and what tries to connect gets
    no answer. A stream goes on where it stood when the link is back, unless the cut took longer than
    FORGOTTEN_AFTER_S: then it is reset. Loss, jitter and so on follow `seed`.
    """

    def __init__(self, seed: int = 0) -> None:
        self.up = Direction(random.Random(seed))
        self.down = Direction(random.Random(seed + 1))
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._cut_at_s = 0.0
        self._slow = False
        self._servers: list[asyncio.Server] = []
        self._streams: set[asyncio.Task[None]] = set()
        self._pairs: list[UdpPair] = []
        self._watchers: list[Callable[[LinkState], None]] = []

    @property
    def state(self) -> LinkState:
        if not self._flowing.is_set():
            return "cut"
        return "slow" if self._slow else "up"

    def watch(self, on_state: Callable[[LinkState], None]) -> None:
        """Call `on_state` at every change from now on."""
        self._watchers.append(on_state)

    def cut(self) -> None:
        """Nothing passes any more, and nobody is told."""
        if self._flowing.is_set():
            self._cut_at_s = time.monotonic()
            self._flowing.clear()
            self._tell()

    def restore(self) -> None:
        """The whole link back, without limits."""
        self._shape(Shape(), Shape(), slow=False)

    def slow(
        self,
        kbit_s: float = 400.0,
        delay_ms: float = 80.0,
        jitter_ms: float = 20.0,
        loss: float = 0.01,
        down_kbit_s: float | None = None,
        datagram_loss: float = 0.0,
    ) -> None:
        """A link at the edge of coverage; `kbit_s` limits the way up, `down_kbit_s` (the same by default) the other."""
        down_kbit_s = kbit_s if down_kbit_s is None else down_kbit_s
        self._shape(
            Shape(kbit_s, delay_ms, jitter_ms, loss, datagram_loss=datagram_loss),
            Shape(down_kbit_s, delay_ms, jitter_ms, loss, datagram_loss=datagram_loss),
            slow=True,
        )

    def without_streams(self) -> None:
        """So little that no picture and no voice gets through: 64 kbit/s of TCP, and no datagram at all."""
        self.slow(kbit_s=64.0, delay_ms=150.0, jitter_ms=30.0, datagram_loss=1.0)

    async def tcp(self, host: str, port: int) -> int:
        """A port on loopback that leads to `host:port` over this link, until `close`."""

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._serve(reader, writer, host, port))
            self._streams.add(task)
            task.add_done_callback(self._streams.discard)

        server = await asyncio.start_server(accepted, LOOPBACK, 0, limit=SEGMENT_BYTES * 8)
        self._servers.append(server)
        local: int = server.sockets[0].getsockname()[1]
        return local

    async def udp_pair(self) -> UdpPair:
        """A way for media: see UdpPair."""
        pair = UdpPair(self)
        await pair.open()
        self._pairs.append(pair)
        return pair

    async def close(self) -> None:
        """Close every port and reset every stream."""
        for server in self._servers:
            server.close()
        for pair in list(self._pairs):
            pair.close()
        for task in list(self._streams):
            task.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)

    def forget(self, pair: UdpPair) -> None:
        if pair in self._pairs:
            self._pairs.remove(pair)

    def _shape(self, up: Shape, down: Shape, *, slow: bool) -> None:
        self.up.shape, self.down.shape, self._slow = up, down, slow
        if not self._flowing.is_set() and time.monotonic() - self._cut_at_s > FORGOTTEN_AFTER_S:
            for task in list(self._streams):
                task.cancel()
        self._flowing.set()
        self._tell()

    def _tell(self) -> None:
        for watcher in self._watchers:
            watcher(self.state)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        far_writer: asyncio.StreamWriter | None = None
        try:
            await self._flowing.wait()
            far_reader, far_writer = await asyncio.open_connection(host, port, limit=SEGMENT_BYTES * 8)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far_writer, self.up))
                both.create_task(self._pump(far_reader, writer, self.down))
        except* (OSError, EOFError):
            pass  # either end has reset: so does the other, below
        finally:
            for end in (writer, far_writer):
                if end is not None:
                    end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction) -> None:
        """Carry one way of a stream until its end of file, which is carried too."""
        in_flight: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._deliver(in_flight, writer))
            while True:
                await self._flowing.wait()
                try:
                    data = await reader.read(SEGMENT_BYTES if way.shape.kbit_s is not None else SEGMENT_BYTES * 8)
                finally:
                    await self._flowing.wait()  # not even an end or a reset crosses a cut link
                loop_s = asyncio.get_running_loop().time
                # Half a queue more than datagrams get, so that a flood of them cannot starve streams.
                while (  # noqa: ASYNC110 - it is time that is waited for
                    excess_s := way.backlog_s(loop_s()) - way.shape.queue_ms * 1.5 / 1000
                ) > 0:
                    await asyncio.sleep(min(excess_s, 0.1))
                await in_flight.put((way.segment_due_s(max(1, len(data)), loop_s()), data))
                if not data:
                    return

    async def _deliver(self, in_flight: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s, data = await in_flight.get()
            if (wait_s := due_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            await self._flowing.wait()
            if not data:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()


@dataclass
class UdpPair:
    """A relay for media: what one side sends to its address comes out of the other side's address.

    It goes to wherever the other side last sent from; before that side has sent anything (and no `expect_*` was
    called), packets to it are dropped. So a signalling relay gives the unit `addr_for_unit` as the peer's ICE
    candidate, and the peer `addr_for_peer` as the unit's; each side then sees only the link.

    `host` is this machine's address on its way out, or loopback when it has none: GStreamer's ICE library ties each
    socket to its network interface (IP_UNICAST_IF), so what it sends to 127.0.0.1 from there vanishes. Packets from
    other machines are dropped.
    """

    link: Link
    host: str = field(default_factory=lambda: media_host())
    addr_for_unit: Address = (LOOPBACK, 0)
    addr_for_peer: Address = (LOOPBACK, 0)
    _unit: Address | None = None
    _peer: Address | None = None
    _ends: list[asyncio.DatagramTransport] = field(default_factory=list)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for take in (self._from_unit, self._from_peer):
            transport, _ = await loop.create_datagram_endpoint(
                lambda take=take: _Datagrams(take),  # type: ignore[misc]
                local_addr=(self.host, 0),
            )
            _widen(transport.get_extra_info("socket"))
            self._ends.append(transport)
        self.addr_for_unit = self._ends[0].get_extra_info("sockname")
        self.addr_for_peer = self._ends[1].get_extra_info("sockname")

    def close(self) -> None:
        for end in self._ends:
            end.close()
        self.link.forget(self)

    @property
    def unit_port(self) -> int:
        return self.addr_for_unit[1]

    @property
    def peer_port(self) -> int:
        return self.addr_for_peer[1]

    def _from_unit(self, data: bytes, sender: Address) -> None:
        if not self._is_ours(sender):
            return
        self._unit = sender
        self._forward(data, self.link.up, self._ends[1], lambda: self._peer)

    def _is_ours(self, sender: Address) -> bool:
        """Only this machine may use the relay, whatever network its address is in."""
        return sender[0] in (self.host, LOOPBACK)

    def _from_peer(self, data: bytes, sender: Address) -> None:
        if not self._is_ours(sender):
            return
        self._peer = sender
        self._forward(data, self.link.down, self._ends[0], lambda: self._unit)

    def _forward(
        self, data: bytes, way: Direction, out: asyncio.DatagramTransport, to: Callable[[], Address | None]
    ) -> None:
        loop = asyncio.get_running_loop()
        if self.link.state == "cut":
            way.dropped += 1
            return
        due_s = way.datagram_due_s(len(data), loop.time())
        if due_s is None:
            return

        def send() -> None:
            target = to()
            if target is None or self.link.state == "cut" or out.is_closing():
                way.dropped += 1
            else:
                out.sendto(data, target)

        if due_s <= loop.time() + 0.0005:
            send()
        else:
            loop.call_at(due_s, send)


def _widen(end: Any) -> None:
    """Room for a burst (a whole group of pictures is about 200 packets): only the link's own queue may drop.

    The default holds some 90, and what was lost in the first second made the unit step down on a perfect link.
    """
    try:
        end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES)
    except OSError:  # not root: as much as the system allows
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)


def media_host() -> str:
    """The address that this machine would use towards the outside (nothing is sent), or loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # TEST-NET-2, RFC 5737
        except OSError:
            return LOOPBACK
        host: str = probe.getsockname()[0]
        return host


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Address], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._take(data, addr)
