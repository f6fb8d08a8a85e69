"""What `record` costs: CPU beside `ffmpeg -c copy` on the same streams of the same server in the same seconds, memory,
what the disk has to write beyond the media, and how often it has to be sure."""

from __future__ import annotations

import asyncio
import contextlib
import re
import struct
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

from hw_sim.bench import Bench
from hw_sim.processes import bound_to_us
from hw_sim.waiting import until
from tests.bench.figures import Row
from tests.bench.progress import Progress
from tests.bench.usage import rss_mb, run_s, written_bytes
from tests.bench.whole_unit import PICTURES, pid_of, whole_unit
from unitd.config import RingTable

WINDOW_S = 30.0
SYNC_WINDOW_S = 20.0
CEILING = 1.2
RSS_CEILING_MB = 70.0
RSS_A_CAMERA_MB = 10.0
WRITTEN_CEILING = 1.02
MOST_CAMERAS = 3
RING = RingTable()
_MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs", "overlay")
_COUNT = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(fsync|fdatasync)$", re.MULTILINE)


async def measure(progress: Progress) -> list[Row]:
    return [*await _cost(progress, 1), *await _cost(progress, MOST_CAMERAS)]


async def _cost(progress: Progress, cameras: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-ffmpeg-") as name:
        directory = Path(name)
        async with whole_unit(cameras) as bench, ffmpeg(bench, directory, cameras) as other:
            least = 400_000 * cameras
            await until(lambda: _size(directory) > least, 30.0, "ffmpeg has recorded a while")
            await until(lambda: _size(bench.evidence_dir) > least, 30.0, "record has recorded a while")
            ours, theirs = pid_of(bench, "record"), other.pid
            before = (run_s(ours), run_s(theirs), _size(bench.evidence_dir), _size(directory))
            media, written = _media(bench.evidence_dir), written_bytes(ours)
            progress.step(f"{cameras} camera(s) for {WINDOW_S:.0f} s")
            await asyncio.sleep(WINDOW_S)
            if other.returncode is not None:
                raise RuntimeError(f"ffmpeg ended with status {other.returncode}")
            record, copy = run_s(ours) - before[0], run_s(theirs) - before[1]
            media, written = _media(bench.evidence_dir) - media, written_bytes(ours) - written
            sizes = _size(bench.evidence_dir) - before[2], _size(directory) - before[3]
            resident, kind = rss_mb(ours), _file_system(bench.evidence_dir)
            syncs = await _syncs(bench, progress, cameras) if cameras == MOST_CAMERAS else []
    if min(sizes) < 0.7 * max(sizes):
        raise RuntimeError(f"the two did not write alike: {sizes[0]} and {sizes[1]} bytes")
    of = "1 camera" if cameras == 1 else f"{cameras} cameras"
    cost = f"record {record / WINDOW_S * 100:.2f} %, ffmpeg {copy / WINDOW_S * 100:.2f} % of a core; {PICTURES}"
    amplified, why = written / media, f"{written / 1e6:.2f} MB for {media / 1e6:.2f} MB of pictures, on {kind}"
    unreal = kind in _MEMORY_FILE_SYSTEMS
    if unreal:
        why = f"the temporary directory is on {kind}; set TMPDIR to a directory on a disk"
    return [
        Row(f"record, {of}: CPU, times ffmpeg -c copy", record / copy, "x", CEILING, cost),
        Row(f"record, {of}: RSS", resident, "MB", RSS_CEILING_MB + RSS_A_CAMERA_MB * cameras),
        Row(f"record, {of}: written for a byte of media", None if unreal else amplified, "x", WRITTEN_CEILING, why),
        *syncs,
    ]


async def _syncs(bench: Bench, progress: Progress, cameras: int) -> list[Row]:
    """Counted by strace in seconds of their own: it slows what it watches."""
    rows = []
    for mode in ("idle", "in an incident"):
        if mode != "idle":
            bench.press()
            await asyncio.sleep(1.0)
        progress.step(f"counting syncs, {mode}")
        tracer = await asyncio.create_subprocess_exec(
            *("strace", "-f", "-c", "-e", "trace=fsync,fdatasync", "-p", str(pid_of(bench, "record"))),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        await asyncio.sleep(SYNC_WINDOW_S)
        tracer.terminate()
        _, told = await tracer.communicate()
        count = sum(int(number) for number, _ in _COUNT.findall(told.decode("utf-8", "replace")))
        each = count / SYNC_WINDOW_S * 60 / cameras
        rows.append(
            Row(f"record, syncs a minute and camera, {mode}", each, "", None, f"{count} in {SYNC_WINDOW_S:g} s")
        )
    return rows


@contextlib.asynccontextmanager
async def ffmpeg(bench: Bench, directory: Path, cameras: int = 1) -> AsyncIterator[asyncio.subprocess.Process]:
    """It does with each stream what record does: main into fragmented MP4 segments of the same lengths, sub to a
    reader (as record serves sense)."""
    assert bench.camera is not None
    fragments = f"movflags=+empty_moov+default_base_moof:frag_duration={RING.fragment_ms * 1000}:flush_packets=1"
    command = ["ffmpeg", "-nostdin", "-loglevel", "error"]
    for profile in ["main"] * cameras + ["sub"]:
        command += ["-rtsp_transport", "tcp", "-i", bench.camera.urls[profile]]
    for number in range(cameras):
        command += ["-map", f"{number}:v", "-c", "copy", "-f", "segment", "-segment_time", f"{RING.segment_s:g}"]
        command += ["-segment_format", "mp4", "-segment_format_options", fragments]
        command += [str(directory / f"{number}-%05d.mp4")]
    command += ["-map", f"{cameras}:v", "-c", "copy", "-f", "h264", "-flush_packets", "1", "pipe:1"]
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


def _media(directory: Path) -> int:
    """Bytes of pictures in the segments, without what MP4 adds."""
    return sum(_pictures(file) for file in directory.rglob("*.mp4"))


def _pictures(path: Path) -> int:
    total = at = 0
    length = path.stat().st_size
    with path.open("rb") as file:
        while at + 8 <= length:
            file.seek(at)
            size, kind = struct.unpack(">I4s", file.read(8))
            if size < 8 or at + size > length:
                break
            total += size - 8 if kind == b"mdat" else 0
            at += size
    return total


def _file_system(directory: Path) -> str:
    """The kind of the file system that `directory` is on."""
    parts = [part for part in psutil.disk_partitions(all=True) if directory.resolve().is_relative_to(part.mountpoint)]
    return max(parts, key=lambda part: len(part.mountpoint)).fstype if parts else "?"
