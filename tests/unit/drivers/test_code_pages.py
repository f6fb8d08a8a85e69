"""Pages of a library are given back, and it still works."""

import subprocess
import sys

HERE = """
from pathlib import Path
import numpy
from unitd.drivers.code_pages import let_go

def kept_kb():
    kept, is_numpy = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            is_numpy = "_multiarray_umath" in line and "r-xp" in line
        elif line.startswith("Rss:") and is_numpy:
            kept += int(line.split()[1])
    return kept

before = kept_kb()
let_go("no such library", "_multiarray_umath")
after = kept_kb()
assert int(numpy.arange(10).sum()) == 45
print(before, after)
"""


def test_a_library_keeps_few_pages_and_works() -> None:
    done = subprocess.run([sys.executable, "-c", HERE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before_kb, after_kb = map(int, done.stdout.split())
    assert before_kb > 500 and after_kb < before_kb / 4
