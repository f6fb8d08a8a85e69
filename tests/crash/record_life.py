"""One life of the recorder's disk side: the real writers of two streams, the ring and the chain, in lock-step.

The writers have their own threads, but no picture is offered before the last one was handled, so operations come in
the same order in every run. A writer that has died (Dead is no Exception) ends the life.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

from tests.crash.faulty_disk import Dead, Fault, FaultyDisk
from tests.crash.tagged_units import FPS, INFO, UNIT_NS, unit
from unitd.config import CameraTable, Config, IncidentTable, PathsTable, RingTable
from unitd.record import writer as writer_module
from unitd.record.backlog import SessionUnit
from unitd.record.writer import SegmentWriter
from unitd.runtime.clock import SystemClock
from unitd.store import chain as chain_module
from unitd.store import disk
from unitd.store import place as place_module
from unitd.store.boot import current_boot
from unitd.store.ring import Need, Ring

STREAMS = ("dome", "fixed")
SECOND_NS = 1_000_000_000
IDLE_SYNC_S = 30.0
"""Longer than a segment: outside an incident the press must bring the sync."""

FRAGMENT_UNITS = 3
"""500 ms at FPS pictures a second: what is not in a whole fragment yet."""

HANDLED_WITHIN_S = 10.0
RESERVE_BYTES = 8 * 1024
PART_BYTES = 2 * 1024
CAPACITY_BYTES = 400_000


def config_of(base: Path) -> Config:
    return Config(
        schema=1,
        paths=PathsTable(state_dir=str(base / "state"), run_dir=str(base / "run"), evidence_dir=str(base / "evidence")),
        ring=RingTable(
            segment_s=2.0, high_watermark_percent=60.0, low_watermark_percent=50.0, sync_idle_s=IDLE_SYNC_S,
            retain_days=None, incident_reserve_s=0.0,
        ),
        incident=IncidentTable(pre_roll_s=1.0),
        cameras=tuple(CameraTable(name=name, main_url="rtsp://camera/main") for name in STREAMS),
    )  # fmt: skip


@dataclass
class Fed:
    """What one stream was given over all lives: for each picture whether it was handled, and under which durability."""

    handled: list[int] = field(default_factory=list)
    urgent: list[int] = field(default_factory=list)
    """Handled while an incident was on."""
    before_press: list[int] = field(default_factory=list)
    """Handled before a press whose sync has come back."""


class Street:
    """The streams over all lives: their pictures' numbers and times go on from life to life."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.config = config_of(base)
        self.fed = {name: Fed() for name in STREAMS}
        self.next_number = 0
        self.began_ns = self.now_ns = 5_000 * SECOND_NS
        self.sessions = 0
        self.healed_at = 0
        self.keep_fresh_s = 0.0
        self.refused = set[int]()
        """Pictures that came while the disk was full, nothing could go, and the last ones before them."""

    def at_ns(self, number: int) -> int:
        return self.began_ns + number * UNIT_NS


class RecordLife:
    """One process `record`, as far as the disk sees it. Use within `FaultyDisk.life`."""

    def __init__(self, street: Street, boot_id: str) -> None:
        self.street, self.boot_id = street, boot_id
        base = street.base
        self.ring = Ring(base / "evidence", base / "state", street.config.ring, street.keep_fresh_s)
        clock = SystemClock(base / "no-such-flag")
        self.writers = {name: SegmentWriter(street.config, name, self.ring, clock, lambda _: None) for name in STREAMS}
        self.urgent = False
        self.first = street.next_number
        street.sessions += 1
        self.session = street.sessions

    def start(self) -> None:
        for each in self.writers.values():
            each.start()

    def feed(self, count: int) -> None:
        """`count` more pictures of each stream, each handled before the next; raises Dead when a writer is gone."""
        street = self.street
        for _ in range(count):
            number, street.next_number = street.next_number, street.next_number + 1
            street.now_ns = street.at_ns(number) + SECOND_NS // 100
            for name, each in self.writers.items():
                if self.urgent and each._sync_s > 1.0:
                    each.set_sync(1.0)
                    self._wait(each, partial(_has_synced, each))
                due = each.report.handled_units + 1
                each.offer(SessionUnit(self.session, INFO, unit(name, number, street.at_ns(number), self.first)))
                self._wait(each, partial(_has_handled, each, due))
                fed = street.fed[name]
                fed.handled.append(number)
                if self.urgent:
                    fed.urgent.append(number)

    def new_session(self) -> None:
        """The cameras connect anew: what follows begins with a keyframe."""
        self.street.sessions += 1
        self.session = self.street.sessions
        self.first = self.street.next_number

    def press(self) -> None:
        """What core says at a press; one more picture of each, after which its sync has been done."""
        before = {name: list(self.street.fed[name].handled) for name in STREAMS}
        self.urgent = True
        self.feed(1)
        for name in STREAMS:
            self.street.fed[name].before_press = before[name]

    def calm(self) -> None:
        for each in self.writers.values():
            each.set_sync(IDLE_SYNC_S)
        self.urgent = False

    def lock(self, incident: str, from_number: int, to_number: int | None, outcome: str | None = None) -> None:
        """What core does (procedure Lock)."""
        street = self.street
        try:
            boot = current_boot(street.base / "state", kernel(self.boot_id)).boot
        except OSError:
            return
        fields: dict[str, object] = {
            "incident_id": incident,
            "outcome": outcome,
            "from_boot": boot,
            "from_mono_ns": street.at_ns(from_number),
            "to_boot": None if to_number is None else boot,
            "to_mono_ns": None if to_number is None else street.at_ns(to_number),
        }
        path = street.base / "state" / "locks" / f"{incident}.json"
        with contextlib.suppress(OSError):  # core tries again; what the recorder does meanwhile is the same
            disk.make_dirs(path.parent)
            disk.atomic_write(path, msgspec.json.encode(fields))

    def make_room(self, need: Need | None = None) -> None:
        """One round of the eviction thread; what the disk refuses it tries again at the next."""
        with contextlib.suppress(OSError):
            self.ring.make_room(current_boot(self.street.base / "state", kernel(self.boot_id)), need)

    def stop(self) -> None:
        for each in self.writers.values():
            each.stop()
        for each in self.writers.values():
            if each._thread.is_alive():
                raise Dead

    def end(self) -> None:
        """A dead program has no threads."""
        for each in self.writers.values():
            each._stop = True
            each.backlog.poke()
            if each._thread.ident is not None:
                each._thread.join(HANDLED_WITHIN_S)
                assert not each._thread.is_alive(), "a writer hangs"

    def _wait(self, each: SegmentWriter, done: Callable[[], bool]) -> None:
        """Until it is done, and the round in which it was done is over."""
        deadline_s = _real_monotonic() + HANDLED_WITHIN_S
        while not done() or each.report.busy_since is not None:
            if not each._thread.is_alive():
                raise Dead
            assert _real_monotonic() < deadline_s, "a picture was not handled in time"
            time.sleep(0.00002)


