"""What `hw-sim run --keep DIR` leaves of each incident that was closed: `DIR/export-<first 8 of its id>`.

Made by the unit's own `unitd export`, beside the live recorder, and sealed by the live core. DIR/ca.pem and
DIR/heads.jsonl, which `unitd verify` is given beside it, are the control room's.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hw_sim import scenario_evidence as evidence
from hw_sim.waiting import until_async
from unitd.store.chain_read import read_lines

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hw_sim.bench import Bench

LOCK_COMPLETE_S = 8.0
"""The post-roll of our scenarios is 2 s at most; of a longer one the directory says that it was not over."""


async def export_closed(bench: Bench, incidents: list[str], kept: Path, say: Callable[[str], None]) -> list[str]:
    """Export every closed one of `incidents`; the names of the directories that were made. Never raises.

    What is said names the places in `kept`, where `bring_up` puts them: ours are gone when the play is over.
    """
    if not {"record", "core"} <= bench.daemons.keys():
        return []
    made = []
    for incident in sorted(set(incidents) & await asyncio.to_thread(_closed, bench)):
        with contextlib.suppress(TimeoutError):
            await until_async(_complete_of(bench, incident), LOCK_COMPLETE_S, "the lock is complete")
        try:
            said = await evidence.export(bench, incident)
        except (OSError, TimeoutError) as error:
            say(f"          no evidence of {incident[:8]}: {error}")
            continue
        last = said.text.splitlines()[-1] if said.text else "unitd export said nothing"
        directory = evidence.directory_of(bench, incident)
        say(f"          {last.replace(str(directory), str(kept / directory.name))}")
        if said.status == 0:
            made.append(directory.name)
    return made


def bring_up(kept: Path) -> None:
    """Put the evidence directories beside what else was kept, where `ca.pem` and `heads.jsonl` are."""
    for directory in sorted((kept / "export").glob("export-*")):
        if directory.is_dir() and not (kept / directory.name).exists():
            directory.rename(kept / directory.name)


def _closed(bench: Bench) -> set[str]:
    """Incidents that core's chain says are closed. Blocks."""
    found = set()
    with contextlib.suppress(OSError):
        for line in read_lines(bench.state_dir / "core.chain"):
            if line.record.get("kind") == "incident" and line.record.get("stage") == "closed":
                found.add(str(line.record.get("incident_id")))
    return found


def _complete_of(bench: Bench, incident: str) -> Callable[[], Awaitable[bool]]:
    """Looks whether the incident's lock has an end, or is released already."""
    file = bench.state_dir / "locks" / f"{incident}.json"

    def look() -> bool:
        try:
            lock: dict[str, Any] = msgspec.json.decode(file.read_bytes())
        except (OSError, ValueError):
            return not file.exists()
        return lock.get("to_boot") is not None

    return lambda: asyncio.to_thread(look)
