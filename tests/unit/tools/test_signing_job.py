"""The evidence key's child: a key is made once, never replaced, never used when others could read it."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hw_sim.pki import Pki
from unitd.tools.signing_job import SigningJob, SigningResult, run

PEM_OF_NOTHING = b"-----BEGIN %s-----\nAAAA\n-----END %s-----\n" % (b"PRIVATE KEY", b"PRIVATE KEY")


def _job(base: Path, op: str = "sign", body: str = "hello\n") -> SigningJob:
    d = base / "signing"
    return SigningJob(
        op=op, unit="pole-1", key_file=str(d / "evidence.key"), csr_file=str(d / "evidence.csr"),  # type: ignore[arg-type]
        cert_file=str(d / "evidence.pem"), body=body,
    )  # fmt: skip


def _ok(result: SigningResult) -> SigningResult:
    assert result.error == ""
    return result


def test_a_key_is_made_once_with_a_request_and_signs(tmp_path: Path) -> None:
    first, second = _ok(run(_job(tmp_path, "make"))), _ok(run(_job(tmp_path)))
    assert (first.made, second.made, first.signature) == (True, False, "")
    assert first.public_key == second.public_key
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(second.public_key))
    public.verify(base64.b64decode(second.signature), b"hello\n")
    signing = tmp_path / "signing"
    assert (signing.stat().st_mode & 0o777, (signing / "evidence.key").stat().st_mode & 0o777) == (0o700, 0o600)
    assert sorted(path.name for path in signing.iterdir()) == ["evidence.csr", "evidence.key"]
    request = x509.load_pem_x509_csr((signing / "evidence.csr").read_bytes())
    assert request.is_signature_valid and request.public_key() == public
    assert request.subject.rfc4514_string() == "CN=pole-1"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused_and_stays(tmp_path: Path, mode: int) -> None:
    _ok(run(_job(tmp_path)))
    key = tmp_path / "signing" / "evidence.key"
    before = key.read_bytes()
    key.chmod(mode)
    result = run(_job(tmp_path))
    assert f"{mode:04o}" in result.error and result.signature == ""
    assert key.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"nonsense", PEM_OF_NOTHING, b"ec"])
def test_what_is_no_such_key_is_refused_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    key = tmp_path / "signing" / "evidence.key"
    key.parent.mkdir()
    if content == b"ec":
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        content = ec.generate_private_key(ec.SECP256R1()).private_bytes(pem, pkcs8, serialization.NoEncryption())
    key.write_bytes(content)
    key.chmod(0o600)
    assert "Ed25519" in run(_job(tmp_path)).error
    assert key.read_bytes() == content


def test_a_link_in_the_keys_place_is_not_followed(tmp_path: Path) -> None:
    _ok(run(_job(tmp_path / "other")))
    key = tmp_path / "signing" / "evidence.key"
    key.parent.mkdir()
    key.symlink_to(tmp_path / "other" / "signing" / "evidence.key")
    assert run(_job(tmp_path)).error


def test_the_certificate_is_looked_at_each_time(tmp_path: Path) -> None:
    assert _ok(run(_job(tmp_path))).certificate == "missing"
    pki, signing = Pki(tmp_path / "pki"), tmp_path / "signing"
    pki.evidence(signing / "evidence.csr", signing / "evidence.pem")
    assert _ok(run(_job(tmp_path))).certificate == "fits"
    (signing / "evidence.pem").write_bytes(pki.ca_file.read_bytes())
    assert _ok(run(_job(tmp_path))).certificate == "another"
    (signing / "evidence.pem").write_bytes(b"nonsense")
    assert _ok(run(_job(tmp_path))).certificate == "unreadable"


def test_a_request_of_an_older_key_is_made_anew(tmp_path: Path) -> None:
    old = _ok(run(_job(tmp_path)))
    (tmp_path / "signing" / "evidence.key").unlink()
    new = _ok(run(_job(tmp_path)))
    assert new.public_key != old.public_key
    request = x509.load_pem_x509_csr((tmp_path / "signing" / "evidence.csr").read_bytes())
    public = request.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    assert public.hex() == new.public_key


def test_a_full_disk_leaves_no_half_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert "No space" in run(_job(tmp_path)).error
    monkeypatch.undo()
    assert list((tmp_path / "signing").iterdir()) == []
    _ok(run(_job(tmp_path)))


@pytest.mark.parametrize("given", [b"", b"{}", b"\xff", b'{"op":"steal"}'])
def test_the_process_answers_nonsense_in_words(given: bytes) -> None:
    command = [sys.executable, "-m", "unitd.tools.signing_job"]
    done = subprocess.run(command, input=given, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0 and "the job" in json.loads(done.stdout)["error"]
