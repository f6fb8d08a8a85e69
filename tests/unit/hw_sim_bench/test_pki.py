"""The throw-away certificates: who trusts whom, and who may read a key."""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from hw_sim.pki import Pki


def _names(file: Path) -> str:
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def test_each_is_who_it_should_be_and_keys_are_private(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    unit = pki.unit("pole-0007")
    assert _names(unit.cert_file) == "pole-0007"
    assert _names(pki.control_room.cert_file) == "system@control-room"
    assert pki.unit("pole-0007") is unit
    for key in (tmp_path / "pki").glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600, key


def test_a_thief_has_the_name_but_not_the_signature(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    ours = x509.load_pem_x509_certificate(pki.ca_file.read_bytes())
    unit = x509.load_pem_x509_certificate(pki.unit("pole-0001").cert_file.read_bytes())
    thief = x509.load_pem_x509_certificate(pki.thief("pole-0001").cert_file.read_bytes())
    assert thief.subject == unit.subject
    unit.verify_directly_issued_by(ours)
    assert thief.issuer != ours.subject
