"""The names of a zip and where their bytes lie (APPNOTE.TXT 6.3.10), for files that are stored, not compressed.

A reader of its own: nothing is unpacked, no name is trusted, and what is compressed, encrypted or overlaps is refused,
so that a small file cannot become a large one.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from unitd.errors import StoreError
from unitd.evidence.check_tree import KNOWN_DIRS, KNOWN_FILES, MAX_NAMES, Reader, RefusedError, Tree

MAX_DIRECTORY_BYTES = 64 << 20
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_UNKNOWN_32 = 0xFFFFFFFF
_LINK_MODE, _DIRECTORY_MODE, _MODE_MASK = 0o120000, 0o040000, 0o170000


@dataclass(frozen=True)
class _Place:
    name: bytes
    header: int
    size: int


class ZipTree(Tree):
    """A zip as `unitd export` writes it; at most one directory of its own around the names."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._places: dict[str, _Place] = {}
        try:
            self._whole = Reader(self._descriptor, 0, os.fstat(self._descriptor).st_size, owned=False)
            self._list(_central_directory(self._whole))
        except (StoreError, struct.error) as error:
            os.close(self._descriptor)
            words = str(error) if isinstance(error, RefusedError) else f"not a zip that can be read ({error})"
            raise RefusedError(f"{path}: {words}") from None

    def open(self, path: str) -> Reader:
        place = self._places.get(path)
        if place is None:
            raise StoreError("it is not there")
        signature, _, flags, method, *_, name_bytes, extra_bytes = _LOCAL.unpack(
            self._whole.at(place.header, _LOCAL.size)
        )
        name = self._whole.at(place.header + _LOCAL.size, name_bytes)
        if signature != b"PK\3\4" or name != place.name or method or flags & 1:
            raise StoreError("the zip says two different things about it")
        begin = place.header + _LOCAL.size + name_bytes + extra_bytes
        if begin + place.size > self._whole.size:
            raise StoreError("it is cut off")
        return Reader(self._descriptor, begin, place.size, owned=False)

    def close(self) -> None:
        os.close(self._descriptor)

    def _list(self, directory: bytes) -> None:
        entries = list(_entries(directory))
        within = _common_directory([name for name, *_ in entries])
        end = 0
        for place in sorted((place for _, place, _ in entries), key=lambda place: place.header):
            if place.header < end:
                raise RefusedError("files of the zip lie over each other: it was made to do harm")
            end = place.header + _LOCAL.size + place.size
        for name, place, mode in entries:
            self._entry(name[len(within) :], place, mode)

    def _entry(self, name: str, place: _Place, mode: int) -> None:
        if not name:
            return
        parts = name.rstrip("/").split("/")
        ours = parts[0] in KNOWN_DIRS or parts[0] in KNOWN_FILES
        if any(part in ("", ".", "..") for part in parts) or "\\" in name or "\0" in name or name.startswith("/"):
            self.odd.append((name, "is a name that leads elsewhere"))
        elif mode & _MODE_MASK == _LINK_MODE:
            self.odd.append((name, "is a link, and is not followed"))
        elif name.endswith("/"):
            return
        elif len(parts) > 1 and not ours:
            self.take(parts[0], 0) if parts[0] not in self.strangers else None
        else:
            self.take(name, place.size)
            self._places.setdefault(name, place)


def _central_directory(file: Reader) -> bytes:
    tail_bytes = min(file.size, _END.size + 0xFFFF)
    tail = file.at(file.size - tail_bytes, tail_bytes)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        raise RefusedError("neither a directory nor a whole zip")
    _, disk, *_, count, size, offset, comment = _END.unpack_from(tail, at)
    end = file.size - tail_bytes + at
    if at + _END.size + comment != len(tail):
        raise RefusedError("there is something after the end of the zip")
    if count == 0xFFFF or size == _UNKNOWN_32 or offset == _UNKNOWN_32:
        signature, _, where, _ = _LOCATOR.unpack(file.at(end - _LOCATOR.size, _LOCATOR.size))
        if signature != b"PK\6\7":
            raise RefusedError("the end of the zip is damaged")
        *_, count, size, offset = _END64.unpack(file.at(where, _END64.size))
        end = where
    if disk or size > MAX_DIRECTORY_BYTES or count > MAX_NAMES or offset + size != end:
        raise RefusedError("its list of names is damaged, or too long for an export")
    return file.at(offset, size)


def _entries(directory: bytes) -> list[tuple[str, _Place, int]]:
    found, at = [], 0
    while at < len(directory):
        head = _CENTRAL.unpack_from(directory, at)
        signature, flags, method, packed, size = head[0], head[3], head[4], head[8], head[9]
        name_bytes, extra_bytes, comment_bytes, header = head[10], head[11], head[12], head[16]
        if signature != b"PK\1\2":
            raise RefusedError("its list of names is damaged")
        at += _CENTRAL.size
        name, extra = directory[at : at + name_bytes], directory[at + name_bytes : at + name_bytes + extra_bytes]
        at += name_bytes + extra_bytes + comment_bytes
        size, packed, header = _wide(extra, size, packed, header)
        if method or flags & 1 or size != packed:
            words = "encrypted" if flags & 1 else "compressed"
            raise RefusedError(f"the zip is {words}, and an export's is not: unpack it, and check the directory")
        found.append((name.decode(errors="surrogateescape"), _Place(name, header, size), head[15] >> 16))
        if len(found) > MAX_NAMES:
            raise RefusedError("too many names for an export")
    return found


def _wide(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """The 64-bit values that stand in the extra field for those that are all ones (4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            values = iter(struct.unpack_from(f"<{length // 8}Q", extra, at + 4))
            size = next(values, size) if size == _UNKNOWN_32 else size
            packed = next(values, packed) if packed == _UNKNOWN_32 else packed
            header = next(values, header) if header == _UNKNOWN_32 else header
        at += 4 + length
    return size, packed, header


def _common_directory(names: list[str]) -> str:
    """`export-12345678/` when every name lies below it and it is none of ours; else nothing."""
    tops = {name.partition("/")[0] for name in names}
    if len(tops) != 1:
        return ""
    top = tops.pop()
    return f"{top}/" if top not in KNOWN_DIRS and all("/" in name for name in names) else ""
