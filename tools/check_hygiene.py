"""Fail when a tracked file holds what must not be in the repository.

That is: an absolute path of somebody's machine, the host name of a package registry, a lock file with resolved
addresses, a private key, a merge conflict, or a big binary. Reads what git tracks; exit 1 and one line per fault.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIGGEST_BYTES = 2_000_000
LOCK_FILES = {"uv.lock", "poetry.lock", "Pipfile.lock", "package-lock.json", "yarn.lock", "pnpm-lock.yaml"}

# Written with gaps so that this file does not find itself.
_HOSTS = (
    "pypi" + ".org",
    "python" + "hosted.org",
    "pypi." + "python.org",
    "registry" + ".npmjs" + ".org",
    "piwheels" + ".org",
)
FORBIDDEN = (
    ("a package registry's host", re.compile("|".join(re.escape(host) for host in _HOSTS))),
    ("a path of one machine", re.compile(r"(?<![\w.])/(?:home|Users|work)/[A-Za-z0-9_-]+/")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE" + r" KEY-----")),
    ("a merge conflict", re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE)),
)


def tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def faults_in(name: str, content: bytes) -> list[str]:
    """One line for each fault in one file; `name` is relative to the root."""
    out = []
    if Path(name).name in LOCK_FILES:
        out.append(f"{name}: a lock file with resolved addresses; pin in constraints.txt")
    if len(content) > BIGGEST_BYTES:
        out.append(f"{name}: {len(content)} bytes, {BIGGEST_BYTES} at most")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return out
    for what, pattern in FORBIDDEN:
        if match := pattern.search(text):
            line = text.count("\n", 0, match.start()) + 1
            out.append(f"{name}:{line}: {what}: {match.group(0)!r}")
    own = str(ROOT) + "/"
    # A checkout in the place where units are installed says nothing about the machine.
    if own.count("/") > 2 and own != "/opt/unitd/" and own in text:
        out.append(f"{name}: the path of this checkout")
    return out


def main() -> int:
    found = [line for path in tracked() for line in faults_in(str(path.relative_to(ROOT)), path.read_bytes())]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
