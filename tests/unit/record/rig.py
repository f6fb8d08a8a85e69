"""A writer over a directory, fed by hand."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from tests.unit.record.samples import INFO, units
from unitd.config import CameraTable, Config, PathsTable, RingTable
from unitd.messages.control_room import Stamp
from unitd.messages.media import MediaUnit, StreamInfo
from unitd.record.backlog import SessionUnit
from unitd.record.writer import ClosedSegment, SegmentWriter
from unitd.store.ring import Ring
from unitd.store.segment import list_segments

LONG_AGO_NS = 3600 * 1_000_000_000
"""Taken from the arrivals it makes every sync overdue."""


class StandingClock:
    def mono_ns(self) -> int:
        return time.monotonic_ns()

    def stamp(self, mono_ns: int | None = None) -> Stamp:
        return Stamp(utc_us=1_800_000_000_000_000, clock="held", mono_ns=mono_ns or 0)


def until(condition: Callable[[], bool], what: str, limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.005)


class Rig:
    """A writer over a directory, fed by hand."""

    def __init__(self, base: Path, segment_s: float = 2.0, *, gather: bool = False) -> None:
        self.config = Config(
            schema=1,
            paths=PathsTable(state_dir=str(base / "state"), run_dir=str(base), evidence_dir=str(base / "evidence")),
            ring=RingTable(segment_s=segment_s),
            cameras=(CameraTable(name="dome", main_url="rtsp://camera/main"),),
        )
        self.directory = base / "evidence" / "dome"
        self.ring = Ring(base / "evidence", base / "state", self.config.ring, 0.0)
        self.closed: list[ClosedSegment] = []
        self.writer = SegmentWriter(self.config, "dome", self.ring, StandingClock(), self.closed.append, gather=gather)
        self.writer.start()
        self.began_ns = time.monotonic_ns()
        self.next = 0
        self.offered = 0

    def feed(self, count: int, session: int = 1) -> None:
        """The next `count` pictures, arriving 50 ms apart."""
        first, self.next = self.next, self.next + count
        self.give(units(count, first=first, arrival_ns=self.began_ns), session)

    def give(self, given: Iterable[MediaUnit], session: int = 1, info: StreamInfo = INFO) -> None:
        """Offer them, and wait until they are handled."""
        self.offer(given, session, info)
        until(lambda: self.writer.report.handled_units == self.offered - self.writer.backlog.dropped, "fed")

    def offer(self, given: Iterable[MediaUnit], session: int = 1, info: StreamInfo = INFO) -> None:
        for unit in given:
            self.writer.offer(SessionUnit(session, info, unit))
            self.offered += 1

    def names(self) -> list[str]:
        return [key.file_name for key in list_segments(self.directory)]

    def lines(self, *kinds: str) -> list[dict[str, Any]]:
        """The chain's, of these kinds."""
        chain = self.directory.parent / "record.chain"
        lines = [msgspec.json.decode(line) for line in chain.read_bytes().splitlines()]
        return [line for line in lines if line["kind"] in kinds]
