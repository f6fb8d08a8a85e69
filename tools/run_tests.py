"""Run the checks and the tests, and say in one last line what passed and what did not.

`make test` runs everything, `make check` (`--only check`) the checks alone, `make prove` (`--long`) everything
with more examples and more kill points. The suites run in two lanes side by side, for tests mostly wait; the long
proofs, and whatever is named after `--`, run alone. Exit 0 only if all passed. A program that is missing counts as a
failure and is named.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
import xml.etree.ElementTree as ElementTree  # our own pytest wrote the file
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
BUILD = ROOT / "build"
SUITES = ("unit", "contract", "crash", "simulate", "system", "browser")
LANES = (("unit", "crash", "simulate", "contract", "browser"), ("system",))
"""Suites of one lane run one after the other, quick ones first, so that a mistake shows early; both take as long."""
POLITE = ("unit", "crash", "simulate")
"""They compute and hold no deadlines: what runs in the other lane against real time goes first."""
NICENESS = 5
GRACE_S = 5.0
LOOK_EVERY_S = 0.5
SECOND_TRIES = 3
"""Up to this many failures may be a pause of a shared machine, on which another lane runs too; more are not."""
# Programs that tests start; a missing one is named at once and not as fifty odd failures.
PROGRAMS = (
    "git",
    "mosquitto",
    "pulseaudio",
    "openssl",
    "ffmpeg",
    "ffprobe",
    "chromium|chromium-browser",
    "systemd-analyze",
    "systemd-nspawn",
    "faketime",
    "unshare",
    "ip",
)


@dataclass
class Tally:
    """How many steps and tests passed, and the names of those that did not."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)

    def line(self) -> str:
        text = f"{self.passed} passed, {len(self.failed)} failed"
        if self.failed:
            shown = ", ".join(self.failed[:8])
            more = len(self.failed) - 8
            text += f": {shown}" + (f" and {more} more" if more > 0 else "")
        return text


def environment() -> dict[str, str]:
    """The environment's own programs first; no colours or banners in logs of CI."""
    path = f"{BIN}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return os.environ | {"PATH": path, "NO_COLOR": "1"}


def checks() -> list[tuple[str, list[str]]]:
    """Each check with its command line; all of them only read."""
    python = str(BIN / "python3")
    return [
        ("ruff check", [str(BIN / "ruff"), "check", "--quiet", "."]),
        ("ruff format", [str(BIN / "ruff"), "format", "--quiet", "--diff", "."]),
        ("mypy --strict", [str(BIN / "mypy")]),
        (
            "mypy tools",
            [
                str(BIN / "mypy"),
                "--cache-dir=.mypy_cache/tools",
                "--explicit-package-bases",
                "tools",
                "tests/conftest.py",
            ],
        ),
        ("import rules", [str(BIN / "lint-imports")]),
        ("versions", [python, "tools/check_versions.py"]),
        ("hygiene", [python, "tools/check_hygiene.py"]),
        ("systemd units", [python, "tools/check_units.py"]),
        ("generated files", [str(BIN / "unitd"), "schema", "--check"]),
    ]


def run_checks(tally: Tally) -> None:
    for name, command in checks():
        started = time.monotonic()
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.DEVNULL,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=300,
                check=False,
            )
            good, output = done.returncode == 0, done.stdout
        except OSError as error:
            good, output = False, f"cannot run {command[0]}: {error.strerror}\n"
        except subprocess.TimeoutExpired:
            good, output = False, "no answer within 300 s\n"
        print(f"check: {name:<16} {'ok' if good else 'FAILED'} ({time.monotonic() - started:.1f} s)", flush=True)
        if good:
            tally.passed += 1
        else:
            print(output, flush=True)
            tally.failed.append(f"check: {name}")


