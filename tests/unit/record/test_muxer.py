"""Segments are playable MP4 from the first fragment on, however they end."""

import json
import subprocess
from pathlib import Path

from tests.unit.record.samples import FPS, INFO, units
from unitd.record.muxer import FragmentMuxer
from unitd.store.segment import SegmentHeader, header_box, measure, read_header

HEADER = SegmentHeader(
    unit="pole-0001",
    camera="dome",
    boot_id="b",
    boot=3,
    seq=7,
    mono_ns=5,
    utc_us=6,
    clock="unknown",
    session=1,
    pts_90khz=12_345,
)


def pictures(path: Path) -> int:
    """How many pictures ffprobe decodes."""
    out = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "json", str(path)],
        check=True,
        capture_output=True,
    ).stdout
    return int(json.loads(out)["streams"][0]["nb_read_frames"])


def test_a_whole_segment_plays_to_the_last_picture_and_says_what_it_is(tmp_path: Path) -> None:
    muxer = FragmentMuxer(INFO, 500, header_box(HEADER))
    path = tmp_path / "000003-00000007.mp4"
    path.write_bytes(b"".join(muxer.add(unit) for unit in units(3 * FPS)) + muxer.finish())
    assert pictures(path) == 3 * FPS
    assert read_header(path) == HEADER
    extent = measure(path)
    assert extent.torn_bytes == 0
    assert extent.fragments == 6
    assert extent.duration_90khz == 3 * 90_000


def test_bytes_come_in_whole_fragments_of_the_configured_length() -> None:
    muxer = FragmentMuxer(INFO, 500, header_box(HEADER))
    written = [muxer.add(unit) for unit in units(2 * FPS)]
    assert [index for index, data in enumerate(written) if data] == [0, 10, 20, 30]
    assert all(data[4:8] == b"moof" for data in written[1:] if data)


def test_a_segment_cut_anywhere_plays_up_to_its_last_whole_fragment(tmp_path: Path) -> None:
    muxer = FragmentMuxer(INFO, 500, header_box(HEADER))
    whole = b"".join(muxer.add(unit) for unit in units(2 * FPS)) + muxer.finish()
    first_fragments = whole[: whole.rindex(b"moof") - 4]
    path = tmp_path / "cut.mp4"
    for cut in (len(first_fragments), len(first_fragments) + 4, len(first_fragments) + 2000, len(whole) - 1):
        path.write_bytes(whole[:cut])
        extent = measure(path)
        assert extent.whole_bytes == len(first_fragments)
        assert extent.torn_bytes == cut - len(first_fragments)
        assert extent.duration_90khz == 90_000 * 3 // 2
        assert pictures(path) >= 3 * FPS // 2
