"""Judge the systemd units without a running systemd: spelling, and how far each is closed in.

The programs are where this checkout is and not in /opt/unitd, so copies with that one path changed are judged.
Exit 1 and systemd-analyze's own words on a fault.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INSTALLED_AT = "/opt/unitd"
PROCESSES = ("core", "field", "record", "call", "sense")
# systemd-analyze's exposure, in tenths, that a unit may have at most. 0 is closed, 100 is open; the units are at
# 16 to 18. The score is no proof that a unit works: tests/system/test_systemd_boot.py boots them.
EXPOSURE_MAX = 20


def copies(source: Path, target: Path) -> list[Path]:
    """Copy every unit of `source` to `target`, pointing at this checkout; return the copies."""
    made = []
    for unit in sorted(source.iterdir()):
        if unit.suffix in {".service", ".target", ".slice"}:
            copy = target / unit.name
            copy.write_text(unit.read_text(encoding="utf-8").replace(INSTALLED_AT, str(ROOT)), encoding="utf-8")
            made.append(copy)
    return made


def analyze(*arguments: str, unit_path: Path) -> tuple[bool, str]:
    """Run systemd-analyze on the units in `unit_path`; (whether it was content, what it said)."""
    done = subprocess.run(
        ["systemd-analyze", *arguments],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{unit_path}:", "SYSTEMD_COLORS": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode == 0, done.stdout + done.stderr


def faults(source: Path) -> list[str]:
    """What systemd-analyze says against the units in `source`; empty when it is content."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        units = copies(source, place)
        # Without --recursive-errors=no, verify ends with 0 on a misspelt key.
        good, said = analyze("--recursive-errors=no", "verify", *map(str, units), unit_path=place)
        if not good:
            found.append(said)
        for process in PROCESSES:
            good, said = analyze(
                "security",
                "--offline=true",
                f"--threshold={EXPOSURE_MAX}",
                str(place / f"unitd-{process}.service"),
                unit_path=place,
            )
            if not good:
                found.append(f"unitd-{process}.service: {said.strip().splitlines()[-1]}")
    return found


def main() -> int:
    found = faults(ROOT / "systemd")
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
