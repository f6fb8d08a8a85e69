"""Which segments an incident needs, found among names of every kind."""

import errno
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from unitd.store.footage import find_footage, segment_names
from unitd.store.locks import Lock
from unitd.store.segment import SegmentHeader, SegmentKey, header_box

SECOND_NS = 1_000_000_000
FTYP = b"\0\0\0\x08ftyp"


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


_TFHD = _box(b"tfhd", struct.pack(">III", 0x8, 1, 10 * 90_000))
_TRUN = _box(b"trun", struct.pack(">II", 0, 1))
FRAGMENT = _box(b"moof", _box(b"traf", _TFHD + _box(b"tfdt", bytes(8)) + _TRUN)) + _box(b"mdat", b"")
"""One sample of ten seconds."""


def put(directory: Path, boot: int, seq: int, start_s: float) -> None:
    key = SegmentKey(boot, seq)
    header = SegmentHeader(
        unit="u", camera="dome", boot_id="b", boot=boot, seq=seq, mono_ns=int(start_s * SECOND_NS), utc_us=0,
        clock="unknown", session=1, pts_90khz=0,
    )  # fmt: skip
    (directory / key.file_name).write_bytes(FTYP + header_box(header) + FRAGMENT)


def test_a_file_that_cannot_be_read_costs_no_other(tmp_path: Path, mocker: MockerFixture) -> None:
    for seq in range(1, 10):
        put(tmp_path, 1, seq, 10.0 * seq)
    (tmp_path / "000001-00000010.mp4").mkdir()
    real = Path.open

    def opened(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.name in ("000001-00000005.mp4", "000001-00000003.mp4"):
            raise OSError(errno.EIO, "Input/output error")
        return real(path, *args, **kwargs)

    mocker.patch.object(Path, "open", autospec=True, side_effect=opened)
    lock = Lock(incident_id="i", from_boot=1, from_mono_ns=35 * SECOND_NS)
    found, unreadable = find_footage(tmp_path, lock)
    assert [SegmentKey.parse(each.path.name) for each in found] == [SegmentKey(1, seq) for seq in (4, 6, 7, 8, 9)]
    assert unreadable == ["000001-00000003.mp4", "000001-00000005.mp4", "000001-00000010.mp4"]


@pytest.mark.parametrize("seed", range(8))
def test_found_is_what_a_look_at_every_file_finds(seed: int, tmp_path: Path) -> None:
    chosen = random.Random(seed)
    boots = sorted(chosen.sample([1, 2, 3, 7, 999_999, 1_000_001, 2_000_001], 4))
    if seed % 2:
        boots = [boot for boot in boots if boot < 1_000_000]
    starts: list[tuple[int, int, float]] = []
    for boot in boots:
        for seq in range(1, chosen.randint(2, 12)):
            put(tmp_path, boot, seq, 100.0 + 10 * seq)
            starts.append((boot, seq, 100.0 + 10 * seq))
    for stranger in (".000001-00000001.mp4.tmp", "notes.txt", "000001-00000001.mp3"):
        (tmp_path / stranger).write_text("x")
    (tmp_path / f"{boots[0]:06d}-00000099.mp4").write_bytes(b"")
    assert [SegmentKey.parse(name) for name in segment_names(tmp_path) if name.endswith(".mp4")] == sorted(
        key for path in tmp_path.iterdir() if (key := SegmentKey.parse(path.name)) is not None
    )
    for _ in range(20):
        (begin, end) = sorted((chosen.choice(boots), chosen.uniform(90, 230)) for _ in range(2))
        lock = Lock(incident_id="i", from_boot=begin[0], from_mono_ns=int(begin[1] * SECOND_NS), to_boot=end[0],
                    to_mono_ns=int(end[1] * SECOND_NS))  # fmt: skip
        if chosen.random() < 0.2:
            lock = Lock(incident_id="i", from_boot=begin[0], from_mono_ns=int(begin[1] * SECOND_NS))
        wanted = [
            (boot, seq)
            for boot, seq, start in starts
            if lock.overlaps(boot, int(start * SECOND_NS), int((start + 10) * SECOND_NS))
        ]
        found, _ = find_footage(tmp_path, lock)
        assert [(item.header.boot, item.header.seq) for item in found] == wanted
