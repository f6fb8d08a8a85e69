"""One client's stream: a bounded queue between the encoder and a TCP connection or a pair of UDP ports."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import struct
import time
from collections import deque
from dataclasses import replace
from typing import Protocol

from hw_sim.devices.camera.h264 import CLOCK_HZ, AccessUnit, RtpSender
from hw_sim.devices.camera.profile import Codec
from hw_sim.devices.camera.quirks import Quirks
from hw_sim.devices.camera.rtsp import Transport

QUEUE_UNITS = 40
"""Access units kept for a client that does not keep up: 2 s at 20 a second."""
LOG_UNITS = 4096
REPORT_EVERY_S = 5.0


class Sink(Protocol):
    """Where packets go."""

    async def send(self, rtp: list[bytes]) -> None:
        """Hand over the RTP packets of one picture; waits while the network is slow."""

    async def send_half(self, rtp: list[bytes]) -> None:
        """Hand over half of a picture, cut in the middle of a packet where that can be."""

    def control(self, rtcp: bytes) -> None:
        """Hand over one RTCP packet; never waits."""

    def close(self) -> None:
        """Free the ports."""


class InterleavedSink:
    """RTP inside the RTSP connection (RFC 2326, 10.12)."""

    def __init__(self, writer: asyncio.StreamWriter, transport: Transport) -> None:
        self._writer, self._transport = writer, transport

    async def send(self, rtp: list[bytes]) -> None:
        channel = self._transport.rtp
        self._writer.write(b"".join(struct.pack(">BBH", 0x24, channel, len(packet)) + packet for packet in rtp))
        await self._writer.drain()

    async def send_half(self, rtp: list[bytes]) -> None:
        channel = self._transport.rtp
        whole = b"".join(struct.pack(">BBH", 0x24, channel, len(packet)) + packet for packet in rtp)
        self._writer.write(whole[: len(whole) // 2])
        await self._writer.drain()

    def control(self, rtcp: bytes) -> None:
        # Skipped when the connection is congested: the next report says the same and more.
        if not self._writer.is_closing() and self._writer.transport.get_write_buffer_size() < 65_536:
            self._writer.write(struct.pack(">BBH", 0x24, self._transport.rtcp, len(rtcp)) + rtcp)

    def close(self) -> None:
        """The connection belongs to the RTSP session."""


class _Ears(asyncio.DatagramProtocol):
    """Takes the client's receiver reports as a sign of life."""

    def __init__(self) -> None:
        self.heard_mono_s = time.monotonic()

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        self.heard_mono_s = time.monotonic()


