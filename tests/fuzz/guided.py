"""One target under atheris (libFuzzer's coverage for Python): python3 -m tests.fuzz.guided TARGET libFuzzer-arguments

A process of its own, which ends with the run: libFuzzer calls exit. It prints libFuzzer's own lines on stderr.
"""

from __future__ import annotations

import importlib
import random
import sys

import atheris


def main() -> None:
    name, arguments = sys.argv[1], sys.argv[2:]
    with atheris.instrument_imports(include=["unitd"], enable_loader_override=False):
        targets = importlib.import_module("tests.fuzz.targets").ALL
    target = targets[name]
    mutate = importlib.import_module("tests.fuzz.mutate").mutate
    pool = target.seeds() or [b""]

    def changed(data: bytes, max_bytes: int, seed: int) -> bytes:
        """Ours, which knows JSON and the format's words, and libFuzzer's own in turn."""
        chance = random.Random(seed)
        if chance.random() < 0.5:
            return bytes(atheris.Mutate(data, max_bytes))
        return bytes(mutate(data, chance, target.words, chance.choice(pool), max_bytes))

    atheris.Setup([sys.argv[0], *arguments], target.one, custom_mutator=changed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
