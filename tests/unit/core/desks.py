"""What the evidence desks stand on in their tests: a clock that is set, a disk that refuses, a signer that is told."""

import asyncio
import errno
from collections.abc import Callable
from typing import Any, TypeVar

from unitd.core.machine import Answer
from unitd.messages.control_room import Stamp

T = TypeVar("T")
SECOND_NS = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ns = 100 * SECOND_NS

    def mono_ns(self) -> int:
        return self.now_ns

    def stamp(self, mono_ns: int | None = None) -> Stamp:
        return Stamp(utc_us=1_795_000_000_000_000, clock="synced", mono_ns=self.now_ns if mono_ns is None else mono_ns)


class Disk:
    """Calls run in line, or are refused."""

    def __init__(self) -> None:
        self.hung = self.refuses = False
        self.calls = 0

    async def run(self, call: Callable[[], T], timeout_s: float | None = None) -> T:
        self.calls += 1
        await asyncio.sleep(0)
        if self.refuses:
            raise OSError(errno.EROFS, "read-only")
        return call()

    def close(self) -> None: ...


class Log:
    def __init__(self) -> None:
        self.said: list[str] = []

    def info(self, event: str, **fields: Any) -> None:
        self.said.append(event)

    warning = error = info


class Signer:
    """Signs by repeating the last 64 bytes of what it is given."""

    def __init__(self) -> None:
        self.error = ""
        self.signed: list[bytes] = []

    async def make(self) -> Answer:
        return await self._answer(b"")

    async def sign(self, body: bytes) -> Answer:
        self.signed.append(body)
        return await self._answer(body[-64:])

    async def _answer(self, signature: bytes) -> Answer:
        await asyncio.sleep(0)
        if self.error:
            raise OSError(self.error)
        return Answer(signature, "missing")


async def turns(until: Callable[[], bool], most: int = 10_000) -> None:
    """Let the loop turn until it is so."""
    for _ in range(most):
        if until():
            return
        await asyncio.sleep(0)
    raise AssertionError("never so")