def _has_synced(writer: SegmentWriter) -> bool:
    return not writer._sync_now


def _has_handled(writer: SegmentWriter, units: int) -> bool:
    return writer.report.handled_units >= units


def kernel(boot_id: str) -> Any:
    return mock.Mock(**{"read_text.return_value": boot_id})


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Small limits, so that a short life meets them; no waiting after a refusal."""
    threads = threading.excepthook

    def quiet(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not Dead:
            threads(args)

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(place_module, "RESERVE_BYTES", RESERVE_BYTES))
        stack.enter_context(mock.patch.object(chain_module, "PART_BYTES", PART_BYTES))
        stack.enter_context(mock.patch.object(writer_module, "TRY_AGAIN_S", 0.0))
        # no thread wakes of itself, which would make the order of operations a matter of chance
        stack.enter_context(mock.patch.object(SegmentWriter, "_patience_s", lambda _: HANDLED_WITHIN_S))
        stack.enter_context(mock.patch.object(threading, "excepthook", quiet))
        yield


def story(life: RecordLife, faulty: FaultyDisk, to_the_end: bool = True) -> None:
    """Idle; a press with its lock; an eviction; a disk that is full to the last byte, and is free again; the close."""
    street = life.street
    faulty.capacity_bytes = CAPACITY_BYTES
    life.make_room()
    life.feed(27)
    life.lock("incident", 18, None)
    life.press()
    life.feed(9)
    life.make_room()
    life.new_session()
    life.feed(4)
    life.lock("incident", 18, street.next_number)
    life.calm()
    life.feed(12)
    life.make_room()
    faulty.capacity_bytes = faulty.used_bytes() + 700
    street.refused |= set(range(street.next_number - FRAGMENT_UNITS, street.next_number + 7))
    life.feed(7)
    life.make_room()
    faulty.capacity_bytes = CAPACITY_BYTES
    life.make_room()
    life.feed(3)
    if to_the_end:
        life.stop()


def healed(life: RecordLife, faulty: FaultyDisk) -> None:
    """The same process goes on when the disk is well again: no restart, no hand."""
    faulty.plan(Fault())
    faulty.capacity_bytes = CAPACITY_BYTES
    life.make_room()
    life.street.healed_at = life.street.next_number
    life.new_session()
    life.feed(2 * FPS + 3)
    life.make_room()
    life.stop()


def story_then_healed(life: RecordLife, faulty: FaultyDisk) -> None:
    """The story on a disk that refuses something on the way, up to its last act; then the disk heals."""
    story(life, faulty, to_the_end=False)
    healed(life, faulty)


def again(life: RecordLife, faulty: FaultyDisk) -> None:
    """A start after anything: recovery, a few pictures, room, an orderly end."""
    faulty.capacity_bytes = CAPACITY_BYTES
    life.make_room()
    life.feed(2 * FPS + 3)
    life.make_room()
    life.stop()


_real_monotonic = time.monotonic


@contextlib.contextmanager
def time_of(street: Street) -> Iterator[None]:
    """The program's monotonic clock is the pictures' own, so that what falls due falls due in every run alike."""
    with (
        mock.patch.object(time, "monotonic_ns", lambda: street.now_ns),
        mock.patch.object(time, "monotonic", lambda: street.now_ns / SECOND_NS),
    ):
        yield


Act = Callable[[RecordLife, FaultyDisk], None]
NO_FAULT = Fault()


def lived(faulty: FaultyDisk, street: Street, boot_id: str, act: Act, fault: Fault = NO_FAULT) -> bool:
    """One life; True when it came to its end."""
    ended = False
    with time_of(street), quick(), mock.patch.object(writer_module, "current_boot", _boot_of(boot_id)):
        life = RecordLife(street, boot_id)
        with faulty.life(fault):
            life.start()
            act(life, faulty)
            ended = True
        life.end()
    return ended and not (faulty.died and fault.how in ("before", "after", "half"))


def _boot_of(boot_id: str) -> Any:
    return lambda state_dir: current_boot(state_dir, kernel(boot_id))
