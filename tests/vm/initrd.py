"""A first file system for a virtual machine's kernel: an archive in the kernel's format (cpio "newc")."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

DIRECTORY = stat.S_IFDIR | 0o755
PROGRAM = stat.S_IFREG | 0o755


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    """Documentation/driver-api/early-userspace/buffer-format.rst: 13 numbers of 8 hex digits, name, content, each
    padded to 4 bytes."""
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def archive(directories: list[str], files: dict[str, bytes]) -> bytes:
    """All files may be executed. Names without a slash before them."""
    entries = [(name, DIRECTORY, b"") for name in directories]
    entries += [(name, PROGRAM, content) for name, content in files.items()]
    entries.append(("TRAILER!!!", 0, b""))
    return b"".join(_entry(number, *entry) for number, entry in enumerate(entries, 1))


def static_program(source: Path, target: Path) -> bytes:
    """The C program of `source`, which needs nothing but the kernel."""
    command = ["gcc", "-static", "-O1", "-o", str(target), str(source)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return target.read_bytes()
