"""What a core or recorder finds on the disk or in tmpfs after a power cut, a worn card or somebody else's hands."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import msgspec

from tests.fuzz.target import Target, registry
from unitd.core.latch import Latch
from unitd.core.session import next_session, unsaved_session
from unitd.core.snapshot import Snapshot
from unitd.core.watched import WatchedStamp
from unitd.errors import StoreError
from unitd.evidence.canonical import canonical
from unitd.field.sms import LEDGER, SmsSender
from unitd.model import events as ev
from unitd.model.incident import Settings
from unitd.model.outputs import outputs
from unitd.model.step import rebooted, step
from unitd.store.boot import boot_of
from unitd.store.chain import Chain, first_break
from unitd.store.chain_read import hash_of, read_lines
from unitd.store.checkpoints import LOG_NAME, Checkpoint, append_checkpoint, last_checkpoint, read_checkpoints
from unitd.store.clock_truth import read_truths
from unitd.store.footage import find_footage
from unitd.store.last_seen import read_last_seen
from unitd.store.locks import Lock, read_locks
from unitd.store.outbox import Entry, Outbox, unsealed
from unitd.store.segment import SegmentKey, measure, read_header

NOW_NS = 1_000_000_000
SETTINGS = Settings()
INCIDENT = "22222222-2222-4222-8222-222222222222"
EVENTS: tuple[ev.Event, ...] = (
    ev.Tick(),
    ev.Pressed("q", INCIDENT, NOW_NS, 0, "unknown"),
    ev.BrokerAcked("q"),
    ev.AlarmReceived(("q",)),
    ev.Closed(INCIDENT, "Ann", "genuine", ""),
    ev.Tick(),
)
"""What happens to every core: whatever it found, a press must go its way."""
_MEMORY = Path("/dev/shm")
PLACE = Path(tempfile.mkdtemp(prefix="unitd-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None))
atexit.register(shutil.rmtree, PLACE, ignore_errors=True)


def _with_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    """`read` of a fresh directory that holds the input as `name`; only that directory is emptied afterwards."""
    base = PLACE / name.replace("/", "_")
    file = base / name

    def one(data: bytes) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        try:
            read(base)
        finally:
            shutil.rmtree(base, ignore_errors=True)

    return one


def _outbox(base: Path) -> None:
    found = Outbox(base).open()
    assert len(found.entries) + len(found.unreadable) == 1
    assert Outbox(base).open().entries == found.entries, "a second look finds another thing"


def _entry(data: bytes) -> None:
    """The inside of a seal that is right: what the checksum does not catch."""
    import zlib

    content = b'{"crc32":"%08x","entry":%s}' % (zlib.crc32(data), data)
    with contextlib.suppress(ValueError, RecursionError):
        assert isinstance(unsealed(content, "p"), Entry)


def _latch(base: Path) -> None:
    latch = Latch(base)
    latch.pending("b")
    assert Latch(base).pending("b") == latch.pending("b")


def _boot(base: Path) -> None:
    boot = boot_of(base, "this-boot")
    assert boot.boot >= 1
    assert boot_of(base, "this-boot") == boot
    assert boot_of(base, "next-boot").boot > boot.boot
    key = SegmentKey(boot.boot + 1, 1)
    assert SegmentKey.parse(key.file_name) == key, "what this boot films would not be found"


def _session(base: Path) -> None:
    """Whatever the counter says: no start gets a number twice, in this boot or the next."""
    seen = [next_session(base / "run", base / "state", boot) for boot in ("a", "a", "b")]
    seen.append(unsaved_session(base / "run", "b"))
    seen.append(next_session(base / "run", base / "state", "b"))
    assert len(set(seen)) == len(seen)
    msgspec.json.encode(seen)


def _locks(base: Path) -> None:
    locks = read_locks(base)
    assert len(locks.locks) + len(locks.unreadable) == 1
    locks.cover(1, 2, 3)
    for lock in locks.locks:
        with contextlib.suppress(StoreError):
            locks.named(lock.incident_id[:3])


def _state(base: Path) -> None:
    """What a successor makes of a snapshot: the state is used as core uses it at its start."""
    snapshot = Snapshot(base / "run", base, MagicMock(), MagicMock())
    state = snapshot.load_durable()
    if state is not None:
        for taken in (rebooted(state, 3, NOW_NS), rebooted(state, state.boot, 0)):
            outputs(taken, NOW_NS, SETTINGS)
            for event in EVENTS:
                taken = step(taken, event, NOW_NS, SETTINGS)
                outputs(taken, NOW_NS, SETTINGS)
            msgspec.json.encode(taken)


def _chain(base: Path) -> None:
    path = base / "record.chain"
    chain = Chain(path)
    chain.open()
    chain.append("segment", 1, file="x")
    chain.close()
    first_break(path)
    again = Chain(path)
    again.append("segment", 1)
    assert again.recent()[-1]["file"] == "x"
    again.close()
    read = list(read_lines(path))
    assert b"".join(line.raw for line in read) == path.read_bytes(), "a line is kept as it stands"
    assert read[-1].record["prev"] == hash_of(read[-2].raw)


def _checkpoints(base: Path) -> None:
    """Whatever is there: the next one is found, and nothing else becomes it."""
    before = list(read_checkpoints(base))
    last_checkpoint(base)
    body = canonical(
        Checkpoint(unit="u", n=7, prev="0" * 64, boot=1, boot_id="b", mono_ns=1, utc_us=1, clock="held", heads={})
    )
    append_checkpoint(base, body, bytes(64))
    after = list(read_checkpoints(base))
    assert after[:-1] == before and after[-1].body == body
    newest, heads = last_checkpoint(base)
    assert newest == after[-1]
    msgspec.json.encode(heads)


def _segment(base: Path) -> None:
    path = base / "000003-00000001.mp4"
    extent = measure(path)
    assert 0 <= extent.whole_bytes <= path.stat().st_size
    with contextlib.suppress(StoreError):
        read_header(path)
    lock = Lock(incident_id="x", from_boot=1, from_mono_ns=0)
    find_footage(base, lock)


def _watched(base: Path) -> None:
    """A successor reads its predecessor's word, leaves its own, and says again and again that it watches."""
    for _ in range(2):
        stamp = WatchedStamp(base, NOW_NS)
        if stamp.before is not None:
            msgspec.json.encode(stamp.before)
        stamp.armed(NOW_NS, True, "cable cut: no edge")
        stamp.watched(NOW_NS + 1)
        stamp.close()
    assert WatchedStamp(base, NOW_NS + 2).before is not None


