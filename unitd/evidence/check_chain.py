"""The extracts of the two chains: every line follows from the one before, and the checkpoints sign for the last one.

Read line by line; of what they say only lines of the kinds that others ask for are kept.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from unitd.errors import UNREADABLE, StoreError
from unitd.evidence.check_seal import Seal
from unitd.evidence.check_tree import Reader, RefusedError, Tree, safe
from unitd.evidence.verify_report import Report

RECORD, CORE = "record", "core"
MAX_LINE_BYTES = 256 * 1024
MAX_KEPT_LINES = 400_000
GENESIS = "0" * 64

OnLine = Callable[[int, dict[str, Any]], None]


def extract_path(writer: str) -> str:
    return f"chain/{writer}.jsonl"


@dataclass
class Extract:
    """An extract as far as it could be followed. `hashes`: of the lines whose numbers were asked for. `first_at`: boot
    and mono_ns at which its first line was written."""

    writer: str
    first_n: int = 0
    last_n: int = 0
    first_prev: str = ""
    last_hash: str = ""
    first_at: tuple[int, int] = (0, 0)
    hashes: dict[int, str] = field(default_factory=dict)
    sound: bool = True

    @property
    def path(self) -> str:
        return extract_path(self.writer)

    def hash_at(self, n: int) -> str | None:
        """The hash of line `n`; also of the one just before the first. None outside, and for one not asked for."""
        if n == self.first_n - 1:
            return self.first_prev
        return self.last_hash if n == self.last_n else self.hashes.get(n)

    def reaches(self, n: int) -> bool:
        return self.first_n - 1 <= n <= self.last_n


def read_extract(tree: Tree, writer: str, wanted: set[int], on_line: OnLine, report: Report) -> Extract:
    """Follow one extract to its end or to its first break, which is told. Raises RefusedError for one that is too long.

    `on_line(n, record)` is called for each line that follows from the one before. Blocks.
    """
    extract = Extract(writer)
    if extract.path not in tree.files:
        report.accuse(extract.path, "is missing")
        extract.sound = False
        return extract
    try:
        with tree.open(extract.path) as file:
            for at, raw in enumerate(_lines(file), start=1):
                record = _follow(extract, at, raw)
                extract.last_hash = hashlib.sha256(raw).hexdigest()
                if extract.last_n in wanted:
                    extract.hashes[extract.last_n] = extract.last_hash
                on_line(extract.last_n, record)
    except RefusedError:
        raise
    except (StoreError, OSError) as error:
        report.accuse(extract.path, str(error))
        extract.sound = False
    return extract


def _follow(extract: Extract, at: int, raw: bytes) -> dict[str, Any]:
    """The line's fields, when it is the next one. Raises StoreError with where and what."""
    where = f"line {at}"
    try:
        record = msgspec.json.decode(raw)
        if not isinstance(record, dict) or msgspec.json.encode(record) + b"\n" != raw:
            raise StoreError(f"{where} is not written as a unit writes it: it was changed")
    except UNREADABLE as error:
        raise StoreError(f"{where} cannot be read: it was changed ({safe(error, 80)})") from None
    n, prev = record.get("n"), record.get("prev")
    if type(n) is not int or not isinstance(prev, str) or n < 1:
        raise StoreError(f"{where} has no number, or no hash of the line before")
    if at == 1:
        if n == 1 and prev != GENESIS:
            raise StoreError(f"{where} is the chain's first and names a line before it")
        extract.first_n, extract.first_prev = n, prev
        boot, mono_ns = record.get("boot"), record.get("mono_ns")
        extract.first_at = (boot, mono_ns) if type(boot) is int and type(mono_ns) is int else (1 << 62, 0)
    elif n != extract.last_n + 1:
        raise StoreError(f"{where} has number {n} after {extract.last_n}: lines are missing, added or out of order")
    elif prev != extract.last_hash:
        raise StoreError(f"{where} (number {n}) does not follow from the line before it: one of the two was changed")
    extract.last_n = n
    return record


def _lines(file: Reader) -> Iterator[bytes]:
    left = b""
    for block in file.blocks():
        *whole, left = (left + block).split(b"\n")
        for line in whole:
            yield line + b"\n"
        if len(left) > MAX_LINE_BYTES:
            raise StoreError("has a line that is longer than any that a unit writes")
    if left:
        raise StoreError("ends in the middle of a line: its end is cut off")


def check_covered(extract: Extract, seal: Seal, report: Report) -> None:
    """That every checkpoint signs for lines that stand in the extract, and the last one for its last line."""
    if not extract.sound:
        return
    for signed in seal.signed:
        head = signed.said.heads.get(extract.writer)
        if head is None:
            if signed is seal.last and extract.last_n:
                what = (
                    f"is not signed for by {signed.file}: the unit itself found that it had become shorter, or another"
                )
                report.accuse(extract.path, what)
                extract.sound = False
        elif head.n > extract.last_n:
            what = f"ends at line number {extract.last_n}; {signed.file} signs for {head.n}: its end was cut away"
            report.accuse(extract.path, what)
            extract.sound = False
        elif extract.reaches(head.n) and (extract.hash_at(head.n) or GENESIS) != head.head:
            what = f"line number {head.n} is not the one that {signed.file} signs for: it was changed, or made anew"
            report.accuse(extract.path, what)
            extract.sound = False
    last = seal.last
    if extract.sound and last is not None and seal.checkpoints == len(seal.signed):
        head = last.said.heads.get(extract.writer)
        if head is not None and head.n < extract.last_n:
            what = (
                f"goes on after line number {head.n}, to {extract.last_n}; the last checkpoint, {last.file}, signs for "
            )
            report.accuse(extract.path, what + "nothing after that: lines were added, or a checkpoint taken away")
            extract.sound = False
