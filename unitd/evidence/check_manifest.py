"""The manifest and the files that it names: all there, nothing changed, nothing added."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from unitd.errors import UNREADABLE, StoreError
from unitd.evidence.canonical import is_canonical
from unitd.evidence.check_chain import CORE, RECORD, extract_path
from unitd.evidence.check_tree import Tree, safe
from unitd.evidence.manifest import CONVERSATION, EvidenceFile, Manifest
from unitd.evidence.verify_report import Report
from unitd.store.segment import SegmentKey

MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
MAX_MANIFEST_BYTES = 32 << 20

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Listed:
    """The manifest, and the SHA-256 of exactly its bytes."""

    manifest: Manifest
    sha256: str


def read_manifest(tree: Tree, report: Report) -> tuple[Listed | None, str]:
    """The manifest, None when it cannot be used (which is told); and the hash of its bytes, "" without any. Blocks."""
    digest = ""
    try:
        data = tree.read(MANIFEST, MAX_MANIFEST_BYTES)
        digest = hashlib.sha256(data).hexdigest()
        if not is_canonical(data):
            raise StoreError("is not written as an export writes it: it was changed")
        manifest = msgspec.json.decode(data, type=Manifest)
        _well_formed(manifest)
    except UNREADABLE as error:
        report.accuse(MANIFEST, f"is not the manifest of an export: it was changed ({safe(error, 120)})")
    except (StoreError, OSError) as error:
        report.accuse(MANIFEST, str(error))
    else:
        return Listed(manifest, digest), digest
    return None, digest


def _well_formed(manifest: Manifest) -> None:
    """Raises StoreError for a list that no export writes: twice the same name, names that differ in case, no order."""
    seen: dict[str, str] = {}
    before = ""
    for file in manifest.files:
        other = seen.setdefault(file.path.casefold(), file.path)
        if other is not file.path:
            raise StoreError(f"names {file.path} twice" if other == file.path else f"names {file.path} and {other}")
        if file.path < before:
            raise StoreError(f"is not in order at {file.path}")
        before = file.path
        if file.bytes < 0 or not _belongs(file):
            raise StoreError(f"names {file.path} as a {file.kind}, which it cannot be")


def _belongs(file: EvidenceFile) -> bool:
    top, _, rest = file.path.partition("/")
    if file.kind == "segment":
        key = SegmentKey(file.boot, file.seq).file_name if file.boot >= 0 and file.seq >= 0 else ""
        return file.state is not None and file.path == f"segments/{file.stream}/{key}" and "/" not in file.stream
    if file.kind == "readme":
        return file.path in ("README.txt", CONVERSATION)
    return top == {"still": "stills", "view": "view", "audio": "audio"}[file.kind] and bool(rest)


def check_files(tree: Tree, listed: Listed, report: Report, progress: Progress) -> set[str]:
    """Hash every listed file, and tell what is changed, missing or added. Returns those that are as they should be."""
    good: set[str] = set()
    for file in listed.manifest.files:
        what = _differs(tree, file, progress)
        if what:
            report.accuse(file.path, what)
        else:
            good.add(file.path)
    check_added(tree, listed, report)
    _check_sums(tree, listed, report)
    return good


def check_added(tree: Tree, listed: Listed, report: Report) -> None:
    """What lies where only the export's own files belong, and is none of them."""
    known = {file.path for file in listed.manifest.files} | {extract_path(RECORD), extract_path(CORE)}
    for path in sorted(tree.files):
        ours = "/" in path or path == CONVERSATION
        if ours and not path.startswith("checkpoints/") and path not in known:
            report.accuse(path, "is not in the manifest: it was added, or has another name than it had")


def _differs(tree: Tree, file: EvidenceFile, progress: Progress) -> str:
    if file.path not in tree.files:
        return "is missing"
    try:
        with tree.open(file.path) as opened:
            if opened.size != file.bytes:
                return f"has {opened.size} bytes and should have {file.bytes}: it was changed"
            digest = hashlib.sha256()
            for block in opened.blocks():
                digest.update(block)
                progress(len(block))
    except (StoreError, OSError) as error:
        return str(error)
    return "" if digest.hexdigest() == file.sha256 else "is not the file that was exported (SHA-256): it was changed"


def _check_sums(tree: Tree, listed: Listed, report: Report) -> None:
    wanted = "".join(f"{file.sha256}  {file.path}\n" for file in listed.manifest.files)
    wanted += f"{listed.sha256}  {MANIFEST}\n"
    try:
        found = tree.read(SUMS, len(wanted))
    except (StoreError, OSError):
        found = b""
    if SUMS not in tree.files:
        report.accuse(SUMS, "is missing")
    elif found != wanted.encode():
        report.accuse(SUMS, "is not the list that the manifest gives: it was changed")
