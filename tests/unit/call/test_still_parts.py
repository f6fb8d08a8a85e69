"""A still on its data channel: in parts and back together, whatever arrives."""

import random

import pytest

from unitd.call.picture.still_parts import HEADER, MAX_PARTS, PART_BYTES, Caption, Still, StillReader, parts_of
from unitd.errors import WireError

CAPTION = Caption(camera="dome", at_utc_us=1_700_000_000_000_000, width=480, height=270)


def still(size: int) -> Still:
    return Still(CAPTION, random.Random(size).randbytes(size))


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 70, PART_BYTES, 12_000, 44 * 1024])
def test_what_is_taken_apart_comes_back_together(size: int) -> None:
    parts = parts_of(7, still(size))
    assert all(len(part) <= PART_BYTES + HEADER.size for part in parts)
    reader = StillReader()
    taken = [reader.take(part) for part in parts]
    assert taken[:-1] == [None] * (len(parts) - 1)
    assert taken[-1] == still(size)
    assert reader.lost == 0


def test_order_does_not_matter_and_a_still_with_a_hole_is_given_up_for_the_next() -> None:
    reader = StillReader()
    first, second = parts_of(1, still(5000)), parts_of(2, still(3000))
    assert [reader.take(part) for part in first[:-1]] == [None] * (len(first) - 1)
    assert [each for each in map(reader.take, reversed(second)) if each is not None] == [still(3000)]
    assert reader.lost == 1


def test_one_that_is_too_large_is_refused() -> None:
    with pytest.raises(WireError, match="at most"):
        parts_of(1, still(MAX_PARTS * PART_BYTES))


@pytest.mark.parametrize(
    "message",
    [b"", b"1234567", HEADER.pack(1, 0, 1), HEADER.pack(1, 0, 0) + b"x", HEADER.pack(1, 3, 2) + b"x",
     HEADER.pack(1, 0, 65535) + b"x", HEADER.pack(1, 0, 1) + b"x" * 20_000, HEADER.pack(1, 0, 1) + b"x",
     HEADER.pack(1, 0, 1) + b"\x00\x05nope!", HEADER.pack(1, 0, 1) + b"\xff\xff{}"],
)  # fmt: skip
def test_nonsense_is_refused_and_nothing_else_is_raised(message: bytes) -> None:
    with pytest.raises(WireError):
        StillReader().take(message)
