"""RTP over UDP: a pair of ports, and packets put back into order."""

import contextlib
import select
import socket
from collections.abc import Iterator

from unitd.drivers.rtsp_session import RtspSession

UDP_BUFFER_BYTES = 1024 * 1024
REORDER_PACKETS = 32
_DATAGRAM_BYTES = 65_536
_HALF = 0x8000
_NOTHING = b"\x80" + bytes(11)


class UdpPair:
    """An even port for RTP, the odd one after it for RTCP; puts packets back into order."""

    def __init__(self, family: int) -> None:
        self._rtp, self._rtcp = _bind_pair(family)
        self.ports = (self._rtp.getsockname()[1], self._rtcp.getsockname()[1])
        self._held: dict[int, bytes] = {}
        self._next: int | None = None

    def open_the_way(self, host: str, port: int) -> None:
        """A datagram towards the camera, so that a firewall or NAT in between lets its packets in."""
        if port:
            with contextlib.suppress(OSError):
                self._rtp.sendto(_NOTHING, (host, port))

    def report(self, session: RtspSession, report: bytes) -> None:
        """Send a receiver report to where the camera expects it."""
        if session.server_rtcp_port:
            with contextlib.suppress(OSError):
                self._rtcp.sendto(report, (session.host, session.server_rtcp_port))

    def packets(self, session: RtspSession, wait_s: float) -> list[bytes]:
        """What has come, in order; watches the RTSP connection too. Waits up to `wait_s`."""
        ready, _, _ = select.select([self._rtp, session.socket], [], [], wait_s)
        if session.socket in ready:
            session.packets()
        return self.come() if self._rtp in ready else list(self._in_order())

    def come(self) -> list[bytes]:
        """What has come, in order; does not wait."""
        with contextlib.suppress(BlockingIOError):
            while len(self._held) < REORDER_PACKETS:
                packet = self._rtp.recv(_DATAGRAM_BYTES)
                number = int.from_bytes(packet[2:4], "big")
                late = self._next is not None and (number - self._next) & 0xFFFF > _HALF
                if len(packet) >= 12 and not late:
                    self._held[number] = packet
        return list(self._in_order())

    def reports(self) -> list[bytes]:
        """The RTCP packets that have come; does not wait."""
        found: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            for _ in range(REORDER_PACKETS):
                found.append(self._rtcp.recv(_DATAGRAM_BYTES))
        return found

    def close(self) -> None:
        self._rtp.close()
        self._rtcp.close()

    def _in_order(self) -> Iterator[bytes]:
        """Packets from the expected one on; past REORDER_PACKETS what is missing is given up."""
        if self._next is None and self._held:
            self._next = min(self._held)
        while self._held and self._next is not None:
            packet = self._held.pop(self._next, None)
            if packet is None:
                if len(self._held) < REORDER_PACKETS:
                    return
                expected = self._next
                self._next = min(self._held, key=lambda number: (number - expected) & 0xFFFF)
                continue
            self._next = (self._next + 1) & 0xFFFF
            yield packet


def _bind_pair(family: int) -> tuple[socket.socket, socket.socket]:
    """Two neighbouring UDP ports, the first even (RFC 3550, 11)."""
    for _ in range(50):
        rtp = socket.socket(family, socket.SOCK_DGRAM)
        rtcp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            rtp.bind(("", 0))
            port = rtp.getsockname()[1]
            if port % 2 == 0:
                rtcp.bind(("", port + 1))
                rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
                rtp.setblocking(False)
                rtcp.setblocking(False)
                return rtp, rtcp
        except OSError:
            pass
        rtp.close()
        rtcp.close()
    raise OSError("no pair of free UDP ports")