def _truths(base: Path) -> None:
    found = read_truths(base)
    msgspec.json.encode(found)
    for truth_us in found.values():
        msgspec.json.encode(NOW_NS // 1000 + truth_us)


def _ledger(base: Path) -> None:
    sender = SmsSender(MagicMock(), lambda *_: None, MagicMock(), base)
    sender._write()
    assert SmsSender(MagicMock(), lambda *_: None, MagicMock(), base)._queue.sent_ids == sender._queue.sent_ids


TARGETS = registry(
    Target("watched", _with_file("watched", _watched), (b"watched1", b"\xff\xff\xff\x7f"), 64, 0.3),
    Target(
        "clock-truth", _with_file("core.chain", _truths), (b'"true_offset_us"', b'"kind":"clock"', b"\n"), share=0.5
    ),
    Target(
        "checkpoints", _with_file(LOG_NAME, _checkpoints), (b'"body":"', b'"sig":"', b'\\"heads\\":{', b"\n"), share=0.3
    ),
    Target("sms-ledger", _with_file(LEDGER, _ledger), (b'["id",7]', b"null"), share=0.3),
    Target("outbox", _with_file("p.json", _outbox), (b'"crc32"', b'"entry"'), share=0.5),
    Target("entry", _entry, (b'"press_id":"p"', b'"kind":"panic"', b'"boot"')),
    Target("latch", _with_file("latch/p.json", _latch), (b'"boot_id":"b"', b'"mono_ns"'), share=0.5),
    Target("boot", _with_file("boot.json", _boot), (b'"boot"', b'"boot_id"'), share=0.3),
    Target("session", _with_file("state/core/session.json", _session), (b'"session"',), share=0.3),
    Target("last-seen", _with_file("last-seen.json", read_last_seen), (b'"utc_s"',), share=0.5),
    Target("locks", _with_file("locks/x.json", _locks), (b'"from_boot"', b'"to_mono_ns"', b'"incident_id"'), share=0.5),
    Target("core-state", _with_file("core/state.json", _state), (b'"incidents"', b'"stage"', b'"presses"'), 8192, 0.5),
    Target(
        "chain", _with_file("record.chain", _chain), (b'"n"', b'"prev"', b"\n", b'{"n":null}\n', b"[]\n"), share=0.3
    ),
    Target(
        "segment",
        _with_file("000003-00000001.mp4", _segment),
        (b"ftyp", b"uuid", b"moof", b"traf", b"tfdt", b"tfhd", b"trun", b"mdat", b"\0\0\0\x08", b"\xff\xff\xff\xff"),
        16_384,
        0.5,
    ),
)