def _starts(name: str, path: str) -> bool:
    """Whether the program is there; a browser must also start (Ubuntu's package is a stub that asks for a snap)."""
    found = shutil.which(name, path=path)
    if found is None or not name.startswith("chromium"):
        return found is not None
    done = subprocess.run([found, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    return done.returncode == 0


def missing_programs() -> list[str]:
    path = environment()["PATH"]
    return [entry for entry in PROGRAMS if not any(_starts(name, path) for name in entry.split("|"))]


def marked_processes(mark: str) -> dict[int, str]:
    """Processes with `mark` in their environment, by pid, with their command line. Reads /proc."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (place / "environ").read_bytes():
                command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if command:  # a zombie has none
                    found[int(place.name)] = command
    return found


def end_leftovers(mark: str) -> list[str]:
    """Command lines of what the tests left running after GRACE_S; they are killed."""
    deadline_s = time.monotonic() + GRACE_S
    while marked_processes(mark) and time.monotonic() < deadline_s:
        time.sleep(0.2)
    left = marked_processes(mark)
    for pid in left:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return list(left.values())


def read_results(path: Path, tally: Tally) -> None:
    """Add pytest's own record of one run (JUnit XML); a missing or broken file is a failure."""
    try:
        cases = list(ElementTree.parse(path).iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        tally.failed.append(f"pytest left no result ({error})")
        return
    for case in cases:
        if any(case.find(tag) is not None for tag in ("failure", "error", "skipped")):
            tally.failed.append(f"{case.get('classname', '')}::{case.get('name', '')}")
        else:
            tally.passed += 1
    if not cases:
        tally.failed.append("pytest found no test")


def run_pytest(tally: Tally, suites: list[str], long: bool, extra: list[str]) -> None:
    """Run the suites; a few tests that failed get a second try, alone, each told by name."""
    if long or extra:
        named = any((ROOT / argument.partition("::")[0]).exists() for argument in extra)
        runs = [Run("all", [*extra, *(f"tests/{suite}" for suite in ([] if named else suites))], long)]
        runs[0].go(polite=False)
    else:
        runs = [Run(suite, [f"tests/{suite}"], long) for suite in suites]
        run_in_lanes(runs)
    failed = [name for run in runs for name in run.tally.failed]
    if not long and failed and len(failed) <= SECOND_TRIES and all(each.startswith("tests.") for each in failed):
        print(f"again, alone: {', '.join(failed)}", flush=True)
        for run in runs:
            run.second_try()
    for run in runs:
        tally.passed += run.tally.passed
        tally.failed += run.tally.failed


def run_in_lanes(runs: list[Run]) -> None:
    """Go through the runs in LANES, side by side. Returns when all have ended."""

    def go(lane: list[Run]) -> None:
        for run in lane:
            run.go(polite=run.name in POLITE)

    lanes = [[run for suite in lane for run in runs if run.name == suite] for lane in LANES]
    threads = [threading.Thread(target=go, args=(lane,), daemon=True) for lane in lanes if lane]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Run:
    """One pytest over some paths, with its own result file and its own memory of what failed."""

    def __init__(self, name: str, arguments: list[str], long: bool) -> None:
        self.name = name
        self.tally = Tally()
        self._arguments = arguments
        self._long = long
        self._cache = BUILD / f"pytest-cache-{name}"
        shutil.rmtree(self._cache, ignore_errors=True)  # what failed before is no business of this run

    def go(self, polite: bool) -> None:
        """Run it. Never raises: what goes wrong is a failure in the tally."""
        started = time.monotonic()
        try:
            self._pytest(self._arguments, polite)
        except OSError as error:  # on a lane's thread nobody else would tell
            self.tally.failed.append(f"{self.name}: {error!r}")
        good = "ok" if not self.tally.failed else "FAILED"
        show([f"suite: {self.name:<16} {good} ({self.tally.line()}; {time.monotonic() - started:.0f} s)"])

    def second_try(self) -> None:
        """Run again what failed, and count what passes now."""
        failed, self.tally.failed = self.tally.failed, []
        if failed:
            again = ["--last-failed", "--last-failed-no-failures=none"]
            self._pytest([*again, *self._arguments], polite=False)
        for name in set(failed) - set(self.tally.failed):
            print(f"passed at the second try only: {name}", flush=True)

    def _pytest(self, arguments: list[str], polite: bool) -> None:
        results = BUILD / f"tests-{self.name}.xml"
        results.unlink(missing_ok=True)
        options = ["-q", "--durations=10", f"--junitxml={results}", "-o", f"cache_dir={self._cache}"]
        nice = ["nice", f"--adjustment={NICENESS}"] if polite else []
        command = [*nice, str(BIN / "python3"), "-m", "pytest", *options, *arguments]
        mark = f"UNITD_TEST_RUN={uuid.uuid4()}"
        env = environment() | dict([mark.split("=")]) | ({"UNITD_TEST_LONG": "1"} if self._long else {})
        log = BUILD / f"tests-{self.name}.log"
        with log.open("wb") as output:  # not a pipe: one process left behind would keep it open for ever
            process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        with log.open(encoding="utf-8", errors="replace") as written:
            pass_on(self.name, written, process)
        before = len(self.tally.failed)
        read_results(results, self.tally)
        self.tally.failed += [f"left running: {command[:80]}" for command in end_leftovers(mark)]
        if process.returncode != 0 and len(self.tally.failed) == before:
            self.tally.failed.append(f"pytest ended with status {process.returncode}")


_showing = threading.Lock()


def show(lines: list[str]) -> None:
    """Print lines that belong together, not mixed with another lane's."""
    with _showing:
        print("\n".join(lines), flush=True)


def pass_on(name: str, written: IO[str], process: subprocess.Popen[bytes]) -> None:
    """Show pytest's progress line by line under `name` as it is `written`, its report in one piece at its end."""
    report: list[str] = []
    pending, ended = "", False
    while not ended:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=LOOK_EVERY_S)
        ended = process.returncode is not None
        *lines, pending = (pending + written.read()).split("\n")
        for text in [*lines, pending] if ended else lines:
            if report or text.startswith("==="):
                report.append(text)
            elif text:
                show([f"{name + ':':<10}{text}"])
    if report:
        show(report)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("check", *SUITES), action="append", default=[], help="leave the rest out")
    parser.add_argument("--long", action="store_true", help="more examples, more kill points")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --; paths among them replace the suites")
    arguments = parser.parse_args()
    only: list[str] = arguments.only or ["check", *SUITES]
    BUILD.mkdir(exist_ok=True)
    started = time.monotonic()
    tally = Tally()
    if "check" in only:
        run_checks(tally)
    suites = [suite for suite in SUITES if suite in only]
    if suites:
        tally.failed += [f"{name} is not installed" for name in missing_programs()]
        run_pytest(tally, suites, arguments.long, arguments.pytest)
    print(f"took {time.monotonic() - started:.0f} s")
    (BUILD / "closing-line.txt").write_text(tally.line() + "\n", encoding="utf-8")
    print(tally.line(), flush=True)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
