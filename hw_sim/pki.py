"""A throw-away certificate authority for one simulated world: broker, control room, units, and a thief.

Everything is valid from yesterday for a year; keys are P-256, unencrypted, in files of mode 0600. Nothing here may
leave the simulator.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Python 3.13 verifies strictly (RFC 5280): an authority must say that it signs certificates.
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_SIGNS_EVIDENCE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
CONTROL_ROOM = "system@control-room"
CONTROL_ROOM_FILES = "control-room"
VALID_DAYS = 365


@dataclass(frozen=True)
class Credentials:
    """Three PEM files: whom to trust, who one is, and the key to it."""

    ca_file: Path
    cert_file: Path
    key_file: Path


@dataclass(frozen=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    file: Path


class Pki:
    """All certificates of one simulated world, in `directory`.

    - `broker`: the MQTT broker's server certificate (names `localhost`, 127.0.0.1 and `addresses`);
    - `control_room`: common name `system@control-room`, good as a client and, with the same names, as a server;
    - `unit(id)`: a client certificate whose common name is the unit's id; made once, then the same;
    - `person(name)`: a client certificate of that name, `ann@control-room`;
    - `evidence(request, file)`: what proves that a unit's evidence key is the unit's;
    - `thief`: a unit's name, but signed by another authority;
    - `revoke`: the list of certificates taken back.

    Blocks for some ten milliseconds per certificate and on disk.
    """

    def __init__(self, directory: Path, addresses: tuple[str, ...] = ()) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._addresses = ("127.0.0.1", *addresses)
        self._authority = _make_authority(directory / "ca.pem", "hw-sim throw-away CA")
        self._units: dict[str, Credentials] = {}
        self.ca_file = self._authority.file
        self.broker = self._issue("broker", "broker", server=True)
        self.control_room = self._issue(CONTROL_ROOM_FILES, CONTROL_ROOM, server=True)

    def unit(self, unit_id: str) -> Credentials:
        if unit_id not in self._units:
            self._units[unit_id] = self._issue(f"unit-{unit_id}", unit_id, server=False)
        return self._units[unit_id]

    def person(self, name: str) -> Credentials:
        return self._issue(f"person-{name}", name, server=False)

    def evidence(self, request_file: Path, certificate_file: Path) -> None:
        """Sign a unit's request for its evidence key, as an installer does, and put the certificate into place."""
        request = x509.load_pem_x509_csr(request_file.read_bytes())
        if not request.is_signature_valid:
            raise ValueError(f"{request_file} is not signed by the key that it is for")
        signer, now = self._authority, datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(signer.certificate.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_SIGNS_EVIDENCE, critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
            .sign(signer.key, hashes.SHA256())
        )
        temporary = certificate_file.with_suffix(".new")
        _write(temporary, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        temporary.replace(certificate_file)

    def revoke(self, *taken_back: Credentials) -> Path:
        """Write the authority's list of certificates that it has taken back: these, and no other."""
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._authority.certificate.subject)
            .last_update(now - datetime.timedelta(days=1))
            .next_update(now + datetime.timedelta(days=VALID_DAYS))
        )
        for each in taken_back:
            serial = x509.load_pem_x509_certificate(each.cert_file.read_bytes()).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        file = self._directory / "crl.pem"
        signed = builder.sign(self._authority.key, hashes.SHA256())
        _write(file, signed.public_bytes(serialization.Encoding.PEM), 0o644)
        return file

    def thief(self, unit_id: str) -> Credentials:
        """Someone who has made certificates of his own: trusts our CA, is signed by another."""
        other = _make_authority(self._directory / "thief-ca.pem", "another CA")
        stolen = self._issue(f"thief-{unit_id}", unit_id, server=False, authority=other)
        return Credentials(self.ca_file, stolen.cert_file, stolen.key_file)

    def _issue(self, stem: str, name: str, *, server: bool, authority: _Authority | None = None) -> Credentials:
        signer = authority or self._authority
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([ExtendedKeyUsageOID.SERVER_AUTH] if server else [])
        builder = (
            _builder(name, signer.certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
        )
        if server:
            names = [
                x509.DNSName("localhost"),
                *(x509.IPAddress(ipaddress.ip_address(each)) for each in self._addresses),
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(signer.key, hashes.SHA256())
        made = Credentials(signer.file, self._directory / f"{stem}.pem", self._directory / f"{stem}.key")
        _write(made.cert_file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        _write(made.key_file, _pem(key), 0o600)
        return made


def _make_authority(file: Path, name: str) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(name, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return _Authority(certificate, key, file)


def _builder(name: str, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(file: Path, content: bytes, mode: int) -> None:
    """Never readable by others, not even for a moment."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(content)
