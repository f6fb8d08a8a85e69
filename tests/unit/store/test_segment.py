"""A segment whose boxes are damaged is measured for what is whole, and stops neither eviction nor export."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.make_corpus import segment
from unitd.store.segment import Extent, measure


def measured(place: Path, content: bytes) -> Extent:
    file = place / "000003-00000001.mp4"
    file.write_bytes(content)
    return measure(file)


def test_a_whole_segment(tmp_path: Path) -> None:
    content = segment()
    assert measured(tmp_path, content) == Extent(99_000, len(content), 0, 1)


@pytest.mark.parametrize(
    ("sound", "damaged"),
    [
        (b"tfhd\x00\x02\x00\x08", b"tfhd\x00\xff\xff\xff"),
        (b"\x00\x00\x00\x14tfdt", b"\x00\x00\x00\x08tfdt"),
        (b"trun\x00\x00\x07\x01\x00\x00\x00\x02", b"trun\x00\x00\x07\x01\xff\xff\xff\xff"),
        (b"trun", b"tr\x00n"),
        (b"traf", b"xxxx"),
    ],
)
def test_a_damaged_fragment_hides_no_later_one(tmp_path: Path, sound: bytes, damaged: bytes) -> None:
    whole = segment()
    fragment = whole[whole.index(b"moof") - 4 :]
    content = whole.replace(sound, damaged, 1) + fragment
    assert sound in whole
    extent = measured(tmp_path, content)
    assert (extent.duration_90khz, extent.whole_bytes, extent.fragments) == (99_000, len(content), 2)
