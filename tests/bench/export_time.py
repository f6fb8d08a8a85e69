"""How long `unitd export` takes for an incident of three minutes: one camera of 2 Mbit/s, Python's start included.

The ring and the chain are made here; the output goes to the same disk, and is synced to it before the command ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

import msgspec
import tomli_w

from hw_sim.processes import program
from tests.bench.figures import Row, median
from tests.bench.progress import Progress
from tests.unit.record.samples import FPS, INFO, units
from unitd.messages.media import AccessUnit
from unitd.record.muxer import FragmentMuxer
from unitd.store.chain import Chain
from unitd.store.segment import SegmentHeader, header_box

RUNS = 5
SECONDS = 180
SEGMENT_S = 10
BIT_RATE = 2_000_000
CEILING_S = 1.0
SECOND_NS = 1_000_000_000
INCIDENT = "3f2a9c10-0000-4000-8000-000000000001"


def _segment(number: int) -> bytes:
    """Ten seconds at the bit rate: keyframes are real, the other pictures mere bytes, for joining looks into none."""
    wanted = BIT_RATE // 8 // FPS
    first = number * SEGMENT_S * FPS
    stream = list(units(SEGMENT_S * FPS, first=first))
    begin_ns = (100 + number * SEGMENT_S) * SECOND_NS
    header = SegmentHeader(
        unit="pole-0001",
        camera="panel",
        boot_id="b",
        boot=1,
        seq=number + 1,
        mono_ns=begin_ns,
        utc_us=1_800_000_000_000_000,
        clock="synced",
        session=1,
        pts_90khz=stream[0].pts_90khz,
    )
    muxer = FragmentMuxer(INFO, 500, header_box(header))
    data = b""
    other = b"\0\0\0\1\x41" + b"\x9a" * (wanted - 5)
    for unit in stream:
        coded = unit.data if unit.keyframe else other
        data += muxer.add(AccessUnit(coded, unit.keyframe, unit.pts_90khz, unit.dts_90khz, unit.arrival_mono_ns))
    return data + muxer.finish()


def make_unit(base: Path, seconds: int = SECONDS) -> Path:
    """A unit's directories with an incident of so many seconds; its configuration file."""
    ring = base / "evidence" / "panel"
    ring.mkdir(parents=True)
    chain = Chain(base / "evidence" / "record.chain")
    for number in range(seconds // SEGMENT_S):
        data = _segment(number)
        name = f"{1:06d}-{number + 1:08d}.mp4"
        (ring / name).write_bytes(data)
        begin_ns = (100 + number * SEGMENT_S) * SECOND_NS
        chain.append(
            "segment", 1, durable=False, file=f"panel/{name}", bytes=len(data), units=SEGMENT_S * FPS,
            sha256=hashlib.sha256(data).hexdigest(), from_mono_ns=begin_ns, to_mono_ns=begin_ns + SEGMENT_S * SECOND_NS,
        )  # fmt: skip
    chain.close()
    locks = base / "state" / "locks"
    locks.mkdir(parents=True)
    lock = {"incident_id": INCIDENT, "from_boot": 1, "from_mono_ns": 100 * SECOND_NS, "to_boot": 1,
            "to_mono_ns": (99 + seconds) * SECOND_NS, "kind": "panic"}  # fmt: skip
    (locks / f"{INCIDENT}.json").write_bytes(msgspec.json.encode(lock))
    config = base / "unit.toml"
    paths = {"state_dir": str(base / "state"), "run_dir": str(base), "evidence_dir": str(base / "evidence")}
    config.write_text(
        tomli_w.dumps(
            {"schema": 1, "paths": paths, "cameras": [{"name": "panel", "main_url": "rtsp://192.0.2.1/main"}]}
        )
    )
    return config


def export_once(config: Path, output: Path) -> float:
    """Seconds from before the interpreter's start to its end. Blocks."""
    command = [program("unitd"), "export", "--config", str(config), "--incident", INCIDENT, "--output", str(output)]
    began_s = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began_s


async def measure(progress: Progress) -> list[Row]:
    """RUNS exports to a disk, and as many to memory: what the tool costs without the medium."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-export-") as directory:
        base = Path(directory)
        config = await asyncio.to_thread(make_unit, base)
        size = sum(path.stat().st_size for path in (base / "evidence" / "panel").iterdir())
        with tempfile.TemporaryDirectory(prefix="bench-export-", dir="/dev/shm") as memory:
            for name, place in (("to a disk, synced", base), ("to memory", Path(memory))):
                took = []
                for number in range(RUNS):
                    progress.step(f"export {name}, {number + 1} of {RUNS}")
                    await asyncio.to_thread(os.sync)
                    took.append(await asyncio.to_thread(export_once, config, place / f"export-{number}"))
                note = f"median of {RUNS}, slowest {max(took):.2f} s; {size / 1e6:.0f} MB, once copied, once joined"
                rows.append(Row(f"export of {SECONDS} s of one camera, {name}", median(took), "s", CEILING_S, note))
    return rows
