"""The index and the searches in it, held against a plain list; and a ring of some thousands at a start."""

import random
import time
from array import array
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tests.unit.store.ring_files import SECOND_NS, RingRig, write_lock, write_segment
from unitd.store import index as index_module
from unitd.store.boot import Boot
from unitd.store.headers import LockSpan, covered, last_old
from unitd.store.index import Index, file_name, in_order_of_going, list_names, list_streams, packed, unpacked
from unitd.store.locks import Lock
from unitd.store.segment import SegmentKey


def key(boot: int, seq: int) -> int:
    number = packed(SegmentKey(boot, seq))
    assert number is not None
    return number


def test_names_are_listed_in_order_and_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    keys = [(1, 3), (1, 1), (2, 90_000_000), (2, 7), (1_000_001, 1), (12_345_678, 2), (3, 123_456_789)]
    for boot, seq in keys:
        (tmp_path / SegmentKey(boot, seq).file_name).touch()
    for name in (
        "1-1.mp4",
        "000001-00000002.mp4.part",
        "x.mp4",
        ".reserve",
        "9999999999-00000001.mp4",
        "٠00001-00000001.mp4",
    ):
        (tmp_path / name).touch()
    assert [(each.boot, each.seq) for each in map(unpacked, list_names(tmp_path))] == sorted(keys)
    assert [file_name(key(boot, seq)) for boot, seq in keys] == [SegmentKey(*each).file_name for each in keys]
    assert len(list_names(tmp_path / "none")) == 0


def test_streams_are_directories_named_like_cameras(tmp_path: Path) -> None:
    for name in ("dome", "audio", "lost+found", ".stills", "Bin"):
        (tmp_path / name).mkdir()
    (tmp_path / "record.chain").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("dome")
    assert list_streams(tmp_path) == ["audio", "dome"]
    assert list_streams(tmp_path / "none") == []


def test_totals_follow_whatever_is_added_removed_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "SIZED_AT_ONCE", 3)
    random_ = random.Random(4)
    index, directory = Index(tmp_path), tmp_path / "dome"
    directory.mkdir()
    there: dict[int, int] = {}
    for step in range(300):
        number = key(random_.randint(1, 3), random_.randint(1, 30))
        path = directory / file_name(number)
        what = random_.choice(("write", "write", "remove", "vanish", "list", "measure"))
        if what == "write":
            there[number] = random_.randint(1, 500)
            path.write_bytes(b"x" * there[number])
            index.added("dome", number)
            index.written("dome", number)
            index.measure_written()
        elif what == "remove" and number in there:
            path.unlink()
            index.removed("dome", number)
            del there[number]
        elif what == "vanish" and number in there:
            path.unlink()
            del there[number]
            index.measure("dome")
        elif what == "list":
            index.list_stream("dome", None)
            index.measure("dome")
        assert index.total_bytes("dome") == sum(there.values()), f"step {step}: {what}"
        assert list(index.keys("dome")) == sorted(there)
        low, high = sorted((key(1, random_.randint(0, 31)), key(3, random_.randint(0, 31))))
        assert index.bytes_between("dome", low, high) == sum(v for k, v in there.items() if low <= k <= high)
        assert index.first("dome") == min(there, default=None)


def test_what_a_writer_is_just_making_is_not_listed_before_it_says_so(tmp_path: Path) -> None:
    index = Index(tmp_path)
    for boot, seq in ((1, 1), (2, 1), (2, 2), (2, 3), (57, 1)):
        write_segment(tmp_path, "dome", boot, seq, 0)
    index.added("dome", key(2, 3))
    index.list_stream("dome", key(2, 2))
    assert [(each.boot, each.seq) for each in map(unpacked, index.keys("dome"))] == [(1, 1), (2, 1), (2, 3), (57, 1)]


def test_footage_of_higher_boots_goes_first() -> None:
    keys = array("Q", [key(1, 1), key(2, 1), key(2, 2), key(3, 1), key(9, 1)])
    assert in_order_of_going(keys, 2) == (keys[3:], keys[:3])
    assert in_order_of_going(keys, 9) == (array("Q"), keys)


def test_what_a_lock_covers_is_found_by_a_few_headers() -> None:
    """Never too few, and never more than one beside what a look at every segment finds; some headers are torn."""
    random_ = random.Random(7)
    for _ in range(400):
        keys, starts = array("Q"), dict[int, int | None]()
        for boot in range(1, random_.randint(2, 5)):
            at = random_.randint(0, 50)
            for seq in range(1, random_.randint(1, 12)):
                keys.append(key(boot, seq))
                starts[keys[-1]] = at if random_.random() < 0.8 else None
                at += random_.randint(10, 12)
        ends = sorted((random_.randint(1, 5), random_.randint(-5, 160)) for _ in range(2))
        open_ = random_.random() < 0.3
        span = LockSpan(*ends[0], *((None, None) if open_ else ends[1]))
        lock = Lock(
            incident_id="i", from_boot=span.from_boot, from_mono_ns=span.from_mono_ns, to_boot=span.to_boot,
            to_mono_ns=span.to_mono_ns,
        )  # fmt: skip
        first, end = covered(keys, span, starts.__getitem__)
        wanted = {
            place for place, each in enumerate(keys)
            if (start := starts[each]) is not None and lock.overlaps(each >> 32, start, start + 10)
        }  # fmt: skip
        found = {place for place in range(first, end) if starts[keys[place]] is not None}
        assert wanted <= found
        assert len(found - wanted) <= 1


def test_what_is_too_old_is_found_by_a_few_headers() -> None:
    random_ = random.Random(8)
    for _ in range(400):
        keys, times, now = array("Q"), dict[int, int | None](), 0
        for boot in range(1, random_.randint(2, 6)):
            unknown_until, count = random_.choice((0, 3, 99)), random_.randint(1, 12)
            for seq in range(1, count):
                keys.append(key(boot, seq))
                now += random_.randint(1, 9)
                times[keys[-1]] = now if seq > unknown_until else None
        before = random_.randint(0, 250)
        old = [place for place, each in enumerate(keys) if (t := times[each]) is not None and t < before]
        assert last_old(keys, 0, len(keys), before, times.__getitem__) == (old[-1] if old else None)


def test_some_thousands_are_indexed_while_the_first_picture_is_written(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = RingRig(tmp_path, mocker, capacity=10_000)
    for camera in ("dome", "door", "panel"):
        rig.add(camera, 1, range(1, 1001), every_s=10)
        rig.chained(camera, 1, range(1, 1001))
    for number in range(20):
        write_lock(rig.state, f"i{number}", (1, number * 400 * SECOND_NS), (1, (number * 400 + 60) * SECOND_NS))
    list_dir = mocker.spy(index_module, "list_names")
    assert rig.ring.next_key("dome", Boot("now", 2)) == SegmentKey(2, 1)
    assert list_dir.call_count == 0, "the first name needs no listing"
    began = time.monotonic()
    assert rig.ring.make_room(rig.boot).recovered == ()
    assert time.monotonic() - began < 5.0
    standing = rig.ring.standing()
    assert standing.incidents == 20
    assert standing.locked_bytes == pytest.approx(20 * 3 * 7 * rig.size, rel=0.06)
    assert standing.unlocked_bytes + standing.locked_bytes == pytest.approx(3000 * rig.size, rel=0.01)
    listed = list_dir.call_count
    for _ in range(20):
        rig.ring.make_room(rig.boot)
    assert list_dir.call_count == listed == 3, "no directory is listed again"
