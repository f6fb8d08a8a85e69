"""A real core whose wall clock is wrong: presses at once, stamps put right afterwards, also across its death."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from unittest import mock

import pytest

from hw_sim.devices.clock import WrongClock
from tests.system.core_alone import BUTTON, World, world
from unitd.messages import control_room as wire
from unitd.store.chain import first_break
from unitd.store.clock_truth import read_truths
from unitd.store.last_seen import read_last_seen

pytestmark = pytest.mark.system
HOUR_S = 3600.0
NEAR_US = 400_000


def near(utc_us: int, true_us: int) -> bool:
    return abs(utc_us - true_us) < NEAR_US


async def start(w: World, clock: WrongClock) -> None:
    with mock.patch.dict(os.environ, clock.environment):
        await w.start()


async def press(w: World) -> tuple[wire.Alarm, int]:
    """Its first alarm, and when it really was."""
    before = {each.press_id for each in w.room.alarms}
    true_us = time.time_ns() // 1000
    await asyncio.to_thread(w.gpio.press, BUTTON, 100)
    await w.until("alarm", lambda: any(each.press_id not in before for each in w.room.alarms))
    return next(each for each in w.room.alarms if each.press_id not in before), true_us


async def copy(w: World, first: wire.Alarm, true_us: int) -> None:
    """Wait for a copy that keeps what was said and says what should have been said."""

    asked_s = 0.0

    def there() -> bool:
        nonlocal asked_s
        if time.monotonic() - asked_s > 0.5:  # a control room that speaks is sent again what it has not confirmed
            asked_s = time.monotonic()
            w.room.send("received", wire.Received())
        return any(
            each.press_id == first.press_id
            and each.pressed == first.pressed
            and each.corrected is not None
            and each.corrected.clock == "held"
            and near(each.corrected.utc_us, true_us)
            for each in w.room.alarms
        )

    await w.until("a corrected copy", there, 20.0)


def told(w: World, name: str, session: int) -> list[wire.Event]:
    return [each for each in w.room.events if each.name == name and each.session == session]


def test_from_1970_over_a_step_back_and_a_death_every_stamp_is_put_right(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            (tmp_path / "clock").mkdir()
            clock = WrongClock(tmp_path / "clock", tmp_path / "synchronized")
            await start(w, clock)
            w.room.confirms = False
            first, first_us = await press(w)
            assert first.pressed.clock == "unknown"
            assert first.pressed.utc_us < 10**12, "1970"
            assert first.corrected is None

            clock.step()
            await w.until("clock corrected", lambda: bool(told(w, "clock_corrected", 1)))
            event = told(w, "clock_corrected", 1)[0].data
            assert isinstance(event["true_offset_us"], int)
            assert isinstance(event["to_mono_ns"], int)
            assert event["from_mono_ns"] == 0
            assert first.pressed.mono_ns < event["to_mono_ns"]
            assert near(first.pressed.mono_ns // 1000 + event["true_offset_us"], first_us)
            await w.until("stamp corrected", lambda: bool(told(w, "stamp_corrected", 1)))
            stamp = told(w, "stamp_corrected", 1)[0]
            assert (stamp.incident_id, stamp.data["press"]) == (first.incident_id, first.press_id)
            assert near(int(str(stamp.data["utc_us"])), first_us)
            await copy(w, first, first_us)

            await w.until("synced", lambda: w.room.states[-1].clock == "synced")
            clock.step(-HOUR_S, synced=False)
            await w.until("unknown", lambda: w.room.states[-1].clock == "unknown")
            second, second_us = await press(w)
            assert near(second.pressed.utc_us, second_us - int(HOUR_S * 1e6)), "stamped as the clock said"
            assert second.incident_id == first.incident_id
            await copy(w, second, second_us)  # the monotonic clock knows better

            w.end(signal.SIGKILL)
            w.room.alarms.clear()
            await start(w, clock)
            await copy(w, first, first_us)  # its successor knows it from the chain
            await copy(w, second, second_us)

            clock.step()
            await w.until("synced", lambda: w.room.states[-1].clock == "synced")
            w.room.confirms = True
            w.room.send("received", wire.Received(press_ids=(first.press_id, second.press_id)))
            await w.until("nothing waits", lambda: not list((tmp_path / "state" / "outbox").glob("*.json")))
            assert w.end() == 0
            state = tmp_path / "state"
            assert abs(read_last_seen(state) - time.time()) < 60
            assert first_break(state / "core.chain") is None
            boot = json.loads((state / "boot.json").read_text())["boot"]
            assert near(read_truths(state)[boot], (time.time_ns() - time.monotonic_ns()) // 1000)

    asyncio.run(run())
