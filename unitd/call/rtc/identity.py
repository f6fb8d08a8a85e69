"""A throw-away identity for one media session: an ECDSA key and its self-signed certificate.

GStreamer 1.22 would make an RSA one: 0.3 s of CPU here, and peers that offer ECDSA suites only (aiortc) refuse it.
The far end knows the certificate by the fingerprint in the session description, which travels inside mutual TLS.
"""

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOT_BEFORE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
NOT_AFTER = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
"""WebRTC judges fingerprints, not dates; fixed ones say nothing about the unit's clock."""


@dataclass(frozen=True)
class Identity:
    """`pem`: certificate and private key. `fingerprint`: SHA-256 of the certificate, as a session description has
    it."""

    pem: str
    fingerprint: str


def throw_away_identity() -> Identity:
    """A new identity with each call; takes under a millisecond."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "unitd")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + private
    return Identity(pem.decode(), certificate.fingerprint(hashes.SHA256()).hex(":").upper())
