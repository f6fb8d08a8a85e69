"""The disk that goes bad beneath a process: each mode, met at the process's own calls."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hw_sim.devices.bad_disk import BadDisk

PROGRAM = """
import errno, os, sys
base = sys.argv[1]
held = os.open(base + "/held", os.O_CREAT | os.O_RDWR, 0o600)
calls = {
    "write": lambda: os.write(held, b"x"), "fsync": lambda: os.fsync(held), "create": lambda: open(base + "/new", "w"),
    "read": lambda: open(base + "/held").read(), "list": lambda: os.listdir(base),
    "rename": lambda: os.replace(base + "/new", base + "/old"),
    "unlink": lambda: os.unlink(base + "/old"), "reserve": lambda: os.posix_fallocate(held, 0, 4096),
}
for _ in sys.stdin:
    said = []
    for name, call in calls.items():
        try:
            call()
        except OSError as error:
            said.append(f"{name}:{errno.errorcode[error.errno]}")
    print(*said, flush=True)
"""


class Program:
    def __init__(self, bad: BadDisk) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(bad.path)],
            env=os.environ | bad.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def refused(self) -> list[str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(file=self.process.stdin, flush=True)
        return self.process.stdout.readline().split()


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BadDisk]:
    base = tmp_path_factory.mktemp("bad")
    (base / "disk").mkdir()
    made = BadDisk(base / "switch", base / "disk")
    yield made
    made.close()


@pytest.fixture
def program(bad: BadDisk) -> Iterator[Program]:
    made = Program(bad)
    yield made
    bad.set("off")
    made.process.kill()
    made.process.communicate()


def test_each_mode_is_met_and_goes_again(bad: BadDisk, program: Program) -> None:
    assert program.refused() == []
    bad.set("read-only")
    assert program.refused() == [
        f"{name}:EROFS" for name in ("write", "fsync", "create", "rename", "unlink", "reserve")
    ]
    bad.set("gone")
    assert {each.rpartition(":")[2] for each in program.refused()} == {"EIO"}
    bad.set("off")
    assert program.refused() == []


def test_slow_and_hung_take_their_time(bad: BadDisk, program: Program) -> None:
    bad.set("slow", slow_ms=100)
    began_s = time.monotonic()
    assert program.refused() == []
    assert time.monotonic() - began_s >= 0.2
    bad.set("hung")
    timer = threading.Timer(0.3, lambda: bad.set("off"))
    began_s = time.monotonic()
    timer.start()
    assert program.refused() == []
    assert time.monotonic() - began_s >= 0.3


def test_files_elsewhere_are_left_alone(bad: BadDisk, program: Program, tmp_path: Path) -> None:
    bad.set("gone")
    code = f"open({str(tmp_path / 'x')!r}, 'w').write('x')"
    subprocess.run([sys.executable, "-c", code], env=os.environ | bad.environment, check=True)
