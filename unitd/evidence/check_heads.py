"""The heads that the control room kept, against the export: a cut, a chain made anew, another key show here.

A heads file has one JSON line for each checkpoint as it came: `unit`, `received_utc_us` (by the control room's clock),
`checkpoint` (its number), `body` (the signed text), `signature` (base64).
"""

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE, StoreError
from unitd.evidence.check_chain import RECORD, Extract
from unitd.evidence.check_seal import Checkpoint, Seal, Signed, parse_checkpoint, verifies
from unitd.evidence.check_tree import RefusedError, safe
from unitd.evidence.verify_report import Finding, Report
from unitd.evidence.verify_time import utc_text

MAX_LINE_BYTES = 256 * 1024
MAX_KEPT = 200_000
"""Twenty years of hourly heads of one unit."""
NEAR = 200
"""Of those, the ones whose numbers are so near to the export's checkpoints are held against it: what contradicts an
export by its past or its future does so in the first of them, and each takes 0.2 ms. The nearest on each side count
however far they are: whoever makes a chain anew chooses its numbers."""
MOST_UNSEALED = 10_000
"""So many of the newest heads are held against an export without checkpoints (a year of hours): 0.5 s."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    unit: str
    received_utc_us: int
    checkpoint: int
    body: str
    signature: str


@dataclass(frozen=True)
class KeptHead:
    line: int
    received_utc_us: int
    number: int
    body: bytes
    signature: bytes


@dataclass
class Heads:
    """Those of one unit, in the order in which they stand in the file; `damaged` and `others` count lines."""

    name: str
    kept: list[KeptHead] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    others: int = 0

    def bodies(self) -> dict[int, set[bytes]]:
        found: dict[int, set[bytes]] = {}
        for head in self.kept:
            found.setdefault(head.number, set()).add(head.body)
        return found


@dataclass
class Anchors:
    """What the control room's heads reach: the highest line of record's and core's chain that one of them vouches for.

    `received_utc_us`: when the control room had the first head that covers the export's last checkpoint; None for none.
    """

    record_n: int = -1
    core_n: int = -1
    heads: int = 0
    newest_utc_us: int | None = None
    received_utc_us: int | None = None


def read_heads(path: Path, unit: str) -> Heads:
    """The heads of `unit`. Raises RefusedError when the file cannot be read at all. Blocks; one line at a time."""
    heads = Heads(path.name)
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(MAX_LINE_BYTES):
                number += 1
                if number == 1:
                    raw = raw.removeprefix(_BYTE_ORDER_MARK)
                if raw.strip():
                    _take(heads, number, raw, unit)
    except OSError as error:
        raise RefusedError(f"{path}: {error.strerror or error}") from None
    return heads


def _take(heads: Heads, number: int, raw: bytes, unit: str) -> None:
    try:
        line = msgspec.json.decode(raw, type=_Line)
        signature = base64.b64decode(line.signature, validate=True)
        body = line.body.encode()
    except (*UNREADABLE, binascii.Error):
        if len(heads.damaged) < MAX_KEPT:
            heads.damaged.append(number)
        return
    if line.unit != unit:
        heads.others += 1
        return
    if len(heads.kept) >= MAX_KEPT:
        raise RefusedError(f"{heads.name}: more than {MAX_KEPT} heads of one unit")
    heads.kept.append(KeptHead(number, line.received_utc_us, line.checkpoint, body, signature))


def compare(heads: Heads, seal: Seal, extracts: dict[str, Extract], report: Report) -> Anchors:
    """Hold every kept head against the export; what contradicts is told. Without a certificate that can be used only
    what they say is compared: the control room knew from whom it had them."""
    anchors = Anchors()
    last = seal.last
    mine = {signed.said.n: signed for signed in seal.signed}
    told: set[tuple[str, str]] = set()
    for head in _near(heads, seal):
        found = _contradiction(head, heads.name, seal, mine, extracts)
        if isinstance(found, Finding):
            if (key := (found.file, found.what.partition(" (")[0])) not in told and len(told) < 20:
                told.add(key)
                report.tampered.append(found)
        elif isinstance(found, Checkpoint):
            _reach(anchors, head, found, None if last is None else last.said, extracts)
    return anchors


def _near(heads: Heads, seal: Seal) -> list[KeptHead]:
    if not seal.signed:
        return sorted(heads.kept, key=lambda head: head.number)[-MOST_UNSEALED:]
    first, last = seal.signed[0].said.n - NEAR, seal.signed[-1].said.n + NEAR
    first = min(first, max((head.number for head in heads.kept if head.number < first), default=first))
    last = max(last, min((head.number for head in heads.kept if head.number > last), default=last))
    return [head for head in heads.kept if first <= head.number <= last]


def _contradiction(
    head: KeptHead, name: str, seal: Seal, mine: dict[int, Signed], extracts: dict[str, Extract]
) -> Finding | Checkpoint | None:
    """What is wrong with the export by this head; the checkpoint itself when it vouches; None when it says nothing."""
    last = seal.last
    if last is None:
        return _unsealed(head, name, extracts)
    when = f"received {utc_text(head.received_utc_us)}; {name} line {head.line}"
    later = head.number > last.said.n
    own = mine.get(head.number)
    same = own is not None and (own.body, own.signature) == (head.body, head.signature)
    if seal.key is not None and not same and not verifies(seal.key, head.signature, head.body):
        if later:
            return None
        what = f"is not the key that signed checkpoint {head.number} when the control room got it: the key was replaced"
        return Finding("certificate.pem", f"{what}, or that line was changed ({when})")
    try:
        said = parse_checkpoint(head.body)
    except StoreError as error:
        return None if later else Finding(name, f"line {head.line}: its body {error}")
    if said.n != head.number or said.unit != last.said.unit:
        return Finding(name, f"line {head.line} says checkpoint {head.number} and holds {said.n} of {safe(said.unit)}")
    if later:
        return _later(head, said, seal, when)
    if own is not None and own.body != head.body:
        what = f"is not checkpoint {said.n} as the control room has it: the chain was made anew ({when})"
        return Finding(own.file, what)
    for extract in extracts.values():
        sent = said.heads.get(extract.writer)
        if sent is None or not extract.sound:
            continue
        if sent.n > extract.last_n:
            what = f"ends at line number {extract.last_n}; the control room knows of {sent.n}: its end was cut away"
            return Finding(extract.path, f"{what} ({when})")
        known = extract.hash_at(sent.n)
        if extract.last_n and extract.reaches(sent.n) and known is not None and known != sent.head:
            what = f"line number {sent.n} is not the one that the control room knows: the chain was made anew ({when})"
            return Finding(extract.path, what)
    return said


def _unsealed(head: KeptHead, name: str, extracts: dict[str, Extract]) -> Finding | Checkpoint | None:
    """Without any checkpoint of its own an export's chains must still be those that the control room knows: whoever
    takes the seal away gains nothing. Where a chain ends shows nothing here, for the head may be from later."""
    try:
        said = parse_checkpoint(head.body)
    except StoreError:
        return None
    vouches = False
    for extract in extracts.values():
        sent = said.heads.get(extract.writer)
        if sent is None or not extract.sound or not extract.last_n or not extract.reaches(sent.n):
            continue
        if extract.hash_at(sent.n) != sent.head:
            what = f"line number {sent.n} is not the one that the control room knows: the chain was made anew"
            return Finding(extract.path, f"{what} (received {utc_text(head.received_utc_us)}; {name} line {head.line})")
        vouches = True
    return said if vouches else None


def _later(head: KeptHead, said: Checkpoint, seal: Seal, when: str) -> Finding | Checkpoint | None:
    """A head from after the export vouches for it only when it follows directly from the export's last checkpoint."""
    last = seal.signed[-1]
    for writer, sent in said.heads.items():
        own = last.said.heads.get(writer)
        if own is not None and sent.n < own.n:
            what = f"has {own.n} lines of {writer}'s chain; the later checkpoint {head.number} of the control room has "
            return Finding(last.file, f"{what}{sent.n}: the chain was made anew ({when})")
    if said.n == last.said.n + 1:
        if said.prev != last.hash:
            what = f"is not the checkpoint before {said.n} of the control room: it was made anew ({when})"
            return Finding(last.file, what)
        return said
    return None


