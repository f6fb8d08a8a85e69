"""Programs of one case: started, listened to, and ended however the case ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from hw_sim.processes import bound_to_us

READY_S = 20.0
END_S = 5.0


@contextlib.asynccontextmanager
async def program(
    command: list[str], log: Path, env: dict[str, str] | None = None, *, says_ready: bool = True
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process for as long as the block. With `says_ready` its first line is waited for."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *bound_to_us(command), process_group=0, env=os.environ | (env or {}), limit=1 << 24,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE if says_ready else errors, stderr=errors,
        )  # fmt: skip
    try:
        if says_ready:
            assert process.stdout is not None
            async with asyncio.timeout(READY_S):
                if not await process.stdout.readline():
                    raise RuntimeError(f"{' '.join(command[:4])} did not start; see {log}")
        yield process
    finally:
        await end(process)


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]
