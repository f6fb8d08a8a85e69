"""TLS towards the control room, also from a unit that does not know what day it is.

OpenSSL's own date check is switched off (X509_V_FLAG_NO_CHECK_TIME) and the peer certificate's dates are judged after
the handshake, before a byte of ours is sent: against the wall clock when that can be trusted, otherwise only against
the best lower bound known (docs/adr/0004-tls-with-a-wrong-clock.md has the trade-off). Chain, host name and key are
checked always.
"""

import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unitd.messages.control_room import Stamp
from unitd.model.clock import BUILD_UTC_S

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME, openssl/x509_vfy.h."""

NOT_YET_GRACE_S = 86_400
"""A certificate made today must not be refused by a clock that was set back for a while."""


def client_context(
    ca_file: str,
    cert_file: str,
    key_file: str,
    stamp: Callable[[], Stamp],
    lower_bound_utc_s: Callable[[], float] = lambda: BUILD_UTC_S,
) -> ssl.SSLContext:
    """A context for mutual TLS 1.2+ that judges the peer's dates by `stamp()` and `lower_bound_utc_s()` at each
    handshake; both are called on the thread that shakes hands and must not block.

    Works with blocking sockets and with asyncio. Certificate, key and CA renewed on disk are taken up by the next
    blocking connection; a CA that was withdrawn stays trusted until a new context is made. Raises OSError
    (ssl.SSLError among them) when a file is missing or malformed. A handshake with a certificate out of its dates
    raises ssl.SSLCertVerificationError. Blocks on the disk.
    """
    usual = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file)
    context = _Renewing(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags = ssl.VerifyFlags(int(usual.verify_flags) | NO_CHECK_TIME)
    context.use(Path(ca_file), Path(cert_file), Path(key_file))

    class Socket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            judge_dates(self.getpeercert(), stamp(), lower_bound_utc_s())

    class Object(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            judge_dates(self.getpeercert(), stamp(), lower_bound_utc_s())

    context.sslsocket_class = Socket
    context.sslobject_class = Object
    return context


class _Renewing(ssl.SSLContext):
    """Looks before each blocking connection whether its files have changed, and loads them again.

    It asks for the times of three files on the thread that connects, paho's own for a broker: a disk that hangs holds
    up that connection, and no other thread. One that is up already needs no file, and the system mostly has the times
    in memory.
    """

    _files: tuple[Path, ...] = ()
    _loaded: tuple[tuple[int, int], ...] = ()

    def use(self, ca_file: Path, cert_file: Path, key_file: Path) -> None:
        """Load these now. Raises OSError."""
        self._files = (ca_file, cert_file, key_file)
        found = self._found()
        self.load_verify_locations(ca_file)
        self.load_cert_chain(cert_file, key_file)
        self._loaded = found

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        with contextlib.suppress(OSError):  # half replaced: the old ones serve until both are there
            if self._found() != self._loaded:
                ca_file, cert_file, key_file = self._files
                # tried on another context first: a failed load would leave this one without a key
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file)
                self.use(ca_file, cert_file, key_file)
        return super().wrap_socket(*arguments, **named)

    def _found(self) -> tuple[tuple[int, int], ...]:
        return tuple((file.stat().st_mtime_ns, file.stat().st_ino) for file in self._files)


def judge_dates(certificate: Any, now: Stamp, lower_bound_utc_s: float = BUILD_UTC_S) -> None:
    """Raise ssl.SSLCertVerificationError unless the certificate can be valid at `now`; pure.

    With an unknown clock only an expiry before `lower_bound_utc_s` is provably past, and nothing is provably yet to
    come. A trusted clock is judged by alone: what was believed before it may have been wrong.
    """
    if not certificate:
        return
    starts_s = ssl.cert_time_to_seconds(certificate["notBefore"])
    ends_s = ssl.cert_time_to_seconds(certificate["notAfter"])
    if now.clock == "unknown":
        if ends_s < lower_bound_utc_s:
            raise ssl.SSLCertVerificationError(f"certificate expired {certificate['notAfter']}")
        return
    now_s = now.utc_us / 1e6
    if now_s > ends_s:
        raise ssl.SSLCertVerificationError(f"certificate expired {certificate['notAfter']}")
    if now_s + NOT_YET_GRACE_S < starts_s:
        raise ssl.SSLCertVerificationError(f"certificate not valid before {certificate['notBefore']}")
