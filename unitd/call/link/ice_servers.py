"""STUN and TURN servers, whoever named them, made into what webrtcbin takes. Pure; the one boundary for them.

webrtcbin gives its URLs to GLib's and libnice's parsers and asks the address it finds there. So nothing of a far end's
text goes on: scheme, host, port and transport are read here, and a URL is written anew from them.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from unitd.messages.duplex import IceServer

MOST_SERVERS = 6
"""Of one session: each costs an allocation and its candidates."""

_URL = re.compile(
    r"(?P<scheme>stun|turn|turns):(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)"
    r"(?::(?P<port>\d{1,5}))?(?:\?transport=(?P<transport>udp|tcp))?"
)
_PORTS = {"stun": 3478, "turn": 3478, "turns": 5349}


@dataclass(frozen=True)
class TlsServer:
    """A TURN server behind TLS. libnice 0.1.21 takes `turns:` and then speaks in clear: it is reached by a tunnel of
    our own (turn_tunnel.py)."""

    host: str
    port: int
    user: str
    """`user:password`, escaped for a URL."""


@dataclass(frozen=True)
class UsableServers:
    """`stun` for webrtcbin's `stun-server` (one at most), `turn` for `add-turn-server`; `refused` could not be used."""

    stun: str | None = None
    turn: tuple[str, ...] = ()
    turn_tls: tuple[TlsServer, ...] = ()
    refused: tuple[str, ...] = ()


NO_SERVERS = UsableServers()


def usable(servers: Iterable[IceServer]) -> UsableServers:
    """The first MOST_SERVERS of them that can be used, in their order, each once. Never raises.

    `stuns:` is left out (libnice has no TLS for STUN), as is TURN without a user. Refused ones are named without their
    credentials.
    """
    taken: list[str | TlsServer] = []
    refused: list[str] = []
    for server in servers:
        for url in server.urls:
            read = _read(url, server.username, server.credential)
            if read is not None and read in taken:
                continue
            if read is None or len(taken) >= MOST_SERVERS:
                refused.append(url[:80])
            else:
                taken.append(read)
    plain = [each for each in taken if isinstance(each, str)]
    return UsableServers(
        stun=next((each for each in plain if each.startswith("stun:")), None),
        turn=tuple(each for each in plain if each.startswith("turn:")),
        turn_tls=tuple(each for each in taken if isinstance(each, TlsServer)),
        refused=tuple(refused[:8]),
    )


def is_ice_url(url: str) -> bool:
    """Whether this is a STUN or TURN URL (RFC 7064, 7065) that can be used."""
    return _read(url, "user", "secret") is not None


def _read(url: str, username: str, credential: str) -> str | TlsServer | None:
    """As webrtcbin wants it (`turn://user:password@host:port?transport=udp`); None when it cannot be used."""
    match = _URL.fullmatch(url) if url.isascii() else None
    if match is None:
        return None
    scheme, host, transport = match["scheme"], match["host"], match["transport"]
    port = int(match["port"] or _PORTS[scheme])
    if not 0 < port < 65536 or not _sensible(host):
        return None
    if scheme == "stun":
        return f"stun://{host}:{port}" if transport in (None, "udp") else None
    if not username or not credential or (scheme == "turns" and transport == "udp"):
        return None  # DTLS to a TURN server: nobody here speaks it
    if "\0" in username + credential:
        return None
    user = f"{quote(username, safe='')}:{quote(credential, safe='')}"
    if scheme == "turns":
        return TlsServer(host.strip("[]"), port, user)
    return f"turn://{user}@{host}:{port}?transport={transport or 'udp'}"


def _sensible(host: str) -> bool:
    """Whether packets may go there: no group, nothing unspecified, no address that is none."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        labels = host.split(".")
        # A name of digits only is an address in some parser's eyes (0x7f.1, 2130706433).
        return not host.startswith("[") and all(0 < len(label) < 64 for label in labels) and not labels[-1][0].isdigit()
    return not (address.is_multicast or address.is_unspecified)
