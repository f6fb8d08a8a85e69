"""What core wants of the microphone holds at once, also while a call is being put down."""

import asyncio
from pathlib import Path
from typing import Any, cast

import msgspec

from unitd.call.app import CallWorker
from unitd.config import Config
from unitd.messages.workers import CallWanted, Desired, OpenIncident
from unitd.runtime.logs import setup
from unitd.runtime.worker import Frame


class Core:
    """The worker's end of the socket, as far as this needs it."""

    def __init__(self) -> None:
        self.desired: Desired | None = None
        self.version = 0
        self._changed = asyncio.Condition()

    async def want(self, desired: Desired) -> None:
        async with self._changed:
            self.desired, self.version = desired, self.version + 1
            self._changed.notify_all()

    async def wait_change(self, seen: int) -> int:
        async with self._changed:
            await self._changed.wait_for(lambda: self.version != seen)
            return self.version


class SlowGoodbye:
    """A call whose far end takes its time."""

    incident_id = "old"

    def __init__(self) -> None:
        self.asked, self.may_end = asyncio.Event(), asyncio.Event()

    async def say_bye(self, _reason: str) -> None:
        self.asked.set()
        await self.may_end.wait()


def wanted(*, microphone: bool) -> Desired:
    incident = OpenIncident(incident_id="new", kind="panic", stage="sent", raised_mono_ns=0)
    return Desired(session=1, number=1, incident=incident, call=CallWanted(incident_id="new", microphone=microphone))


def test_a_gate_does_not_wait_for_a_call_to_be_put_down(tmp_path: Path) -> None:
    async def run() -> None:
        config = msgspec.structs.replace(
            Config(schema=1), paths=msgspec.structs.replace(Config(schema=1).paths, run_dir=str(tmp_path))
        )
        core = Core()
        worker = CallWorker(
            cast("Frame", Frame(config, setup("call", "error"), *cast("Any", (None, core, None, None))))
        )
        gates: list[bool] = []
        gated = asyncio.Event()

        def gate(is_open: bool) -> None:
            gates.append(is_open)
            gated.set()

        worker.microphone.gate = gate  # type: ignore[method-assign]
        old = SlowGoodbye()
        worker._conversation = cast("Any", old)
        worker._task = asyncio.create_task(asyncio.Event().wait())  # type: ignore[assignment, arg-type]
        await core.want(wanted(microphone=True))
        work = asyncio.create_task(worker._reconcile(core.desired))
        async with asyncio.timeout(5):
            await old.asked.wait()
            assert gates == [True]
            gated.clear()
            await core.want(wanted(microphone=False))
            await gated.wait()
            assert gates == [True, False]
            assert not work.done()
            old.may_end.set()
            await work

    asyncio.run(run())