class UdpSink:
    """RTP and RTCP over two UDP ports of ours."""

    def __init__(
        self,
        rtp: asyncio.DatagramTransport,
        rtcp: asyncio.DatagramTransport,
        ears: _Ears,
        server_ports: tuple[int, int],
    ) -> None:
        self._rtp, self._rtcp, self._ears = rtp, rtcp, ears
        self.server_ports = server_ports

    @property
    def heard_mono_s(self) -> float:
        """When the client last sent RTCP."""
        return self._ears.heard_mono_s

    async def send(self, rtp: list[bytes]) -> None:
        for index, packet in enumerate(rtp):
            self._rtp.sendto(packet)
            # A keyframe is a burst; a pause now and then lets a receiver with a small buffer keep up.
            if index % 16 == 15:
                await asyncio.sleep(0.001)

    async def send_half(self, rtp: list[bytes]) -> None:
        await self.send(rtp[: len(rtp) // 2])

    def control(self, rtcp: bytes) -> None:
        self._rtcp.sendto(rtcp)

    def close(self) -> None:
        self._rtp.close()
        self._rtcp.close()


async def open_udp(local_host: str, peer_host: str, transport: Transport) -> UdpSink:
    """Bind an even RTP port and the odd one after it, towards the client's. OSError when none is free."""
    loop = asyncio.get_running_loop()
    for _ in range(50):
        rtp, _unused = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(local_host, 0), remote_addr=(peer_host, transport.rtp)
        )
        port = int(rtp.get_extra_info("sockname")[1])
        if port % 2 == 0:
            with contextlib.suppress(OSError):
                rtcp, ears = await loop.create_datagram_endpoint(
                    _Ears, local_addr=(local_host, port + 1), remote_addr=(peer_host, transport.rtcp)
                )
                return UdpSink(rtp, rtcp, ears, (port, port + 1))
        rtp.close()
    raise OSError("no pair of free UDP ports")


class ClientStream:
    """Sends one profile's pictures to one client, beginning with a keyframe.

    `offer` never waits: when the client is `QUEUE_UNITS` behind, what is queued is dropped and counted,
    and the stream takes up again at the next keyframe.
    """

    def __init__(self, sink: Sink, quirks: Quirks, codec: Codec = "h264", *, key_at_play: bool = True) -> None:
        self._codec, self._quirks, self._key_at_play = codec, quirks, key_at_play
        self._seen = replace(quirks)
        self.sender = self._new_sender()
        self.sink = sink
        self.log: deque[tuple[int, bool]] = deque(maxlen=LOG_UNITS)
        """Of each picture sent whole: when it was taken, in 90 kHz, and whether it was a keyframe."""
        self.dropped = 0
        """Access units this client was not sent."""
        self.sent = 0
        self.playing = False
        self._queue: deque[AccessUnit] = deque()
        self._ready = asyncio.Event()
        self._needs_key = True
        self._not_before_ns = 0
        self._reported_s = 0.0

    def play(self, mono_ns: int) -> None:
        """Let pictures through that were taken from `mono_ns` on, the first a keyframe."""
        self.playing, self._needs_key, self._not_before_ns = True, self._key_at_play, mono_ns

    def pause(self) -> None:
        """Let nothing more through."""
        self.playing = False
        self._queue.clear()

    def offer(self, unit: AccessUnit) -> None:
        """Queue a picture, or drop it; on the event loop."""
        if not self.playing:
            return
        if self._needs_key:
            if not unit.is_key or unit.capture_mono_ns < self._not_before_ns:
                # What was before PLAY is not a loss.
                self.dropped += unit.capture_mono_ns >= self._not_before_ns and self.sent > 0
                return
            self._needs_key = False
        if len(self._queue) >= QUEUE_UNITS:
            self.dropped += len(self._queue) + 1
            self._queue.clear()
            self._needs_key = True
            return
        self._queue.append(unit)
        self._ready.set()

    async def run(self) -> None:
        """Send what is queued until cancelled; ends by ConnectionError when the client is gone."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._queue:
                unit = self._queue.popleft()
                now_s = time.monotonic()
                if now_s - self._reported_s >= REPORT_EVERY_S:
                    self._reported_s = now_s
                    self.sink.control(self.sender.sender_report(time.monotonic_ns(), time.time_ns()))
                await self._send(unit)

    async def _send(self, unit: AccessUnit) -> None:
        """One picture, with what the camera suffers from."""
        quirks, seen = self._quirks, self._seen
        if quirks.sources != seen.sources:
            self.sender = self._new_sender()
        self.sender.still = quirks.still
        self.sender.shift_ticks = quirks.offset_ticks
        packets = self.sender.packets_of(unit)
        whole = True
        if quirks.losses != seen.losses:
            del packets[len(packets) // 2]
            whole = False
        if quirks.halves != seen.halves:
            await self.sink.send_half(packets)
            await asyncio.Event().wait()
        if quirks.byes != seen.byes:
            self.sink.control(self.sender.bye())
            await asyncio.Event().wait()
        self._seen = replace(quirks)
        await self.sink.send(packets)
        self.sent += 1
        if whole:
            self.log.append((unit.capture_mono_ns * CLOCK_HZ // 1_000_000_000, unit.is_key))

    def _new_sender(self) -> RtpSender:
        return RtpSender(secrets.randbits(32), secrets.randbits(16), secrets.randbits(32), self._codec)
