"""Inputs made from inputs: bytes turned, cut, doubled and joined, JSON changed as JSON. Pure for a given `chance`."""

from __future__ import annotations

import json
import random
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    255,
    2**31,
    -(2**31),
    2**53,
    2**63,
    2**64,
    10**30,
    0.5,
    -0.0,
    1e308,
    -1e308,
    "",
    "x",
    "\x00",
    "ü",
    "\ud800",
    "../../x",
    "a" * 300,
    "1",
    "null",
    [],
    [None],
    {},
    [[[[]]]],
    {"": {}},
    "11111111-1111-4111-8111-111111111111",
)
ODD_NUMBERS = (
    b"0",
    b"-1",
    b"65535",
    b"4294967296",
    b"9223372036854775808",
    b"1e999",
    b"99999999999999999999999",
    b"NaN",
)
STRUCTURED = 0.5
"""Of the inputs that are JSON so many are changed as JSON; the rest as bytes."""


def mutate(data: bytes, chance: random.Random, words: tuple[bytes, ...], other: bytes, max_bytes: int) -> bytes:
    """A changed `data`, at most `max_bytes` long; `other` is another input to take pieces from. Never raises."""
    if data[:1] in b"{[" and chance.random() < STRUCTURED and (changed := _as_json(data, chance)) is not None:
        data = changed
        if chance.random() < 0.8:
            return data[:max_bytes]
    for _ in range(1 << chance.randrange(4)):
        data = _as_bytes(data, chance, words, other)
    return data[:max_bytes]


def _as_bytes(data: bytes, chance: random.Random, words: tuple[bytes, ...], other: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    to = min(len(data), at + 1 + int(chance.expovariate(1 / 8)))
    match chance.randrange(9):
        case 0:
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at] + chance.randbytes(1 + int(chance.expovariate(1 / 4))) + data[at:]
        case 2:
            return data[:at] + data[to:]
        case 3:
            return data[:at] + data[at:to] * (2 + int(chance.expovariate(1 / 3))) + data[to:]
        case 4:
            piece = chance.randrange(len(other) + 1)
            return data[:at] + other[piece : piece + 1 + int(chance.expovariate(1 / 32))] + data[to:]
        case 5:
            return data[:at] + chance.choice(words or ODD_NUMBERS) + data[at if chance.random() < 0.5 else to :]
        case 6:
            return data[:at]
        case 7 if at < len(data):
            return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        case _:
            return data[:at] + chance.choice(ODD_NUMBERS) + data[to:]


def _as_json(data: bytes, chance: random.Random) -> bytes | None:
    line, newline, rest = data.partition(b"\n")
    try:
        tree = json.loads(line)
    except (ValueError, RecursionError):
        return None
    for _ in range(1 + chance.randrange(3)):
        tree = _changed(tree, chance, 0)
    try:
        return (
            json.dumps(tree, ensure_ascii=chance.random() < 0.5, separators=(",", ":")).encode("utf-8", "surrogatepass")
            + newline
            + rest
        )
    except (ValueError, RecursionError):
        return None


def _changed(tree: Any, chance: random.Random, depth: int) -> Any:
    """One place of the tree is another value, is gone, or is there under another name."""
    if isinstance(tree, dict) and tree and depth < 8 and chance.random() < 0.85:
        key = chance.choice(list(tree))
        made = dict(tree)
        match chance.randrange(6):
            case 0:
                del made[key]
            case 1:
                made[key + chance.choice(("x", "", "_s"))] = made.pop(key)
            case 2:
                made[key] = made[chance.choice(list(tree))]
            case _:
                made[key] = _changed(tree[key], chance, depth + 1)
        return made
    if isinstance(tree, list) and tree and depth < 8 and chance.random() < 0.85:
        at = chance.randrange(len(tree))
        if chance.random() < 0.3:
            return tree[:at] + tree[at : at + 1] * chance.choice((0, 2, 70)) + tree[at + 1 :]
        return [*tree[:at], _changed(tree[at], chance, depth + 1), *tree[at + 1 :]]
    if isinstance(tree, int) and not isinstance(tree, bool) and chance.random() < 0.5:
        return tree + chance.choice((-1, 1, 1000, -tree, 2**63 - tree))
    if isinstance(tree, str) and tree and chance.random() < 0.4:
        at = chance.randrange(len(tree))
        return tree[:at] + chance.choice(("", "\x00", '"', "\u2028", "A", "\ud800")) + tree[at + 1 :]
    return chance.choice(ODD_VALUES)
