"""Fuzz every parser of outside bytes: python3 -m tests.fuzz [--inputs N] [--target NAME] [--seed S] [--engine E]

`guided` is atheris, where it is installed (wheels for x86_64 and Python 3.11 to 3.13); `plain` changes the corpus by
chance and runs anywhere. A finding is written into build/fuzz/, and the exit status is 1; what mends it puts the file
into tests/fuzz/corpus/<target>/, where every test run tries it again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import re
import subprocess
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from tests.fuzz import plain
from tests.fuzz.target import CORPUS, Target
from tests.fuzz.targets import ALL

FOUND = Path("build/fuzz")
MEMORY_MB = 1024
_PULSE = re.compile(rb"^#(\d+)\s.*?cov: (\d+)", re.MULTILINE)


@dataclass
class Result:
    """One target's run: `coverage` is libFuzzer's count of edges in unitd's code, None for the plain engine."""

    target: str
    inputs: int
    seconds: float
    coverage: int | None
    finding: str = ""


def parts(targets: list[Target], inputs: int) -> dict[str, int]:
    """How many inputs each target gets, by share; `inputs` in all, and each at least one."""
    whole = sum(target.share for target in targets)
    made = {target.name: max(1, int(inputs * target.share / whole)) for target in targets}
    made[targets[0].name] += max(0, inputs - sum(made.values()))
    return made


def run_plain(target: Target, inputs: int, seed: int, bar: tqdm) -> Result:  # type: ignore[type-arg]
    started = time.monotonic()
    found = next(iter(plain.corpus_findings(target)), None) or plain.fuzz(target, inputs, seed, bar.update)
    result = Result(target.name, inputs, time.monotonic() - started, None)
    if found is not None:
        file = FOUND / f"{target.name}-{abs(hash(found.data)):x}"
        file.write_bytes(found.data)
        result.finding = f"{file}: {''.join(traceback.format_exception(found.error))}"
    return result


def run_guided(target: Target, inputs: int, seed: int, bar: tqdm) -> Result:  # type: ignore[type-arg]
    """In a process of its own; its words are kept in build/fuzz/<target>.log."""
    started = time.monotonic()
    words = FOUND / f"{target.name}.words"
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in target.words if word))
    grown = FOUND / f"{target.name}.corpus"
    grown.mkdir(exist_ok=True)
    options = [
        f"-runs={inputs}",
        f"-seed={seed % 2**32 or 1}",
        f"-max_len={target.max_bytes}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-timeout={int(plain.LONGEST_S) + 3}",
        f"-dict={words}",
        f"-artifact_prefix={FOUND}/{target.name}-",
        "-print_final_stats=1",
        "-report_slow_units=2",
        str(grown),
        str(CORPUS / target.name),
    ]
    log = FOUND / f"{target.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.guided", target.name, *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    shown = done = 0
    try:
        while process.poll() is None:
            time.sleep(0.2)
            done, _ = _progress(log)
            bar.update(min(done, inputs) - shown)
            shown = min(done, inputs)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    text = log.read_bytes()
    units = re.search(rb"stat::number_of_executed_units: (\d+)", text)
    result = Result(target.name, int(units[1]) if units else done, time.monotonic() - started, _progress(log)[1])
    bar.update(inputs - shown)
    if process.returncode != 0 or units is None or result.inputs < inputs:
        result.finding = text[max(text.rfind(b"\n ==="), text.rfind(b"\n==="), len(text) - 4000) :].decode(
            "utf-8", "replace"
        )
    return result


def _progress(log: Path) -> tuple[int, int]:
    pulses = _PULSE.findall(log.read_bytes())
    return (int(pulses[-1][0]), int(pulses[-1][1])) if pulses else (0, 0)


def _engine() -> str:
    """The better one of those that work here."""
    try:
        importlib.import_module("atheris")
    except ImportError:
        return "plain"
    return "guided"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all (default a million)")
    parser.add_argument("--target", action="append", choices=sorted(ALL), default=[], help="only this one (repeat it)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--engine", choices=("guided", "plain"), help="default: guided where atheris is installed")
    arguments = parser.parse_args()
    guided = arguments.engine or _engine()
    targets = [ALL[name] for name in arguments.target or ALL]
    FOUND.mkdir(parents=True, exist_ok=True)
    print(f"{guided} engine, seed {arguments.seed}, {arguments.inputs} inputs", flush=True)
    results = []
    with tqdm(total=arguments.inputs, unit="input", unit_scale=True, disable=None) as bar:
        for target in targets:
            bar.set_description(target.name)
            run = run_guided if guided == "guided" else run_plain
            result = run(target, parts(targets, arguments.inputs)[target.name], arguments.seed, bar)
            results.append(result)
            cover = "" if result.coverage is None else f", {result.coverage} edges"
            with tqdm.external_write_mode():
                print(f"{result.target:<14} {result.inputs:>8} inputs in {result.seconds:5.1f} s{cover}", flush=True)
                if result.finding:
                    print(f"FINDING in {result.target}:\n{result.finding}", flush=True)
    (FOUND / "results.json").write_text(json.dumps([asdict(each) for each in results], indent=1), encoding="utf-8")
    found = [each.target for each in results if each.finding]
    total = sum(each.inputs for each in results)
    print(f"{total} inputs, {len(found)} finding(s){': ' + ', '.join(found) if found else ''}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
