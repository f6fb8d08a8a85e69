"""`make simulate SEEDS=N SEED_START=K`: run pole-days in virtual time, one process for each core of the machine.

`--seed K` runs one and shows every step of it with `--verbose`. Exit status 0 only if no seed broke a requirement. A
seed that did runs again the very same way; its command is printed.
"""

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from tests.simulate.day import Outcome

HASH_SEED = "0"
"""Sets of text are walked in the same order in every run."""


def main() -> int:
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        os.environ["PYTHONHASHSEED"] = HASH_SEED
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulate", *sys.argv[1:]])
    gc.set_threshold(50_000, 20, 100)  # many objects that stay, few cycles: the collector need not look so often
    arguments = _arguments()
    if arguments.seed is not None:
        return _one(arguments)
    seeds = list(range(arguments.start, arguments.start + arguments.seeds))
    if not seeds:
        print("nothing to do: no seeds")
        return 0
    started_s = time.monotonic()
    outcomes: list[Outcome] = []
    processes = min(arguments.processes or os.cpu_count() or 1, len(seeds))
    bar = tqdm(total=len(seeds), unit="day", disable=not sys.stderr.isatty() and not arguments.progress)
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=50) as pool, bar:
        for outcome in pool.imap_unordered(partial(_run, hours=arguments.hours, plant=arguments.plant), seeds):
            outcomes.append(outcome)
            bar.update()
            if outcome.findings:
                bar.write(f"seed {outcome.seed}: {outcome.findings[0][:300]}", file=sys.stdout)
                if arguments.first:
                    pool.terminate()
                    break
    return _report(outcomes, time.monotonic() - started_s, arguments.hours)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many pole-days (default 20)")
    parser.add_argument("--start", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--verbose", action="store_true", help="with --seed: show every step")
    parser.add_argument("--hours", type=float, default=24.0, help="virtual hours of each (default 24)")
    parser.add_argument("--processes", type=int, default=0, help="default: one for each processor")
    parser.add_argument("--plant", help="break the product on purpose (tests/simulate/planted.py)")
    parser.add_argument("--first", action="store_true", help="stop at the first finding")
    parser.add_argument("--progress", action="store_true", help="the progress bar even without a terminal")
    return parser.parse_args()


def _run(seed: int, hours: float, plant: str | None) -> "Outcome":
    from tests.simulate.day import run_day
    from tests.simulate.planted import planted

    with planted(plant):
        return run_day(seed, hours * 3600)


def _one(arguments: argparse.Namespace) -> int:
    from tests.simulate.day import run_day
    from tests.simulate.planted import planted

    with planted(arguments.plant):
        outcome = run_day(arguments.seed, arguments.hours * 3600, print if arguments.verbose else None)
    return _report([outcome], outcome.cpu_s, arguments.hours)


def _report(outcomes: "list[Outcome]", took_s: float, hours: float) -> int:
    outcomes.sort(key=lambda each: each.seed)
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update(outcome.counts)
    for name in sorted(total):
        print(f"{total[name]:>9}  {name}")
    broken = [each for each in outcomes if each.findings]
    for outcome in broken[:10]:
        print(f"\nseed {outcome.seed} broke a requirement (trace {outcome.digest}):")
        for finding in outcome.findings[:6]:
            print(f"  {finding[:1500]}")
        more = f" --hours {hours:g}" if hours != 24 else ""
        print(f"  the same again: python -m tests.simulate --seed {outcome.seed}{more} --verbose")
    if len(outcomes) == 1:
        print(f"trace {outcomes[0].digest}")
    cpu_s = sum(each.cpu_s for each in outcomes)
    days = len(outcomes) * hours / 24
    print(f"\n{len(outcomes)} seeds, {days:g} pole-days in {took_s:.0f} s; {cpu_s / days:.2f} s of CPU for a pole-day; "
          f"{len(broken)} seeds with findings")  # fmt: skip
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
