"""Network namespaces and the devices in them. Linux; needs rights in its own network namespace only (`unshare -rn`).

Addresses: the unit is at UNIT_ADDRESSES[way][address] on `pole0` or `pole1`, the control room at ROOM on `room0`.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from pathlib import Path

UNIT_ADDRESSES = (("10.77.1.2", "10.77.1.3"), ("10.77.2.2", "10.77.2.3"))
UNIT_DEVICES = ("pole0", "pole1")
ROOM = "10.77.9.2"
ROOM_DEVICE = "room0"
MTU = 1500
SINK_PORT = 5001
"""Of the competing upload, at the control room."""
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x0001 | 0x1000
_CLONE_NEWNET = 0x40000000
_ETH_P_IP = 0x0800
_SIOCETHTOOL = 0x8946
_SIOCGIFHWADDR = 0x8927
_ETHTOOL_OFF = (0x17, 0x1F, 0x25)
"""ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO."""
TUN = os.environ.get("UNITD_LIVE_TUN", "/dev/net/tun")
_QUEUE_PACKETS = 4000
"""Of the device, towards us: only the emulated link may drop."""


def unshare_command(program: list[str]) -> list[str]:
    """`program` in a network namespace of its own; for other users than root in a user namespace as well."""
    return ["unshare", "-n" if os.geteuid() == 0 else "-rn", "--", *program]


def enter_network_of(pid: int) -> None:
    """This thread, and what it starts, from now on in that process's network namespace."""
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)


class Device:
    """The far end of a network device of the present namespace: `read` is the next IPv4 packet that was sent into it
    (BlockingIOError when there is none), `write` lets one come out of it. `fileno` for a poll."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._packets: socket.socket | None = None
        self._mac = b""
        try:
            self._tun = _open_tun(name)
        except OSError:  # not everywhere for everybody: a pair of Ethernet devices does as well
            self._tun = -1
            self._open_pair()
        ip("link", "set", name, "mtu", str(MTU), "txqueuelen", str(_QUEUE_PACKETS))

    def fileno(self) -> int:
        return self._tun if self._packets is None else self._packets.fileno()

    def read(self) -> bytes:
        return os.read(self.fileno(), 65_536)

    def write(self, packet: bytes) -> None:
        if self._packets is None:
            os.write(self._tun, packet)
        else:
            self._packets.sendto(packet, (f"{self._name}x", _ETH_P_IP, 0, 0, self._mac))

    def _open_pair(self) -> None:
        name, other = self._name, f"{self._name}x"
        ip("link", "add", name, "type", "veth", "peer", "name", other)
        ip("link", "set", name, "arp", "off")
        ip("link", "set", other, "arp", "off", "up")
        _finish_packets(name)
        self._mac = _mac_of(name)
        # Of what comes in alone: a tap for all protocols would hear what it sends itself.
        self._packets = socket.socket(
            socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(_ETH_P_IP)
        )
        self._packets.bind((other, _ETH_P_IP))


def _open_tun(name: str) -> int:
    descriptor = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN_NO_PI))
    return descriptor


def _mac_of(name: str) -> bytes:
    """By the namespace that we are in; /sys shows that in which it was mounted."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        return bytes(fcntl.ioctl(any_socket, _SIOCGIFHWADDR, struct.pack("16s24x", name.encode()))[18:24])


def _finish_packets(name: str) -> None:
    """Checksums and segments are made before a packet leaves, as on a wire (ethtool -K NAME tx off)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in _ETHTOOL_OFF:
            value = array.array("B", struct.pack("II", command, 0))
            request = struct.pack("16sP16x", name.encode(), value.buffer_info()[0])
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)


def ip(*arguments: str) -> None:
    """Run ip(8). Raises RuntimeError with its words."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def loopback_up() -> None:
    ip("link", "set", "lo", "up")
    for which in ("all", "default"):  # one way to the other side, not two
        Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")


def device_up(name: str, address: str) -> None:
    """The device with this address, and the way to everything."""
    ip("addr", "add", f"{address}/24", "dev", name)
    ip("link", "set", name, "up")
    ip("route", "add", "default", "dev", name)


def move_unit(before: tuple[int, int], to: tuple[int, int]) -> None:
    """The unit's (way, address) changes: first the old one is gone, then the new one is there, as with a modem."""
    (old_way, old_address), (way, address) = before, to
    ip("addr", "del", f"{UNIT_ADDRESSES[old_way][old_address]}/24", "dev", UNIT_DEVICES[old_way])
    if way != old_way:
        ip("link", "set", UNIT_DEVICES[old_way], "down")
        device_up(UNIT_DEVICES[way], UNIT_ADDRESSES[way][address])
    else:
        ip("addr", "add", f"{UNIT_ADDRESSES[way][address]}/24", "dev", UNIT_DEVICES[way])
        ip("route", "replace", "default", "dev", UNIT_DEVICES[way])


def way_to(packet: bytes) -> int | None:
    """Over which of the unit's devices a packet (IPv4) reaches it; None: it is not for the unit."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    network = socket.inet_ntoa(packet[16:19] + b"\x00")
    for way, addresses in enumerate(UNIT_ADDRESSES):
        if addresses[0].rpartition(".")[0] + ".0" == network:
            return way
    return None


def is_upload(packet: bytes) -> bool:
    """Whether it belongs to the competing flow: IPv4, TCP to SINK_PORT."""
    return packet[9] == 6 and packet[22:24] == SINK_PORT.to_bytes(2, "big")
