"""What `unitd verify` is given: exports, heads and certificates from a stranger, who wants it to fall or to believe."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import zipfile
from pathlib import Path

from tests.fuzz.target import CORPUS, Target, registry
from tests.fuzz.targets.stored import PLACE
from unitd.errors import StoreError
from unitd.evidence.check_mp4 import read_header, read_tracks
from unitd.evidence.check_tree import Reader
from unitd.evidence.verify import verify
from unitd.evidence.verify_report import PROVEN, TAMPERED, UNUSABLE, VERDICTS
from unitd.tools.verify import words

WHOLE = CORPUS / "export-zip" / "whole"
"""A proven export as a zip, with the authority and the heads beside it as strangers."""
BESIDE = ("ca.pem", "heads.jsonl")


@functools.cache
def _unpacked() -> tuple[Path, tuple[str, ...]]:
    """The export in a directory of this process; the names of its files, those beside it last."""
    base = PLACE / "export"
    with zipfile.ZipFile(io.BytesIO(WHOLE.read_bytes())) as packed:
        packed.extractall(base)
    for name in BESIDE:
        (base / name).rename(PLACE / name)
    names = sorted(path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file())
    return base, (*names, *(f"../{name}" for name in BESIDE))


def _judged(path: Path) -> int:
    report = verify(path, PLACE / BESIDE[0], PLACE / BESIDE[1])
    assert report.verdict == VERDICTS[report.status]
    assert all(line.isprintable() for line in words(report)) or report.error
    return report.status


def _part(data: bytes) -> None:
    """The first byte says which file the rest takes the place of. What is not what it was is never proven."""
    base, names = _unpacked()
    name = names[data[0] % len(names)] if data else names[0]
    file, content = base / name, data[1:]
    whole = file.read_bytes()
    file.write_bytes(content)
    try:
        status = _judged(base)
    finally:
        file.write_bytes(whole)
    if name[:2] != "..":
        assert status in ((PROVEN,) if content == whole else (TAMPERED, UNUSABLE)), name


def _zip(data: bytes) -> None:
    _unpacked()
    file = PLACE / "export.zip"
    file.write_bytes(data)
    _judged(file)


def _mp4(data: bytes) -> None:
    descriptor = os.memfd_create("mp4")
    try:
        os.write(descriptor, data)
        file = Reader(descriptor, 0, len(data), owned=False)
        for read in (read_header, read_tracks):
            with contextlib.suppress(StoreError):
                read(file)
        with contextlib.suppress(StoreError):
            for track in read_tracks(file):
                for _ in track.digests(file):
                    pass
    finally:
        os.close(descriptor)


TARGETS = registry(
    Target(
        "export-part", _part, (b'"n":', b'"prev":"', b"\n", b'"kind":"export"', b'"files":[', b"-----END"), share=0.1
    ),
    Target("export-zip", _zip, (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"segments/"), 28_672, 0.1),
    Target(
        "export-mp4",
        _mp4,
        (
            b"moov",
            b"trak",
            b"stbl",
            b"stsz",
            b"stsc",
            b"co64",
            b"stco",
            b"moof",
            b"trun",
            b"tfhd",
            b"\0\0\0\1",
            b"\xff" * 4,
        ),
        share=0.5,
    ),
)
