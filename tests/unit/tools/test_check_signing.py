"""`unitd check` on the evidence key: what is wrong with key or certificate is said; a new unit has nothing wrong."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hw_sim.pki import Pki
from unitd.config import Config
from unitd.tools.check_signing import signing_warnings
from unitd.tools.signing_job import SigningJob, run


def _signing(base: Path) -> Path:
    d = base / "signing"
    job = SigningJob(
        op="make", unit="pole-1", key_file=str(d / "evidence.key"), csr_file=str(d / "evidence.csr"),
        cert_file=str(d / "evidence.pem"),
    )  # fmt: skip
    assert run(job).error == ""
    return d


def _said(base: Path) -> list[str]:
    return list(signing_warnings(msgspec.convert({"schema": 1, "paths": {"state_dir": str(base)}}, Config)))


def _certify(base: Path, signing: Path) -> None:
    Pki(base / "pki").evidence(signing / "evidence.csr", signing / "evidence.pem")


def test_before_the_first_start_nothing_is_wrong_and_nothing_is_made(tmp_path: Path) -> None:
    assert _said(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_certificate_that_fits_is_not_mentioned(tmp_path: Path) -> None:
    _certify(tmp_path, _signing(tmp_path))
    assert _said(tmp_path) == []


def _other_key(signing: Path) -> None:
    (signing / "evidence.key").unlink()
    _signing(signing.parent)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d: (d / "evidence.pem").unlink(), "is not there"),
        (lambda d: (d / "evidence.pem").write_text("nonsense"), "no PEM certificate"),
        (_other_key, "is for another key"),
        (lambda d: (d / "evidence.key").chmod(0o640), "mode 0640"),
        (lambda d: (d / "evidence.key").write_text("nonsense"), "is not an Ed25519 key"),
        (lambda d: ((d / "evidence.key").unlink(), (d / "evidence.key").mkdir(0o700)), "cannot be read"),
        (
            lambda d: ((d / "evidence.key").rename(d / "k"), (d / "evidence.key").symlink_to(d / "k")),
            "cannot be read",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, spoil: Callable[[Path], object], words: str) -> None:
    signing = _signing(tmp_path)
    _certify(tmp_path, signing)
    spoil(signing)
    (line,) = _said(tmp_path)
    assert words in line and str(signing) in line
