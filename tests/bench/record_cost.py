"""CPU of `record` beside `ffmpeg -c copy` on the same streams of the same server in the same seconds."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from hw_sim.bench import Bench
from hw_sim.processes import bound_to_us
from hw_sim.waiting import until
from tests.bench.figures import Row
from tests.bench.progress import Progress
from tests.bench.usage import cpu_s
from tests.bench.whole_unit import PICTURES, pid_of, whole_unit
from unitd.config import RingTable

WINDOW_S = 40.0
CEILING = 2.0
RING = RingTable()


async def measure(progress: Progress) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-ffmpeg-") as name:
        directory = Path(name)
        async with whole_unit() as bench, ffmpeg(bench, directory) as other:
            await until(lambda: _size(directory) > 500_000, 30.0, "ffmpeg has recorded half a megabyte")
            await until(lambda: _size(bench.evidence_dir) > 500_000, 30.0, "record has recorded half a megabyte")
            ours, theirs = pid_of(bench, "record"), other.pid
            before = (cpu_s(ours), cpu_s(theirs), _size(bench.evidence_dir), _size(directory))
            progress.step(f"recording for {WINDOW_S:.0f} s")
            await asyncio.sleep(WINDOW_S)
            if other.returncode is not None:
                raise RuntimeError(f"ffmpeg ended with status {other.returncode}")
            record, copy = cpu_s(ours) - before[0], cpu_s(theirs) - before[1]
            written = _size(bench.evidence_dir) - before[2], _size(directory) - before[3]
    if min(written) < 0.7 * max(written):
        raise RuntimeError(f"the two did not write alike: {written[0]} and {written[1]} bytes")
    note = f"record {record / WINDOW_S * 100:.1f} %, ffmpeg {copy / WINDOW_S * 100:.1f} % of a core; {PICTURES}"
    return [Row("record, CPU, times ffmpeg -c copy", record / copy, "x", CEILING, note)]


@contextlib.asynccontextmanager
async def ffmpeg(bench: Bench, directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """It does with each stream what record does: main into fragmented MP4 segments of the same lengths, sub to a
    reader (as record serves sense)."""
    assert bench.camera is not None
    fragments = f"movflags=+empty_moov+default_base_moof:frag_duration={RING.fragment_ms * 1000}:flush_packets=1"
    command = ["ffmpeg", "-nostdin", "-loglevel", "error"]
    for profile in ("main", "sub"):
        command += ["-rtsp_transport", "tcp", "-i", bench.camera.urls[profile]]
    command += ["-map", "0:v", "-c", "copy", "-f", "segment", "-segment_time", f"{RING.segment_s:g}"]
    command += ["-segment_format", "mp4", "-segment_format_options", fragments, str(directory / "%05d.mp4")]
    command += ["-map", "1:v", "-c", "copy", "-f", "h264", "-flush_packets", "1", "pipe:1"]
    process = await asyncio.create_subprocess_exec(
        *bound_to_us(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    reader = asyncio.create_task(_drain(process))
    try:
        yield process
    finally:
        reader.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _drain(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    while await process.stdout.read(65_536):
        pass


def _size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*.mp4"))
