"""The proof of the live call: the real `unitd call` and a real Chromium, joined by an emulated bad IP link.

    python -m tests.live --list                     the links
    python -m tests.live clean halved               two of them; 60 s and some 15 s around each
    python -m tests.live                            all of them: about 16 minutes
    python -m tests.live --controller both          beside the same with our congestion control off: half an hour
    python -m tests.live --presses 30               from the press to the first picture at 100 ms round trip: 2 minutes
    python -m tests.live --resume                   go on where an interrupted run stopped

The table goes to stdout and to build/live.md, all figures to build/live.json (whole after each case), graphs to
build/live.html. `--keep DIR` keeps each case's logs and recorded voices. Exit status 1 when a case could not be played;
with `--strict` also when a goal was missed.

How it stands: the unit is in one network namespace, with a camera of constant bit rate (camera.py), PulseAudio as its
sound card and core's end of the socket; the relay, the console's page and Chromium are in another. Between them is only
link_process.py, which reads packets from TUN devices of both and lets them through as shape.py says: capacity, a finite
queue, delay, jitter, seeded loss, outages, a greedy upload, another address. Needs /dev/net/tun and `unshare -rn` (any
user). The signalling takes the same link. Glass to glass is by the time code in the picture, read from a canvas as each
picture is shown; the clocks of page and machine are compared before. The voices are known sentences both ways: into the
unit's microphone and into Chromium's, recorded behind Chromium's jitter buffer and at the unit's horn.

Two cores are enough when nothing else runs. On a busy machine, as root, put real-time priority before it, or its
figures are the machine's: `chrt -r 5 python -m tests.live` (not above 7: Chromium's own sound threads have 8).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from tests.bench import machine
from tests.live import figures, report, results
from tests.live.cases import CASE_S, CASES, Case, named
from tests.live.judge_voices import voices
from tests.live.play import play
from tests.live.presses import CEILING_S, presses
from tests.live.tunnels import unshare_command

INSIDE = "UNITD_LIVE_INSIDE"
OVERHEAD_S = 90.0
OUT = Path(__file__).resolve().parents[2] / "build" / "live.json"


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.list:
        print("\n".join(f"{case.name:12} {case.title}" for case in CASES))
        return 0
    if os.environ.get(INSIDE) != "1":
        command = unshare_command([sys.executable, "-m", "tests.live", *sys.argv[1:]])
        os.execvpe(command[0], command, os.environ | {INSIDE: "1"})
    if arguments.presses is not None:
        return _press(arguments)
    try:
        chosen = [named(name, arguments.seconds) for name in arguments.cases or [case.name for case in CASES]]
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    suffixes = {"on": [""], "off": ["/off"], "both": ["", "/off"]}[arguments.controller]
    plan = [(case.name + suffix, case) for suffix in suffixes for case in chosen]
    return _run(plan, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help="which links (default all; --list names them)")
    parser.add_argument("--list", action="store_true", help="the names, and leave")
    parser.add_argument("--seconds", type=float, default=CASE_S, help="how long each lasts (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of what the link loses (default %(default)s)")
    parser.add_argument("--controller", choices=("on", "off", "both"), default="on", help="our congestion control")
    parser.add_argument("--out", type=Path, default=OUT, help="the JSON; .md and .html go beside it (%(default)s)")
    parser.add_argument("--resume", action="store_true", help="keep what --out holds and play only what it lacks")
    parser.add_argument("--keep", type=Path, help="a directory for logs and recorded voices of each case")
    parser.add_argument("--presses", type=int, metavar="N", help="measure N presses to their first picture instead")
    parser.add_argument("--strict", action="store_true", help="exit 1 also when a goal is missed")
    return parser


def _run(plan: list[tuple[str, Case]], arguments: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # then everything that was started here ends too
    described = machine.describe()
    done = results.read(arguments.out) if arguments.resume else {}
    for number, (key, case) in enumerate(plan, 1):
        if key in done and not done[key].get("error"):
            continue
        bar = _Bar(number, len(plan), key, arguments.seconds)
        done[key] = _one(case, key, arguments, bar)
        bar.end(done[key])
        results.write(arguments.out, done, described)
        arguments.out.with_suffix(".md").write_text(report.markdown(done))
        arguments.out.with_suffix(".html").write_text(report.page(done, machine.in_one_line(described)))
    print(report.markdown({key: done[key] for key, _ in plan}), end="")
    print(f"graphs: {arguments.out.with_suffix('.html')}", file=sys.stderr)
    failed = [key for key, _ in plan if done[key].get("error")]
    missed = [key for key, _ in plan if done[key].get("misses")]
    return 1 if failed or (arguments.strict and missed) else 0


def _press(arguments: argparse.Namespace) -> int:
    """The figures on stdout as a line of JSON; nothing is written to --out."""
    bar = _Bar(1, 1, "presses", 4.0 * arguments.presses)
    directory = Path(tempfile.mkdtemp(prefix="live-"))
    try:
        made = asyncio.run(presses(arguments.presses, directory, bar.tell))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(json.dumps(made))
    return 1 if arguments.strict and made["p95_s"] > CEILING_S else 0


def _one(case: Case, key: str, arguments: argparse.Namespace, bar: _Bar) -> dict[str, Any]:
    """The figures of one case; why not, when it could not be played."""
    directory = Path(tempfile.mkdtemp(prefix="live-"))
    try:
        raw = asyncio.run(_bounded(case, key, arguments, directory, bar))
        (directory / "raw.json").write_text(json.dumps(raw))
        bar.tell("judging the voices")
        return figures.as_json(figures.figures(case, raw, *voices(raw, directory)))
    except Exception as error:
        traceback.print_exc()
        return {"title": case.title, "error": f"{type(error).__name__}: {error}"[:300]}
    finally:
        if arguments.keep is not None:
            shutil.copytree(directory, arguments.keep / key.replace("/", "-"), dirs_exist_ok=True, ignore=_no_sockets)
        shutil.rmtree(directory, ignore_errors=True)


async def _bounded(case: Case, key: str, arguments: argparse.Namespace, directory: Path, bar: _Bar) -> dict[str, Any]:
    async with asyncio.timeout(arguments.seconds + OVERHEAD_S):
        controller = not key.endswith("/off")
        return await play(case, arguments.seconds, arguments.seed, directory, bar.tell, controller=controller)


def _no_sockets(directory: str, names: list[str]) -> list[str]:
    return [name for name in names if not (Path(directory, name).is_file() or Path(directory, name).is_dir())]


class _Bar:
    """One line on stderr that is written over; without a terminal, one line when the case ends."""

    def __init__(self, number: int, of: int, key: str, seconds: float) -> None:
        left_s = (of - number + 1) * (seconds + 15)
        self._head = f"[{number}/{of}, {left_s / 60:.0f} min to go] {key}"
        self._terminal = sys.stderr.isatty()
        self._start_s = time.monotonic()

    def tell(self, what: str) -> None:
        if self._terminal:
            self._write(f"\r\033[K{self._head}: {what}"[:160])

    def end(self, result: dict[str, Any]) -> None:
        said = result.get("error") or "; ".join(result["misses"]) or "every goal met"
        took_s = time.monotonic() - self._start_s
        self._write(("\r\033[K" if self._terminal else "") + f"{self._head}: {said} ({took_s:.0f} s)\n")

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
