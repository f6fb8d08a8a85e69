"""Fail when a file that is generated from the message structs is not what they would generate now.

`unitd schema` writes into a scratch directory; each file must be the same, byte for byte, as the one in docs/api.
`make generate` puts it right. Exit 1 and one line per file.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT_IN = ROOT / "docs" / "api"


def differing(kept: Path, fresh: Path) -> list[str]:
    """Names, relative to both, of files that differ or that only one of the two directories has."""
    names = {path.relative_to(base) for base in (kept, fresh) for path in base.rglob("*") if path.is_file()}
    return sorted(
        str(name)
        for name in names
        if not (kept / name).is_file()
        or not (fresh / name).is_file()
        or (kept / name).read_bytes() != (fresh / name).read_bytes()
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [str(ROOT / ".venv" / "bin" / "unitd"), "schema", "--output", scratch],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode != 0:
            print(f"unitd schema failed: {done.stderr.strip() or done.stdout.strip()}")
            return 1
        if not any(Path(scratch).iterdir()):
            print("unitd schema wrote nothing")
            return 1
        found = differing(KEPT_IN, Path(scratch))
    for name in found:
        print(f"docs/api/{name}: not what the message structs say now; run make generate")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
