"""The evidence key's child process, as core sees it: a job goes in, an answer comes out, or it is killed.

Core itself never reads the key, and does not load a cryptographic library: that would cost it 9 MB (docs/adr/0010).
"""

import asyncio
import base64
import contextlib
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec

from unitd.config import Config
from unitd.core.machine import Answer
from unitd.errors import UNREADABLE, StoreError

WITHIN_S = 10.0
"""Most of the 0.15 s (on a PC) is the interpreter's start; a Pi with a worn card may need seconds."""
DIES_WITHIN_S = 1.0
LONGEST_ANSWER_BYTES = 64 * 1024


class SigningFailedError(StoreError):
    """There is no signature; the message says why, for people."""


class _Job(msgspec.Struct, frozen=True):
    """As `unitd.tools.signing_job.SigningJob`, which is not imported here."""

    op: str
    unit: str
    key_file: str
    csr_file: str
    cert_file: str
    body: str = ""


class _Result(msgspec.Struct, frozen=True):
    error: str = ""
    signature: str = ""
    certificate: str = ""


class SigningFiles(NamedTuple):
    """Where key, request and certificate are."""

    key: Path
    request: Path
    certificate: Path


def signing_files(config: Config) -> SigningFiles:
    """By the configuration; else in `<state_dir>/signing`. Pure."""
    directory = Path(config.paths.state_dir) / "signing"
    table = config.evidence
    key = Path(table.key_file) if table.key_file else directory / "evidence.key"
    certificate = Path(table.cert_file) if table.cert_file else directory / "evidence.pem"
    return SigningFiles(key, key.with_suffix(".csr"), certificate)


class ChildSigner:
    """Belongs to the loop. One job at a time; a child that cannot even be killed (a disk that hangs) blocks
    those that come after it, not core."""

    def __init__(self, config: Config) -> None:
        self._unit, self._files = config.unit.id, signing_files(config)
        self._child: asyncio.subprocess.Process | None = None
        self._one = asyncio.Lock()

    async def make(self) -> Answer:
        """See to it that there are a key and a request for its certificate. Raises SigningFailedError."""
        return await self._run("make", "")

    async def sign(self, body: bytes) -> Answer:
        """Sign exactly `body` (UTF-8). Raises SigningFailedError, WITHIN_S from now at the latest."""
        return await self._run("sign", body.decode())

    async def _run(self, op: str, body: str) -> Answer:
        files = self._files
        job = _Job(op, self._unit, str(files.key), str(files.request), str(files.certificate), body)
        try:
            async with self._one:
                out, status = await self._converse(msgspec.json.encode(job))
        except OSError as error:
            raise SigningFailedError(f"the process that signs: {error}") from error
        try:
            result = msgspec.json.decode(out, type=_Result)
            answer = Answer(base64.b64decode(result.signature, validate=True), result.certificate)
        except UNREADABLE:
            raise SigningFailedError(f"the process that signs ended with status {status}") from None
        if result.error or len(answer.signature) != (64 if op == "sign" else 0):
            raise SigningFailedError(result.error or "no signature came")
        return answer

    async def _converse(self, job: bytes) -> tuple[bytes, int | None]:
        if self._child is not None and self._child.returncode is None:
            raise SigningFailedError("the process that signs hangs")
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "unitd.tools.signing_job", stdin=pipe, stdout=pipe, cwd="/"
        )
        self._child = child
        try:
            async with asyncio.timeout(WITHIN_S):
                out = await _said(child, job)
        except TimeoutError:
            raise SigningFailedError(f"no answer within {WITHIN_S:.0f} s") from None
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DIES_WITHIN_S):
                        await child.wait()
        return out, child.returncode


async def _said(child: asyncio.subprocess.Process, job: bytes) -> bytes:
    """Its answer to `job`, once it has ended. Raises SigningFailedError when it says more than any answer is long."""
    stdin, stdout = child.stdin, child.stdout
    if stdin is None or stdout is None:
        raise SigningFailedError("the process that signs has no pipes")
    stdin.write(job)
    stdin.close()
    out = b""
    while chunk := await stdout.read(LONGEST_ANSWER_BYTES):
        out += chunk
        if len(out) > LONGEST_ANSWER_BYTES:
            raise SigningFailedError("the process that signs does not stop talking")
    await child.wait()
    return out
