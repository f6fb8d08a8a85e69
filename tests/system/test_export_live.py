"""`unitd export` beside the live recorder and core: killed at random, gone on with, sealed, and in nobody's way."""

import asyncio
import datetime
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hw_sim.bench import Bench, BenchOptions
from hw_sim.processes import program
from hw_sim.waiting import until
from tests.unit.evidence.export_rig import manifest_of, samples
from unitd.store.segment import list_segments

pytestmark = pytest.mark.system

KILLS = 40 if os.environ.get("UNITD_TEST_LONG") else 4
LONGEST_S = 60.0
TAMPERED = 1
OPTIONS = BenchOptions(
    processes=("core", "record"), control_room=False, dome=False, modem=False, sound=False,
    config={"incident": {"pre_roll_s": 2.0, "post_roll_s": 1.0}, "ring": {"segment_s": 2.0}},
)  # fmt: skip


def command(bench: Bench, *arguments: str) -> list[str]:
    return [program("unitd"), "export", "--config", str(bench.config_file), *arguments]


async def ended(*words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    async with asyncio.timeout(LONGEST_S):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def killed_after(delay_s: float, *words: str) -> None:
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(delay_s):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def locks(bench: Bench) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in (bench.state_dir / "locks").glob("[!.]*.json")]


def segments(bench: Bench) -> list[int]:
    return [key.seq for key in list_segments(bench.evidence_dir / "dome")]


async def dropped(bench: Bench) -> object:
    status = await bench.status()
    return None if status is None else status.facts["record"].get("dome.dropped")


async def played(tmp_path: Path) -> None:
    async with Bench(OPTIONS) as bench:
        await bench.wait_ready()
        await until(lambda: len(segments(bench)) >= 2, LONGEST_S, "a segment before the press")
        bench.press(120)
        incident = (await until(lambda: locks(bench) or None, LONGEST_S, "a lock"))[0]["incident_id"]
        await until(lambda: len(segments(bench)) >= 4, LONGEST_S, "segments of the incident")
        out = tmp_path / "out"
        order = command(bench, "--incident", incident[:8], "--output", str(out))
        chosen = random.Random(11)
        for _ in range(KILLS):
            await killed_after(chosen.uniform(0.05, 0.6), *order, "--now")
            if out.exists():
                break
        status, said = await ended(*order)
        assert status == 0, said
        manifest = manifest_of(out)
        assert manifest.incident is not None
        assert manifest.incident.incident_id == incident
        exported = [file for file in manifest.files if file.kind == "segment"]
        for file in exported:
            original = (bench.evidence_dir / "dome" / Path(file.path).name).read_bytes()
            assert original.startswith((out / file.path).read_bytes())
        wanted = [picture for file in exported for picture in samples(out / file.path)]
        assert samples(out / "view" / "dome.mp4") == wanted
        assert (out / "checkpoints").is_dir(), said
        status, said = await ended(program("unitd"), "verify", str(out))
        assert status not in (TAMPERED, 2), said
        at = (manifest.times["1"].offset_us + manifest.span.from_mono_ns // 1000) / 1e6
        span = tmp_path / "span.zip"
        begin, end = (_iso(at + shift_s) for shift_s in (0.5, 2.5))
        cut = ("--from", begin, "--to", end, "--camera", "dome", "--output", str(span))
        status, said = await ended(*command(bench, *cut))
        assert status == 0, said
        assert "sealed by the unit" in said
        status, said = await ended(program("unitd"), "verify", str(span))
        assert status not in (TAMPERED, 2), said
        seen = segments(bench)
        assert seen == list(range(seen[0], seen[-1] + 1))
        assert await dropped(bench) == 0


def _iso(utc_s: float) -> str:
    return datetime.datetime.fromtimestamp(utc_s, datetime.UTC).isoformat()


def test_killed_at_random_beside_the_recorder_it_ends_sealed_and_nothing_was_disturbed(tmp_path: Path) -> None:
    asyncio.run(played(tmp_path))
