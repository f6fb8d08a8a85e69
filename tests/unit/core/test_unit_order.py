"""The order of what an event causes: the alarm leaves, the broker has a moment to answer, all else follows."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from unitd.core.snapshot import Snapshot
from unitd.core.unit import AFTER_SEND_S, Unit
from unitd.messages.control_room import Stamp
from unitd.model import events as ev
from unitd.model.incident import Incident, Settings, State
from unitd.model.outputs import TONE_NS, Outputs


class Clock:
    def mono_ns(self) -> int:
        return 1_000_000_000

    def stamp(self, mono_ns: int | None = None) -> Stamp:
        return Stamp(utc_us=0, clock="unknown", mono_ns=1_000_000_000)


class Log:
    def __init__(self) -> None:
        self.failures: list[str] = []

    def info(self, *_: Any, **__: Any) -> None: ...

    def exception(self, event: str, **_: Any) -> None:
        self.failures.append(event)


class Disk:
    hung = False

    async def run(self, call: Callable[[], Any], timeout_s: float | None = None) -> Any:
        return call()

    def close(self) -> None: ...


class Bench:
    """A unit whose first output sends each press that it has not seen; `did` is what happened, in order."""

    def __init__(self, directory: Path, connected: bool = True) -> None:
        self.did: list[str] = []
        self.log = Log()
        self._connected, self._seen = connected, 0
        snapshot = Snapshot(directory, directory, Disk(), self.log)  # type: ignore[arg-type]
        self.unit = Unit(Settings(), snapshot, Clock(), self.log)  # type: ignore[arg-type]
        self.unit.first_with(self._send)
        self.unit.reconcile_with(lambda levels: self.did.append(f"lamps {len(levels.alarms)}"))

    def _send(self, levels: Outputs) -> bool:
        new, self._seen = len(levels.alarms) > self._seen, len(levels.alarms)
        if new:
            self.did.append("sent")
        return new and self._connected

    def press(self, number: int) -> None:
        self.unit.apply(ev.Pressed(f"press-{number}", "incident", number, 0, "unknown"))
        self.unit.afterwards(lambda: self.did.append(f"told {number}"))


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def test_everything_else_waits_for_the_broker_and_comes_before_its_word(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.press(1)
        assert bench.did == ["sent"]
        bench.unit.apply(ev.BrokerAcked("press-1"))
        assert bench.did == ["sent", "lamps 1", "told 1", "lamps 1"]

    run(story)


def test_a_silent_broker_is_waited_for_no_longer_than_the_limit(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        began_s = asyncio.get_running_loop().time()
        bench.press(1)
        told = asyncio.Event()
        bench.unit.afterwards(told.set)
        await told.wait()
        assert asyncio.get_running_loop().time() - began_s < AFTER_SEND_S + 1.0
        assert bench.did == ["sent", "lamps 1", "told 1"]
        assert (tmp_path / "core-state.json").exists()

    run(story)


def test_without_a_broker_nothing_waits(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path, connected=False)
        bench.press(1)
        assert bench.did == ["sent", "lamps 1", "told 1"]

    run(story)


def test_a_second_press_finds_the_first_served(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.press(1)
        bench.press(2)
        assert bench.did == ["sent", "lamps 1", "told 1", "sent"]
        bench.unit.finish()
        assert bench.did[-2:] == ["lamps 2", "told 2"]

    run(story)


def test_what_fails_afterwards_stops_neither_the_rest_nor_the_next_event(tmp_path: Path) -> None:
    def fails() -> None:
        raise OSError("broken")

    async def story() -> None:
        bench = Bench(tmp_path)
        bench.press(1)
        bench.unit.afterwards(fails)
        bench.unit.afterwards(lambda: bench.did.append("last"))
        bench.unit.apply(ev.BrokerAcked("press-1"))
        assert bench.did == ["sent", "lamps 1", "told 1", "last", "lamps 1"]
        assert bench.log.failures == ["what follows an alarm failed"]

    run(story)


def test_a_first_output_that_fails_leaves_the_others_their_turn(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)

        def fails(_levels: Outputs) -> bool:
            raise OSError("broken")

        bench.unit.first_with(fails)
        bench.press(1)
        assert bench.did == ["lamps 1", "told 1"]
        assert bench.log.failures == ["output failed"]

    run(story)


def test_a_stage_that_cannot_be_told_stops_nothing(tmp_path: Path) -> None:
    def fails(_incident: Incident) -> None:
        raise OSError("broken")

    async def story() -> None:
        bench = Bench(tmp_path, connected=False)
        bench.unit.on_stage(fails)
        bench.press(1)
        assert bench.did == ["sent", "lamps 1", "told 1"]
        assert bench.log.failures == ["stage not told"]
        await asyncio.gather(*bench.unit._saving)
        assert (tmp_path / "core" / "state.json").exists()

    run(story)


def test_what_falls_due_while_the_loop_is_busy_is_done_at_once(tmp_path: Path) -> None:
    class Busy(Clock):
        now_ns = 1_000_000_000

        def mono_ns(self) -> int:
            return self.now_ns

    async def story() -> None:
        clock, silent = Busy(), asyncio.Event()
        snapshot = Snapshot(tmp_path, tmp_path, Disk(), Log())  # type: ignore[arg-type]
        unit = Unit(Settings(), snapshot, clock, Log())  # type: ignore[arg-type]
        unit.reconcile_with(lambda levels: None if levels.sounder else silent.set())
        unit.apply(ev.Pressed("press", "incident", clock.now_ns, 0, "unknown"))
        clock.now_ns += TONE_NS + 1  # nobody has looked yet when the tone is to end
        silent.clear()
        passing = asyncio.create_task(unit.run(lambda: None, 3600.0))
        async with asyncio.timeout(5):
            await silent.wait()
        passing.cancel()

    run(story)


def test_a_rehearsal_brings_nothing_about(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        before = bench.unit.state
        levels = bench.unit.rehearse(ev.Pressed("press-1", "incident", 1, 0, "unknown"))
        assert [press.press_id for _, press in levels.alarms] == ["press-1"]
        assert bench.unit.state is before
        assert bench.did == []

    run(story)


def test_a_rehearsal_counts_for_its_own_event_and_only_while_nothing_else_happens(tmp_path: Path) -> None:
    async def story() -> None:
        press = ev.Pressed("press-1", "incident", 1, 0, "unknown")
        rehearsed, plain, disturbed = (Bench(tmp_path / name) for name in ("a", "b", "c"))
        rehearsed.unit.rehearse(press)
        disturbed.unit.rehearse(press)
        disturbed.unit.apply(ev.ButtonState(True, False))
        plain.unit.rehearse(ev.Pressed("press-2", "another", 1, 0, "unknown"))
        for bench in (rehearsed, plain, disturbed):
            bench.unit.apply(press)
            bench.unit.finish()
        assert [each.incident_id for each in plain.unit.state.incidents] == ["incident"]
        assert rehearsed.unit.state == plain.unit.state
        assert disturbed.unit.state.button_watched
        assert [each.incident_id for each in disturbed.unit.state.incidents] == ["incident"]

    run(story)


def test_what_a_late_disk_brought_is_saved_with_what_came_meanwhile(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.unit.take_over(State(suppressed=3))
        snapshot = Snapshot(tmp_path, tmp_path, Disk(), Log())  # type: ignore[arg-type]
        assert snapshot.load_volatile() == State(suppressed=3)
        await asyncio.gather(*bench.unit._saving)
        assert snapshot.load_durable() == State(suppressed=3)

    run(story)
