"""Has core chain an export and sign a checkpoint over it, through core.sock. Core need not be there."""

import binascii
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE, StoreError
from unitd.messages.workers import MAX_LINE_BYTES, FromCore, Hello, SealExport, ToolReply
from unitd.store.checkpoints import Checkpoint, Signed, read_checkpoints

TIMEOUT_S = 30.0
"""Core answers in a fraction of a second: it signs in a child process, and a slow disk may hold up the line."""


class NotSealedError(StoreError):
    """Nobody signs for the export; the text says why."""


@dataclass(frozen=True)
class Seal:
    """The line in core's chain, and the checkpoint over it."""

    core_n: int
    checkpoint: Signed


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


def parse(body: str, signature: str) -> Signed | None:
    """A checkpoint from its text and its signature in base64; None for damage. Pure."""
    try:
        told, signed = msgspec.json.decode(body, type=Checkpoint), binascii.a2b_base64(signature, strict_mode=True)
    except UNREADABLE:
        return None
    return Signed(told, body.encode(), signed)


def checkpoints(state_dir: Path, last: Signed, record_n: int, core_n: int, most: int) -> list[Signed]:
    """The checkpoints that sign for lines from `record_n` or `core_n` on, up to `last`, without a hole; of more than
    `most` the newest. Raises OSError. Blocks."""
    found: list[Signed] = []
    end = last.checkpoint.n
    for each in read_checkpoints(state_dir, max(1, end - most + 1)):
        if each.checkpoint.n >= end:
            break
        if _signs_for(each, "record", record_n) or _signs_for(each, "core", core_n):
            if found and each.checkpoint.n != found[-1].checkpoint.n + 1:
                found.clear()
            found.append(each)
    if found and found[-1].checkpoint.n != end - 1:
        found.clear()
    return [*found, last]


def _signs_for(signed: Signed, writer: str, from_n: int) -> bool:
    head = signed.checkpoint.heads.get(writer)
    return head is not None and head.n >= from_n
