"""What scenarios do with evidence: the daemon's own commands, as somebody at the pole types them, and the ring itself.

No step here looks into the daemon: files, command lines and exit statuses are all.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hw_sim.processes import bound_to_us, program
from hw_sim.waiting import until
from unitd.errors import StoreError
from unitd.messages.media import CLOCK_RATE_HZ
from unitd.store.segment import list_segments, read_header

if TYPE_CHECKING:
    from hw_sim.bench import Bench

COMMAND_TIMEOUT_S = 60.0
SAME_90KHZ = 90
"""Two times that differ by a millisecond are the same picture's."""


@dataclass(frozen=True)
class Said:
    """How a command ended, and its words."""

    status: int
    text: str


async def unitd(bench: Bench, *arguments: str) -> Said:
    """Run one of the daemon's commands to its end. Raises TimeoutError after COMMAND_TIMEOUT_S."""
    process = await asyncio.create_subprocess_exec(
        *bound_to_us([program("unitd"), *arguments]),
        process_group=0,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise TimeoutError(f"unitd {arguments[0]} did not end in {COMMAND_TIMEOUT_S:g} s") from None
    return Said(process.returncode or 0, said.decode(errors="replace").strip())


def directory_of(bench: Bench, incident: str) -> Path:
    """Where a scenario has an incident exported to; `--keep` copies it."""
    return bench.directory / "export" / f"export-{incident[:8]}"


async def export(bench: Bench, incident: str) -> Said:
    """`unitd export` of an incident, beside the live recorder."""
    target = directory_of(bench, incident)
    target.parent.mkdir(exist_ok=True)
    return await unitd(
        bench, "export", "--config", str(bench.config_file), "--incident", incident, "--output", str(target)
    )


async def verify(bench: Bench, incident: str, *, trust: bool, heads: bool) -> Said:
    """`unitd verify` of what `export` made, with the control room's authority and heads or without."""
    arguments = ["verify", str(directory_of(bench, incident))]
    if trust:
        arguments += ["--trust", str(bench.directory / "pki" / "ca.pem")]
    if heads:
        arguments += ["--heads", str(bench.directory / "control-room" / "heads.jsonl")]
    return await unitd(bench, *arguments)


async def release_lock(bench: Bench, incident: str, by: str, reason: str) -> Said:
    return await unitd(
        bench, "release", "--config", str(bench.config_file), "--incident", incident, "--by", by, "--reason", reason
    )


async def close_here(bench: Bench, incident: str, by: str, outcome: str) -> Said:
    return await unitd(
        bench, "close", "--config", str(bench.config_file), "--incident", incident, "--by", by, "--outcome", outcome
    )


async def certify(bench: Bench) -> None:
    """Sign the unit's request for its evidence key, which a new unit makes within seconds of its start."""
    signing = bench.state_dir / "signing"
    request = signing / "evidence.csr"
    await until(request.exists, COMMAND_TIMEOUT_S, "the unit's request for a certificate")
    await asyncio.to_thread(bench.pki.evidence, request, signing / "evidence.pem")


def kept(bench: Bench, incident: str) -> bool:
    """Whether the unit holds a lock for an incident."""
    return (bench.state_dir / "locks" / f"{incident}.json").exists()


@dataclass(frozen=True)
class Run:
    """The pictures of one camera from some instant on, by the files alone: how many, and the first hole if any."""

    pictures: int
    seconds: float
    hole: str


def recorded_since(bench: Bench, camera: str, since_ns: int, sent_90khz: list[int]) -> Run:
    """Read the ring beside the recorder, and hold it against what the camera says that it sent (in 90 kHz).

    Blocks; for a thread. The last file may be growing: what is whole counts.
    """
    directory = bench.evidence_dir / camera
    times: list[tuple[int, int]] = []
    for key in list_segments(directory):
        path = directory / key.file_name
        try:
            header = read_header(path)
        except (StoreError, OSError):
            continue
        times += [(header.session, header.pts_90khz + pts) for pts in _packet_times(path)]
        if header.mono_ns < since_ns:
            times = times[-1:]
    hole = "another camera session" if len({session for session, _ in times}) > 1 else ""
    if not hole and times:
        hole = _hole([at for _, at in times], sent_90khz)
    seconds = (times[-1][1] - times[0][1]) / CLOCK_RATE_HZ if len(times) > 1 and not hole else 0.0
    return Run(len(times), seconds, hole)


def _hole(recorded: list[int], sent: list[int]) -> str:
    """In words where the recorded times are not a run of those that were sent, "" when they are. Origins differ."""
    furthest = 0
    for first in range(len(sent) - len(recorded) + 1):
        origin, same = sent[first] - recorded[0], 0
        for mine, theirs in zip(recorded, sent[first:], strict=False):
            if abs(mine + origin - theirs) > SAME_90KHZ:
                break
            same += 1
        if same == len(recorded):
            return ""
        furthest = max(furthest, same)
    return f"of {len(recorded)} pictures {furthest} follow each other as the camera sent them, then one is missing"


def _packet_times(path: Path) -> list[int]:
    import av

    try:
        with av.open(str(path), "r") as file:
            return [
                int(each.pts * each.time_base * CLOCK_RATE_HZ)
                for each in file.demux(video=0)
                if each.pts is not None and each.time_base
            ]
    except (OSError, av.error.FFmpegError, IndexError):
        return []
