"""`state_dir/checkpoints.log`: every checkpoint that core has signed, one line `{"body": text, "sig": base64}` each.

Core alone appends. A torn line (a power cut, a full disk) stays and is passed over: the next one begins on a line of
its own. A unit adds some 30 lines a day, 7 MB a year.
"""

import binascii
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, NamedTuple

import msgspec
from msgspec import Meta

from unitd.errors import UNREADABLE
from unitd.store import disk

LOG_NAME = "checkpoints.log"
GENESIS = "0" * 64
MAX_LINE_BYTES = 64 * 1024
TAIL_BYTES = 1 << 20
"""Some 1,500 checkpoints: two months of an idle unit."""
SIGNATURE_BYTES = 64

Count = Annotated[int, Meta(ge=0, le=2**53)]
Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class HeadPart(msgspec.Struct, frozen=True, kw_only=True):
    """Number and SHA-256 of a chain's last line."""

    n: Count
    head: Hash


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All heads at one instant (docs/design/storage.md). Its bytes are canonical JSON; those are what is signed."""

    version: Literal[1] = 1
    unit: str
    n: Count
    prev: Hash
    boot: Count
    boot_id: str
    mono_ns: Count
    utc_us: int
    clock: str
    heads: dict[str, HeadPart]


class Signed(NamedTuple):
    """One checkpoint: what it says, exactly the signed bytes, and the 64 bytes of the signature (RFC 8032)."""

    checkpoint: Checkpoint
    body: bytes
    signature: bytes

    @property
    def hash(self) -> str:
        """What the next one's `prev` is."""
        return hashlib.sha256(self.body).hexdigest()


class _Line(msgspec.Struct, frozen=True):
    body: str
    sig: str


def append_checkpoint(state_dir: Path, body: bytes, signature: bytes) -> None:
    """Add one; on the medium when this returns. Raises OSError, and may then have left a torn line. Blocks."""
    path = state_dir / LOG_NAME
    line = msgspec.json.encode(_Line(body.decode(), binascii.b2a_base64(signature, newline=False).decode())) + b"\n"
    disk.make_dirs(state_dir)
    descriptor = disk.open_append(path)
    try:
        if not _ends_whole(path):
            line = b"\n" + line
        disk.write_all(descriptor, line)
        disk.sync_data(descriptor)
    finally:
        disk.close(descriptor)
    disk.sync_dir(state_dir)


def read_checkpoints(state_dir: Path, from_n: int = 1) -> Iterator[Signed]:
    """Those from number `from_n` on, in the order of the file; what cannot be read is passed over.

    Bounded memory, beside a core that appends. No signature is checked here. Raises OSError, not for a missing file.
    """
    try:
        file = (state_dir / LOG_NAME).open("rb")
    except FileNotFoundError:
        return
    with file:
        for each in _signed(file):
            if each.checkpoint.n >= from_n:
                yield each


def last_checkpoint(state_dir: Path) -> tuple[Signed | None, dict[str, HeadPart]]:
    """The newest, None when there is none; and of each writer the newest head that was signed (a checkpoint may leave
    one out). From the last TAIL_BYTES of the file. Raises OSError."""
    heads: dict[str, HeadPart] = {}
    try:
        file = (state_dir / LOG_NAME).open("rb")
    except FileNotFoundError:
        return None, heads
    with file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        newest = None
        for each in _signed(file):
            newest = each
            heads |= each.checkpoint.heads
        return newest, heads


def parse_line(raw: bytes) -> Signed | None:
    """One line of the file; None for damage. Pure; never raises."""
    try:
        line = msgspec.json.decode(raw, type=_Line)
        body, signature = line.body.encode(), binascii.a2b_base64(line.sig, strict_mode=True)
        checkpoint = msgspec.json.decode(body, type=Checkpoint)
    except UNREADABLE:
        return None
    return Signed(checkpoint, body, signature) if len(signature) == SIGNATURE_BYTES else None


def _signed(file: BinaryIO) -> Iterator[Signed]:
    while raw := file.readline(MAX_LINE_BYTES):
        found = parse_line(raw) if raw[-1:] == b"\n" else None
        if found is not None:
            yield found


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return True
        file.seek(size - 1)
        return file.read(1) == b"\n"