def _reach(
    anchors: Anchors, head: KeptHead, said: Checkpoint, last: Checkpoint | None, extracts: dict[str, Extract]
) -> None:
    anchors.heads += 1
    anchors.newest_utc_us = max(head.received_utc_us, anchors.newest_utc_us or head.received_utc_us)
    for writer, extract in extracts.items():
        sent = said.heads.get(writer)
        if sent is None:
            continue
        n = min(sent.n, extract.last_n)
        if n < extract.first_n - 1 or (last is None and sent.n > extract.last_n):
            continue
        if writer == RECORD:
            anchors.record_n = max(anchors.record_n, n)
        else:
            anchors.core_n = max(anchors.core_n, n)
    if last is None or said.n < last.n:
        return
    if anchors.received_utc_us is None or head.received_utc_us < anchors.received_utc_us:
        anchors.received_utc_us = head.received_utc_us


def wanted_lines(heads: Heads | None, seal: Seal) -> dict[str, set[int]]:
    """By writer the numbers of the lines whose hashes will be asked for."""
    wanted: dict[str, set[int]] = {}
    for signed in seal.signed:
        for writer, sent in signed.said.heads.items():
            wanted.setdefault(writer, set()).add(sent.n)
    for head in _near(heads, seal) if heads is not None else ():
        try:
            said = parse_checkpoint(head.body)
        except StoreError:
            continue
        for writer, sent in said.heads.items():
            wanted.setdefault(writer, set()).add(sent.n)
    return wanted
