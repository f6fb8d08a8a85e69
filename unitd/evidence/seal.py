"""Has core chain an export and sign a checkpoint over it, through core.sock. Core need not be there."""

import base64
import binascii
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE, StoreError
from unitd.messages.workers import MAX_LINE_BYTES, FromCore, Hello, SealExport, ToolReply

TIMEOUT_S = 30.0
"""Core answers in a fraction of a second: it signs in a child process, and a slow disk may hold up the line."""


class NotSealedError(StoreError):
    """Nobody signs for the export; the text says why."""


class Head(msgspec.Struct, frozen=True):
    n: int
    head: str = ""


class CheckpointBody(msgspec.Struct, frozen=True):
    """What an export needs of a checkpoint (docs/design/storage.md)."""

    n: int
    heads: dict[str, Head] = {}


class _LogLine(msgspec.Struct, frozen=True):
    body: str
    sig: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """`body`: exactly the signed bytes. `signature` is empty when there was no key."""

    n: int
    heads: dict[str, Head]
    body: bytes
    signature: bytes

    def signs_for(self, writer: str, from_n: int) -> bool:
        """Whether a line from `from_n` on of that chain lies under it."""
        head = self.heads.get(writer)
        return head is not None and head.n >= from_n


@dataclass(frozen=True)
class Seal:
    """The line in core's chain, and the checkpoint over it."""

    core_n: int
    checkpoint: Checkpoint


def seal(run_dir: Path, request: SealExport, timeout_s: float = TIMEOUT_S) -> Seal:
    """Raises NotSealedError when core is not running, does not answer, or refuses. Blocks for `timeout_s` at most."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(run_dir / "core.sock"))
            hello = msgspec.json.encode(Hello(who="tool", pid=os.getpid()))
            connection.sendall(hello + b"\n" + msgspec.json.encode(request) + b"\n")
            reply = _reply(connection)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotSealedError("core is not running") from None
    except TimeoutError:
        raise NotSealedError(f"core did not answer within {timeout_s:.0f} s") from None
    except PermissionError:
        raise NotSealedError("no permission to speak to core; run it with sudo") from None
    except OSError as error:
        raise NotSealedError(f"core cannot be asked: {error.strerror or error}") from None
    if reply.error:
        raise NotSealedError(f"core refused: {reply.error}")
    found = parse(reply.body, reply.signature)
    if found is None:
        raise NotSealedError("core's answer holds no checkpoint")
    return Seal(reply.core_n, found)


def _reply(connection: socket.socket) -> ToolReply:
    data = b""
    while b"\n" not in data:
        block = connection.recv(65536)
        if not block or len(data) > MAX_LINE_BYTES:
            raise NotSealedError("core hung up")
        data += block
    try:
        reply = msgspec.json.decode(data.partition(b"\n")[0], type=FromCore)
    except UNREADABLE as error:
        raise NotSealedError(f"core's answer cannot be read: {error}") from None
    if not isinstance(reply, ToolReply):
        raise NotSealedError("core does not know the request: is it an older version?")
    return reply


def parse(body: str, signature: str) -> Checkpoint | None:
    """A checkpoint from its text and its signature in base64; None for damage. Pure."""
    try:
        told = msgspec.json.decode(body, type=CheckpointBody)
        return Checkpoint(told.n, told.heads, body.encode(), base64.b64decode(signature, validate=True))
    except (*UNREADABLE, binascii.Error):
        return None


def checkpoints(state_dir: Path, last: Checkpoint, record_n: int, core_n: int, most: int) -> list[Checkpoint]:
    """The checkpoints that sign for lines from `record_n` or `core_n` on, up to `last`, without a hole; of more than
    `most` the newest. Raises OSError. Blocks."""
    found: list[Checkpoint] = []
    try:
        with (state_dir / "checkpoints.log").open("rb") as file:
            for raw in file:
                each = _parsed(raw)
                if each is None or each.n >= last.n:
                    continue
                if each.signs_for("record", record_n) or each.signs_for("core", core_n):
                    if found and each.n != found[-1].n + 1:
                        found.clear()
                    found.append(each)
                    del found[:-most]
    except FileNotFoundError:
        pass
    if found and found[-1].n != last.n - 1:
        found.clear()
    return [*found[-(most - 1) :], last]


def _parsed(raw: bytes) -> Checkpoint | None:
    try:
        line = msgspec.json.decode(raw, type=_LogLine)
    except UNREADABLE:
        return None
    return parse(line.body, line.sig)
