"""Every bit of an export, turned one at a time: verify must name the file. Run alone for a part of them all:

python3 -m tests.unit.evidence.flips PART PARTS
"""

import random
import sys
import tempfile
from pathlib import Path

from tests.unit.evidence.forge import Case, proven_case
from unitd.evidence.verify import verify
from unitd.evidence.verify_report import PROVEN, TAMPERED

Place = tuple[Path, int]


def places(case: Case) -> list[Place]:
    """Every bit of every file."""
    files = sorted(path for path in case.export.rglob("*") if path.is_file())
    return [(file, bit) for file in files for bit in range(file.stat().st_size * 8)]


def missed(case: Case, tried: list[Place]) -> list[str]:
    """The flips that were not found, or for which another file was named first."""
    found = []
    for file, bit in tried:
        whole = file.read_bytes()
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << (bit % 8)
        file.write_bytes(changed)
        report = verify(case.export, case.trust, case.heads)
        file.write_bytes(whole)
        name = file.relative_to(case.export).as_posix()
        if report.status != TAMPERED or report.tampered[0].file != name:
            found.append(f"{name} bit {bit}: {report.verdict} {report.tampered[:1]} {report.error}")
    assert verify(case.export, case.trust, case.heads).status == PROVEN
    return found


def sample(case: Case, count: int, seed: int) -> list[Place]:
    """`count` of them, some of each file."""
    chance = random.Random(seed)
    everything = places(case)
    by_file: dict[Path, list[Place]] = {}
    for place in everything:
        by_file.setdefault(place[0], []).append(place)
    some = [place for each in by_file.values() for place in chance.sample(each, 4)]
    return some + chance.sample(everything, count - len(some))


def main() -> int:
    part, parts = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        case = proven_case(Path(place))
        tried = places(case)[part::parts]
        found = missed(case, tried)
    print(f"{len(tried)} flips, {len(found)} missed", *found[:20], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
