"""The signing child as core sees it: one at a time, and a limit for what hangs."""

import asyncio
import sys
from pathlib import Path

import msgspec
import pytest
from pytest_mock import MockerFixture

from unitd.config import Config
from unitd.core import signing
from unitd.core.signing import ChildSigner, SigningFailedError, signing_files


def _config(base: Path, **evidence: str) -> Config:
    raw = {"schema": 1, "paths": {"state_dir": str(base / "state")}, "evidence": evidence}
    return msgspec.convert(raw, Config)


def test_places_are_the_configured_ones(tmp_path: Path) -> None:
    files = signing_files(_config(tmp_path))
    assert [path.name for path in files] == ["evidence.key", "evidence.csr", "evidence.pem"]
    assert {path.parent for path in files} == {tmp_path / "state" / "signing"}
    files = signing_files(_config(tmp_path, key_file="/keys/k.key", cert_file="/certs/c.pem"))
    assert files == (Path("/keys/k.key"), Path("/keys/k.csr"), Path("/certs/c.pem"))


def test_two_at_once_are_signed_one_after_the_other(tmp_path: Path) -> None:
    async def story() -> None:
        signer = ChildSigner(_config(tmp_path))
        made, first, second = await asyncio.gather(signer.make(), signer.sign(b"one\n"), signer.sign(b"two\n"))
        assert made.signature == b"" and made.certificate == "missing"
        assert len(first.signature) == len(second.signature) == 64 and first != second

    asyncio.run(story())


def test_a_child_that_hangs_is_ended_and_the_next_one_works(tmp_path: Path, mocker: MockerFixture) -> None:
    sleeping = tmp_path / "sleeping"
    sleeping.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeping.chmod(0o700)

    async def story() -> None:
        signer = ChildSigner(_config(tmp_path))
        mocker.patch.object(signing, "WITHIN_S", 0.2)
        mocker.patch.object(sys, "executable", str(sleeping))
        with pytest.raises(SigningFailedError, match="no answer within"):
            await signer.sign(b"one\n")
        mocker.stopall()
        assert len((await signer.sign(b"one\n")).signature) == 64

    asyncio.run(story())


@pytest.mark.parametrize("program", ["/bin/true", "/bin/false", "/nowhere/python", "/bin/echo"])
def test_a_child_that_says_nonsense_is_no_signature(tmp_path: Path, mocker: MockerFixture, program: str) -> None:
    mocker.patch.object(sys, "executable", program)

    async def story() -> None:
        with pytest.raises(SigningFailedError):
            await ChildSigner(_config(tmp_path)).sign(b"one\n")

    asyncio.run(story())


def test_a_child_that_floods_costs_no_memory(tmp_path: Path, mocker: MockerFixture) -> None:
    flooding = tmp_path / "flooding"
    flooding.write_text("#!/bin/sh\nexec cat /dev/zero\n")
    flooding.chmod(0o700)
    mocker.patch.object(sys, "executable", str(flooding))

    async def story() -> None:
        with pytest.raises(SigningFailedError, match="does not stop talking"):
            await ChildSigner(_config(tmp_path)).sign(b"one\n")

    asyncio.run(story())


def test_core_never_loads_a_cryptographic_library() -> None:
    import subprocess

    code = "import sys, unitd.core.core, unitd.core.app, unitd.core.signing; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
