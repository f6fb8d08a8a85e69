"""The index of a big ring: how soon a unit records, how long the ring is listed beside that, and what it costs then.

A ring of 1 TB is 300,000 segments: here each is a second of small pictures, of three cameras and sixty boots, all in
the chain, with fifty locks. Measured in a process of its own, with the file cache emptied first where that is allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.bench.figures import Row
from tests.bench.progress import Progress

SEGMENTS = 300_000
CAMERAS = ("dome", "door", "panel")
BOOTS = 60
SEGMENT_NS = 10_000_000_000
LOCKS = 50
STEADY_CALLS = 50
ROOT = Path(__file__).resolve().parents[2]


async def measure(progress: Progress) -> list[Row]:
    # not in a memory file system: 300,000 files are 1.2 GB there
    base = Path(tempfile.mkdtemp(prefix="bench-ring-", dir=ROOT / "build"))
    try:
        progress.step(f"{SEGMENTS:,} segments are made")
        await asyncio.to_thread(make_ring, base, SEGMENTS)
        cold = empty_file_cache()
        progress.step("a recorder starts on them")
        found = await figures_of(base)
        small = base / "small"
        await asyncio.to_thread(make_ring, small, len(CAMERAS) * BOOTS)
        found["rss_mb"] -= (await figures_of(small))["rss_mb"]
    finally:
        await asyncio.to_thread(shutil.rmtree, base)
    note = f"{SEGMENTS:,} segments, {'file cache emptied' if cold else 'in the file cache'}"
    return [
        Row("a 1 TB ring's index", found["index_s"], "s", 10.0, note),
        Row("- its first segment is on the disk after", found["first_s"], "s", 1.0, "while the index is being made"),
        Row("- memory for it", found["rss_mb"], "MB", 10.0, "RSS beside that on an empty ring", digits=1),
        Row("- a look at the room, CPU", found["steady_ms"], "ms", 5.0, "each 5 s, nothing to delete"),
        Row("- an eviction of 16, CPU", found["evict_ms"], "ms", None, "headers, locks, chain, unlinks"),
    ]


async def figures_of(base: Path) -> dict[str, float]:
    """Raises RuntimeError when the recorder's process fails."""
    command = (sys.executable, "-m", "tests.bench.ring_index", str(base))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the recorder ended with status {process.returncode}")
    found: dict[str, float] = json.loads(out)
    return found


def make_ring(base: Path, segments: int) -> None:
    """Segments of three cameras over BOOTS boots, all in the chain, and LOCKS incidents. Blocks: 30 s for 300,000."""
    from tests.unit.store.ring_files import small_media
    from unitd.store.boot import boot_of
    from unitd.store.chain import Chain, Field
    from unitd.store.segment import SegmentHeader, SegmentKey, header_box

    evidence, state = base / "evidence", base / "state"
    (state / "locks").mkdir(parents=True)
    chain = Chain(evidence / "record.chain")
    each = segments // len(CAMERAS) // BOOTS
    ftyp, rest = small_media()
    for boot in range(1, BOOTS + 1):
        boot_of(state, f"boot {boot}")
        for camera in CAMERAS:
            (evidence / camera).mkdir(parents=True, exist_ok=True)
            lines: list[tuple[str, dict[str, Field]]] = []
            for seq in range(1, each + 1):
                header = SegmentHeader(
                    unit="u", camera=camera, boot_id="b", boot=boot, seq=seq, mono_ns=seq * SEGMENT_NS, utc_us=0,
                    clock="unknown", session=1, pts_90khz=0,
                )  # fmt: skip
                name = SegmentKey(boot, seq).file_name
                file = os.open(f"{evidence}/{camera}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                os.write(file, ftyp + header_box(header) + rest)
                os.close(file)
                lines.append(("segment", {"file": f"{camera}/{name}", "bytes": 1, "sha256": "0" * 64}))
            chain.append_all(lines, boot, durable=False)
    chain.close()
    for number in range(LOCKS):
        boot, start = 1 + number * (BOOTS - 1) // LOCKS, (number % each + 1) * SEGMENT_NS
        span = {"from_boot": boot, "from_mono_ns": start, "to_boot": boot, "to_mono_ns": start + 20 * SEGMENT_NS}
        (state / "locks" / f"{number}.json").write_text(json.dumps({"incident_id": str(number), **span}))


def empty_file_cache() -> bool:
    with contextlib.suppress(OSError):
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return True
    return False


def rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def run(base: Path) -> dict[str, float]:
    """A recorder starts on the ring: one camera writes, one thread makes room. Blocks."""
    from tests.unit.record.samples import FPS, INFO, units
    from unitd.config import CameraTable, Config, PathsTable, RingTable
    from unitd.record.backlog import SessionUnit
    from unitd.record.writer import SegmentWriter
    from unitd.runtime.clock import SystemClock
    from unitd.store.boot import current_boot
    from unitd.store.ring import Need, Ring

    config = Config(
        schema=1,
        paths=PathsTable(state_dir=str(base / "state"), run_dir=str(base), evidence_dir=str(base / "evidence")),
        ring=RingTable(segment_s=2.0, fragment_ms=200, high_watermark_percent=99.9, low_watermark_percent=99.8),
        cameras=tuple(CameraTable(name=name, main_url="rtsp://camera/main") for name in CAMERAS),
    )
    before_mb = rss_mb()
    ring = Ring(base / "evidence", base / "state", config.ring, 120.0)
    writer = SegmentWriter(config, "dome", ring, SystemClock(base / "none"), lambda _: None)
    began = time.monotonic()
    indexed: list[float] = []
    boot = current_boot(base / "state")
    need = Need()

    def index() -> None:
        room = ring.make_room(boot, need)
        indexed.append(time.monotonic() - began)
        if room.recovered:
            raise RuntimeError(f"{len(room.recovered)} recovered")

    thread = threading.Thread(target=index)
    thread.start()
    writer.start()
    first_s = 0.0
    for number, unit in enumerate(units(1_000_000, arrival_ns=time.monotonic_ns())):
        writer.offer(SessionUnit(1, INFO, unit))
        if not first_s and writer.report.written_bytes:
            first_s = time.monotonic() - began
        if first_s and indexed and number > 3 * FPS:
            break
        time.sleep(1 / FPS)
    thread.join()
    writer.stop()
    ring.make_room(boot, need)
    grown_mb = rss_mb() - before_mb
    cpu = time.thread_time()
    for _ in range(STEADY_CALLS):
        ring.make_room(boot, need)
    steady_ms = (time.thread_time() - cpu) / STEADY_CALLS * 1000
    cpu = time.thread_time()
    for _ in range(STEADY_CALLS):
        ring.make_room(boot, urgent=True)
    evict_ms = (time.thread_time() - cpu) / STEADY_CALLS * 1000 * 4  # four each
    return {
        "index_s": indexed[0], "first_s": first_s, "rss_mb": grown_mb, "steady_ms": steady_ms, "evict_ms": evict_ms,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]))))
