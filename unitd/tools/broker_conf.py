"""The part of a mosquitto.conf that makes an access list of `unitd broker-acl` mean something (Mosquitto 2.0)."""

from dataclasses import dataclass
from pathlib import Path

from unitd.errors import UnitdError
from unitd.messages.control_room import MAX_PAYLOAD_BYTES

PACKET_SPARE_BYTES = 4096
"""Topic, properties and a last will beside a payload of the largest size."""
CONNECTIONS = 4000
QUEUED_MESSAGES = 10_000
QUEUED_BYTES = 64 * 1024 * 1024
"""For each client that is away or slow; what is beyond is dropped, and alarms come again."""
SESSION_EXPIRY = "2d"


class ConfError(UnitdError, ValueError):
    """Something that cannot stand in a mosquitto.conf."""


@dataclass(frozen=True)
class Listener:
    """Where it listens and with what. `crl_file`: certificates taken back, by the authority; None = none are."""

    port: int
    acl_file: Path
    ca_file: Path
    cert_file: Path
    key_file: Path
    crl_file: Path | None = None
    host: str | None = None
    persistence: bool = True
    """Sessions and retained states outlive a restart, where the main mosquitto.conf's `persistence_location` says
    (Debian's does; a second one would be refused). Without it units and control room tell everything again."""
    connections: int = CONNECTIONS


def listener_in(folder: Path, port: int, host: str | None, crl_file: Path | None) -> Listener:
    """A listener whose files have the names that docs/installer.md gives them; pure."""
    access, ca, cert, key = (folder / name for name in ("access", "ca.pem", "broker.pem", "broker.key"))
    return Listener(port, access, ca, cert, key, crl_file=crl_file, host=host)


def conf(listener: Listener) -> str:
    """The fragment; pure. Raises ConfError for a port that is none, a path or host with a line break or blank ends."""
    each = listener
    if not 0 < each.port < 65536:
        raise ConfError(f"--port {each.port}: write a whole number from 1 to 65535")
    for value in (each.acl_file, each.ca_file, each.cert_file, each.key_file, each.crl_file):
        _check(str(value))
    if each.host is not None:
        _check(each.host)
        if " " in each.host:
            raise ConfError(f"{each.host!r} is no address")
    lines = [
        "# Made by `unitd broker-acl --conf`. For the whole broker:",
        "per_listener_settings false",
        *(["persistence true", "autosave_interval 60"] if each.persistence else ["persistence false"]),
        f"persistent_client_expiration {SESSION_EXPIRY}",
        f"max_packet_size {MAX_PAYLOAD_BYTES + PACKET_SPARE_BYTES}",
        f"max_queued_messages {QUEUED_MESSAGES}",
        f"max_queued_bytes {QUEUED_BYTES}",
        "set_tcp_nodelay true",
        "# Who does what is decided by the name in the certificate, and by nothing else:",
        "allow_anonymous false",
        f"acl_file {each.acl_file}",
        f"listener {each.port}" + (f" {each.host}" if each.host else ""),
        f"cafile {each.ca_file}",
        f"certfile {each.cert_file}",
        f"keyfile {each.key_file}",
        *([f"crlfile {each.crl_file}"] if each.crl_file else []),
        "tls_version tlsv1.2",
        "require_certificate true",
        "use_identity_as_username true",
        "# The client id too, or any certificate could take over another's connection and with it its session.",
        "use_username_as_clientid true",
        f"max_connections {each.connections}",
    ]
    return "\n".join(lines) + "\n"


def _check(value: str) -> None:
    if value != value.strip() or any(ord(character) < 32 for character in value):
        raise ConfError(f"{value!r} cannot stand in a mosquitto.conf")
