"""The control room's own certificate, and the TLS contexts made from it."""

import ssl
from typing import Any

from hw_sim.pki import Credentials


def client_context(files: Credentials) -> ssl.SSLContext:
    """Mutual TLS towards the broker: its certificate must come from `ca_file`. Reads files."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(files.ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(str(files.cert_file), str(files.key_file))
    return context


def server_context(files: Credentials) -> ssl.SSLContext:
    """Mutual TLS towards units: a peer without a certificate of `ca_file` does not get past the handshake."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(str(files.cert_file), str(files.key_file))
    return context


def common_name(peer_certificate: Any) -> str | None:
    """The common name in what `SSLSocket.getpeercert()` returned, or None. Pure; cannot raise on odd input."""
    if not isinstance(peer_certificate, dict):
        return None
    for relative_name in peer_certificate.get("subject", ()):
        for key, value in relative_name:
            if key == "commonName":
                return str(value)
    return None
