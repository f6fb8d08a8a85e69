"""Letters and keys: what a far end types, and what a program on the panel's socket sends."""

from __future__ import annotations

import msgspec

from tests.fuzz.target import Target, registry
from unitd.call.text import panel
from unitd.call.text.t140 import ERASE, LOST, MAX_LINE, NEW_LINE, Writing


def t140(data: bytes) -> None:
    """Two readers of the same letters agree, whatever comes, and nothing grows."""
    here, there = Writing(), Writing()
    text = _text(data)
    for at in range(0, len(text), 7):
        taken = here.take(text[at : at + 7])
        assert there.take(taken.letters) == taken
        assert here.open == there.open and len(here.open) < MAX_LINE
        taken.letters.encode()


def _text(data: bytes) -> str:
    """Halves of pairs too: JSON may bring them."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeError:
        return data.decode("latin-1")


def keys(data: bytes) -> None:
    """A line that is no message is refused as one: by nothing else."""
    for line in data.split(b"\n"):
        try:
            message = panel.read(line)
        except panel.REFUSED:
            continue
        assert msgspec.json.encode(message)


TARGETS = registry(
    Target("t140", t140, tuple(word.encode() for word in (ERASE, NEW_LINE, LOST, "\r\n", "\ufeff", "\u202e"))),
    Target("panel", keys, (b'"type":"typed"', b'"type":"quick"', b'"t140":', b'"n":', b"\\u0008", b"\n")),
)
