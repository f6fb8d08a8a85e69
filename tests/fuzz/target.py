"""What a fuzz target is: one parser of outside bytes, and the files that its inputs grow from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Target:
    """`one` takes any bytes and returns; whatever it raises is a finding. It must not keep what it is given.

    `words` are pieces that the format is made of. `share` weighs its part of the inputs: slow ones get fewer.
    """

    name: str
    one: Callable[[bytes], object]
    words: tuple[bytes, ...] = ()
    max_bytes: int = 4096
    share: float = 1.0

    def seeds(self) -> list[bytes]:
        """Real messages, and inputs that once were findings, in the order of their names."""
        return [file.read_bytes() for file in sorted((CORPUS / self.name).iterdir())]


def registry(*targets: Target) -> dict[str, Target]:
    return {target.name: target for target in targets}
