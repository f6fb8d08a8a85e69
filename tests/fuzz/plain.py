"""Fuzzing without a coverage-guided engine: seeded changes of the corpus. It runs wherever Python runs.

An input that raises, takes longer than LONGEST_S or needs memory beyond MEMORY_BYTES is a finding.
"""

from __future__ import annotations

import contextlib
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests.fuzz.mutate import mutate
from tests.fuzz.target import Target

LONGEST_S = 2.0
"""No input is longer than some kilobytes: what takes this long would let a flood keep a loop from a press."""
MEMORY_BYTES = 512 * 1024 * 1024
"""All inputs of one run together may need so much more than the process had before them."""
KEPT = 200


class TooLongError(Exception):
    """An input kept the parser busy for LONGEST_S."""


@dataclass(frozen=True)
class Finding:
    """`data` made `target` raise `error`."""

    target: str
    data: bytes
    error: BaseException


@contextlib.contextmanager
def memory_ceiling(extra_bytes: int) -> Iterator[None]:
    """No more than so much address space on top of what the process has: beyond, MemoryError."""
    now_bytes = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now_bytes + extra_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TooLongError(f"busy for more than {LONGEST_S:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def try_one(target: Target, data: bytes) -> Finding | None:
    """Whether this input is a finding. Only in the main thread, within `_watched`."""
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    try:
        target.one(data)
    except Exception as error:
        return Finding(target.name, data, error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def corpus_findings(target: Target) -> list[Finding]:
    """The seeds and all that was once a finding, as they are."""
    with _watched():
        return [found for data in target.seeds() if (found := try_one(target, data)) is not None]


def fuzz(target: Target, inputs: int, seed: int, done: Callable[[int], object] = lambda _: None) -> Finding | None:
    """`inputs` changed inputs; the first finding ends it. The same seed makes the same inputs."""
    chance = random.Random(f"{seed}/{target.name}")
    pool = [b"", *target.seeds()]
    fixed = len(pool)
    told, told_s = 0, time.monotonic()
    with _watched(), memory_ceiling(MEMORY_BYTES):
        for number in range(inputs):
            data = mutate(chance.choice(pool), chance, target.words, chance.choice(pool), target.max_bytes)
            found = try_one(target, data)
            if found is not None:
                return found
            if chance.random() < 0.02:  # some changes are changed again
                if len(pool) - fixed < KEPT:
                    pool.append(data)
                else:
                    pool[fixed + chance.randrange(KEPT)] = data
            if number % 64 == 0 and time.monotonic() - told_s > 0.2:
                done(number - told)
                told, told_s = number, time.monotonic()
    done(inputs - told)
    return None
