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

    def __init__(self, wanted: CallWanted | None = None) -> None:
        self.asked, self.may_end = asyncio.Event(), asyncio.Event()
        self.wanted = wanted

    def follow(self, wanted: CallWanted) -> None:
        self.wanted = wanted

    async def say_bye(self, _reason: str) -> None:
        self.asked.set()
        await self.may_end.wait()


def wanted(*, microphone: bool) -> Desired:
    incident = OpenIncident(incident_id="new", kind="panic", stage="sent", raised_mono_ns=0)
    return Desired(session=1, number=1, incident=incident, call=CallWanted(incident_id="new", microphone=microphone))


def worker_of(core: Core, run_dir: Path) -> CallWorker:
    bare = Config(schema=1)
    config = msgspec.structs.replace(bare, paths=msgspec.structs.replace(bare.paths, run_dir=str(run_dir)))
    return CallWorker(cast("Frame", Frame(config, setup("call", "error"), *cast("Any", (None, core, None, None)))))


def test_a_gate_does_not_wait_for_a_call_to_be_put_down(tmp_path: Path) -> None:
    async def run() -> None:
        core = Core()
        worker = worker_of(core, tmp_path)
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


def test_a_core_that_stays_away_costs_the_caller_s_voice_and_not_the_call(tmp_path: Path) -> None:
    async def run() -> None:
        worker = worker_of(Core(), tmp_path)
        for watch in (False, True):
            old = SlowGoodbye(CallWanted(incident_id="old", microphone=not watch, voices=True, watch=watch))
            old.may_end.set()
            gates: list[bool] = []
            worker.microphone.gate = gates.append  # type: ignore[method-assign]
            worker._conversation = cast("Any", old)
            worker._task = asyncio.create_task(asyncio.Event().wait())  # type: ignore[assignment, arg-type]
            await worker._reconcile(None)
            assert gates == [False]
            assert old.asked.is_set() is watch
            if not watch:
                assert old.wanted == CallWanted(incident_id="old", voices=True)
                await worker._hang_up("the test is over")

    asyncio.run(run())
