"""A recorder without a camera, for crash tests: feeds made-up pictures to a real writer until it is killed.

Arguments: base directory, units a second to feed. Prints a JSON line a few times a second.
"""

import json
import sys
import time
from pathlib import Path

from tests.unit.record.samples import INFO, units
from unitd.config import CameraTable, Config, PathsTable, RingTable
from unitd.record.backlog import SessionUnit
from unitd.record.writer import SegmentWriter
from unitd.runtime.clock import SystemClock
from unitd.store.boot import current_boot
from unitd.store.ring import Ring


def config_of(base: Path) -> Config:
    return Config(
        schema=1,
        paths=PathsTable(state_dir=str(base / "state"), run_dir=str(base), evidence_dir=str(base / "evidence")),
        ring=RingTable(segment_s=2.0),
        cameras=(CameraTable(name="dome", main_url="rtsp://camera/main"),),
    )


def main(base: Path, units_a_second: int) -> None:
    config = config_of(base)
    ring = Ring(base / "evidence", base / "state", config.ring, 60.0)
    writer = SegmentWriter(config, "dome", ring, SystemClock(base / "no-such-flag"), lambda _: None)
    writer.set_sync(1.0)
    writer.start()
    recovered = ring.recover(current_boot(base / "state"))
    session = time.monotonic_ns()
    for number, unit in enumerate(units(10_000_000, arrival_ns=session)):
        writer.offer(SessionUnit(session, INFO, unit))
        time.sleep(1 / units_a_second)
        if number % (units_a_second // 4) == 0:
            report = writer.report
            line = {
                "units": number,
                "segments": report.segments,
                "evicted": report.evicted,
                "abandoned": report.abandoned,
                "recovered": recovered,
                "fault": writer.fault()[0],
                "dropped": writer.backlog.dropped,
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
