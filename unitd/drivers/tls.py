"""TLS towards the control room, also from a unit that does not know what day it is.

OpenSSL's own date check is switched off (X509_V_FLAG_NO_CHECK_TIME) and the peer certificate's dates are judged after
the handshake, before a byte of ours is sent: against the wall clock when that can be trusted, otherwise only against
the best lower bound known (docs/adr/0004-tls-with-a-wrong-clock.md has the trade-off). Chain, host name and key are
checked always.
"""

import ssl
from collections.abc import Callable
from typing import Any

from unitd.messages.control_room import Stamp

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME, openssl/x509_vfy.h."""

LOWER_BOUND_UTC_S = 1_790_000_000
"""No true clock shows less: just before this version was made (2026-09-21)."""


def client_context(ca_file: str, cert_file: str, key_file: str, stamp: Callable[[], Stamp]) -> ssl.SSLContext:
    """A context for mutual TLS 1.2+ that judges the peer's dates by `stamp()` at each handshake.

    Works with blocking sockets and with asyncio. Raises OSError (ssl.SSLError among them) when a file is missing or
    malformed. A handshake with a certificate out of its dates raises ssl.SSLCertVerificationError.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert_file, key_file)
    context.verify_flags = ssl.VerifyFlags(int(context.verify_flags) | NO_CHECK_TIME)

    class Socket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            judge_dates(self.getpeercert(), stamp())

    class Object(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            judge_dates(self.getpeercert(), stamp())

    context.sslsocket_class = Socket
    context.sslobject_class = Object
    return context


def judge_dates(certificate: Any, now: Stamp) -> None:
    """Raise ssl.SSLCertVerificationError unless the certificate can be valid at `now`; pure.

    With an unknown clock only an expiry before LOWER_BOUND_UTC_S is provably past.
    """
    if not certificate:
        return
    starts_s = ssl.cert_time_to_seconds(certificate["notBefore"])
    ends_s = ssl.cert_time_to_seconds(certificate["notAfter"])
    if now.clock == "unknown":
        if ends_s < LOWER_BOUND_UTC_S:
            raise ssl.SSLCertVerificationError(f"certificate expired {certificate['notAfter']}")
        return
    now_s = now.utc_us / 1e6
    if now_s > ends_s:
        raise ssl.SSLCertVerificationError(f"certificate expired {certificate['notAfter']}")
    if now_s < starts_s:
        raise ssl.SSLCertVerificationError(f"certificate not valid before {certificate['notBefore']}")
