"""Core for real, all other processes dead: the alarm owes nothing to them."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hw_sim.devices.gpio_bench import GpioBench
from tests.system.core_alone import BUTTON, GREEN, LOCATOR, UNIT, YELLOW, World, world
from unitd.core.recover import boot_id
from unitd.messages import control_room as wire
from unitd.model.step import KEPT_PRESSES

pytestmark = pytest.mark.system

LIGHT_WITHIN_S = 0.2
SLACK_S = 0.3
"""For a busy machine, on top of the requirement."""


async def pressed(w: World, ms: float = 40) -> int:
    """Press and see the first light within its time; returns the edge."""
    edge_ns = w.gpio.press(BUTTON, ms)
    lit_ns = await asyncio.to_thread(w.gpio.wait_output, YELLOW, True, 2.0, edge_ns)
    assert (lit_ns - edge_ns) / 1e9 < LIGHT_WITHIN_S + SLACK_S
    return edge_ns


def test_a_press_goes_the_whole_way_and_the_lamps_tell_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            await w.start()
            await w.shown(LOCATOR, "off")
            await w.until("birth", lambda: any(state.online and state.armed for state in w.room.states))
            w.room.send("received", wire.Received())
            await w.shown(LOCATOR, "steady")
            w.room.confirms = False
            await pressed(w)
            await w.until("alarm", lambda: bool(w.room.alarms), 3.0)
            alarm = w.room.alarms[0]
            assert (alarm.kind, alarm.unit, alarm.presses) == ("panic", UNIT, 1)
            await w.shown(YELLOW, "flashing")
            assert len(list((tmp_path / "state" / "outbox").glob("*.json"))) == 1
            w.room.send("received", wire.Received(press_ids=(alarm.press_id,)))
            await w.shown(YELLOW, "steady")
            await w.until("outbox empty", lambda: not list((tmp_path / "state" / "outbox").glob("*.json")))
            assert not list((tmp_path / "run" / "latch").glob("*.json"))
            w.command(wire.Accept, 1, incident_id=alarm.incident_id)
            w.command(wire.Answer, 2, incident_id=alarm.incident_id)
            await w.shown(GREEN, "steady")
            w.command(wire.Close, 3, incident_id=alarm.incident_id, outcome="hoax", note="boys")
            await w.shown(YELLOW, "off")
            assert w.gpio.shown(GREEN) == "off"
            names = ["incident_raised", "incident_received", "incident_accepted", "incident_answered"]
            await w.until("closed told", lambda: w.room.events[-1].name == "incident_closed")
            assert w.room.events[-1].data["by"] == w.room.events[-2].data["by"] == "Ann"
            told = [event.name for event in w.room.events]
            assert [name for name in told if name in names] == names
            file = tmp_path / "state" / "locks" / f"{alarm.incident_id}.json"
            await w.until("lock complete", lambda: json.loads(file.read_bytes())["to_mono_ns"] is not None)
            lock = json.loads(file.read_bytes())
            assert lock["outcome"] == "hoax"
            assert lock["to_mono_ns"] > lock["from_mono_ns"]
            assert w.end() == 0
            await w.until("goodbye", lambda: not w.room.states[-1].online)

    asyncio.run(run())


def test_a_killed_core_is_back_in_the_same_incident(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            await w.start()
            await pressed(w)
            await w.until("alarm", lambda: bool(w.room.alarms))
            await w.until("received", lambda: any(e.name == "incident_received" for e in w.room.events))
            await w.shown(YELLOW, "steady")
            w.end(signal.SIGKILL)
            await w.until("last will", lambda: not w.room.states[-1].online)
            await w.start()
            await w.shown(YELLOW, "steady")
            await w.until("birth", lambda: w.room.states[-1].online and bool(w.room.states[-1].open_incidents))
            [incident] = w.room.states[-1].open_incidents
            assert incident.incident_id == w.room.alarms[0].incident_id
            assert incident.stage == "received"
            assert len({alarm.press_id for alarm in w.room.alarms}) == 1

    asyncio.run(run())


def test_no_way_out_at_the_press_and_core_killed_before_there_is_one(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            await w.start()
            await w.broker.stop()
            await pressed(w)
            await w.until("persisted", lambda: len(list((tmp_path / "state" / "outbox").glob("*.json"))) == 1)
            await w.shown(YELLOW, "flashing")
            w.end(signal.SIGKILL)
            await w.start()
            await w.shown(YELLOW, "flashing")
            await w.broker.start()
            await w.until("alarm", lambda: bool(w.room.alarms), 15.0)
            await w.shown(YELLOW, "steady")

    asyncio.run(run())


def test_a_hung_core_still_lights_and_latches_and_its_successor_serves(tmp_path: Path) -> None:
    """The state directory is unusable and the process dies with the press only latched: it is served all the same."""

    async def run() -> None:
        async with world(tmp_path) as w:
            (tmp_path / "state").write_text("a file where a directory should be")
            await w.start()
            await w.until("connected", lambda: any(state.online for state in w.room.states))
            w.room.confirms = False
            await pressed(w)
            await w.until("alarm from memory", lambda: bool(w.room.alarms))
            await w.until("latch kept", lambda: len(list((tmp_path / "run" / "latch").glob("*.json"))) == 1)
            await w.until("fault told", lambda: any(f.code == "outbox_memory_only" for f in w.room.states[-1].faults))
            w.end(signal.SIGKILL)
            heard = len(w.room.alarms)
            w.room.confirms = True
            await w.start()
            await w.until("alarm again", lambda: len(w.room.alarms) > heard)
            assert len({alarm.press_id for alarm in w.room.alarms}) == 1
            await w.shown(YELLOW, "steady")
            await w.until("latch served", lambda: not list((tmp_path / "run" / "latch").glob("*.json")))

    asyncio.run(run())


def test_a_stuck_button_is_a_fault_and_one_alarm_and_heals(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path, "[button]\nstuck_after_s = 1") as w:
            await w.start()
            w.gpio.press(BUTTON)
            await w.until("alarm", lambda: bool(w.room.alarms))
            await w.until("fault", lambda: any(f.code == "button_stuck" for f in w.room.states[-1].faults))
            assert not w.room.states[-1].armed
            w.gpio.release(BUTTON)
            await w.until("armed again", lambda: w.room.states[-1].armed)
            assert len({alarm.press_id for alarm in w.room.alarms}) == 1
            w.gpio.press(BUTTON, 40)
            await w.until("second press", lambda: len({alarm.press_id for alarm in w.room.alarms}) == 2)

    asyncio.run(run())


def test_pins_that_come_late_are_watched_and_lit_when_they_come(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            w.gpio.close()
            await w.start(armed=False)
            await w.until(
                "unarmed told", lambda: any(not state.armed and state.online for state in w.room.states), 20.0
            )
            assert any(fault.code == "button_lost" for fault in w.room.states[-1].faults)
            w.gpio = GpioBench(tmp_path / "gpio.sock").start()
            await w.until("armed", lambda: w.room.states[-1].armed)
            await pressed(w)
            await w.until("alarm", lambda: bool(w.room.alarms))
            await w.shown(YELLOW, "steady")
            assert not any(fault.code == "button_lost" for fault in w.room.states[-1].faults)

    asyncio.run(run())


def test_an_alarm_that_only_the_broker_took_is_sent_again_when_the_hub_speaks(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            w.room.confirms = False
            await w.start()
            await w.until("birth", lambda: any(state.online for state in w.room.states))
            await pressed(w)
            # 2, 4 and 8 s after one another: past the third, the next would be due only in 8 s
            await w.until("third sending", lambda: len(w.room.alarms) >= 3, 15.0)
            w.room.confirms = True
            await asyncio.to_thread(w.gpio.wait_output, YELLOW, True, 3.0)
            await w.until("a second on", lambda: w.seconds_since_alarm() > 1.1)
            w.room.send("received", wire.Received())
            await w.until("sent again at once", lambda: len(w.room.alarms) >= 4, 2.0)
            await w.shown(YELLOW, "steady")

    asyncio.run(run())


def test_commands_are_judged_and_answered(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            await w.start()
            await w.until("birth", lambda: any(state.online for state in w.room.states))
            await pressed(w)
            await w.until("alarm", lambda: bool(w.room.alarms))
            incident_id = w.room.alarms[0].incident_id

            async def reply_to(seq: int, count: int) -> wire.Reply:
                await w.until(f"reply {seq}", lambda: len(w.room.replies) >= count)
                assert w.room.replies[count - 1].seq == seq
                return w.room.replies[count - 1]

            w.command(wire.Accept, 5, incident_id=incident_id)
            assert (await reply_to(5, 1)).result == "done"
            w.command(wire.Accept, 5, incident_id=incident_id)
            assert (await reply_to(5, 2)).result == "done"
            w.command(wire.Answer, 4, incident_id=incident_id)
            assert (await reply_to(4, 3)).code == "replayed"
            w.command(wire.Answer, 6, incident_id=incident_id, session=99)
            assert "session 99" in (await reply_to(6, 4)).reason
            w.command(wire.Answer, 7, incident_id=incident_id, not_after_uptime_ms=1)
            assert (await reply_to(7, 5)).code == "late"
            w.room.send("operator/cmd", b'{"cmd":"reboot","session":1,"seq":8,"by":"x","not_after_uptime_ms":1}')
            assert (await reply_to(8, 6)).reason.startswith("malformed")
            for rubbish in (b"", b"\xff\xfe", b"[" * 60_000, b"null", b"{}"):
                w.room.send("operator/cmd", rubbish)
                w.room.send("received", rubbish)
                w.room.send("nonsense/topic", rubbish)
            w.command(wire.Answer, 9, incident_id=incident_id)
            await w.until("still serving", lambda: any(r.seq == 9 and r.result == "done" for r in w.room.replies))
            await w.shown(GREEN, "steady")

    asyncio.run(run())


def test_a_panic_during_a_test_is_a_real_one(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            await w.start()
            await w.until("birth", lambda: any(state.online for state in w.room.states))
            w.command(wire.RaiseTest, 1, role="maintainer")
            await w.until("test alarm", lambda: any(alarm.kind == "test" for alarm in w.room.alarms))
            await pressed(w)
            await w.until("panic", lambda: any(alarm.kind == "panic" for alarm in w.room.alarms))
            assert len({alarm.incident_id for alarm in w.room.alarms}) == 2

    asyncio.run(run())


def test_core_loads_no_media_and_opens_no_serial_port() -> None:
    """Import core's whole root in a fresh interpreter and look at what came with it."""
    code = "import unitd.core.app, sys; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    forbidden = {"av", "cv2", "numpy", "serial", "pyaudio", "gi", "websockets", "rich", "hw_sim"}
    assert not forbidden & {name.split(".")[0] for name in loaded}


def latches(directory: Path) -> list[Path]:
    return list((directory / "run" / "latch").glob("*.json"))


def test_presses_beyond_those_sent_one_by_one_leave_no_latch(tmp_path: Path) -> None:
    """What stayed latched would be a call of nobody at some later start of core."""

    async def run() -> None:
        async with world(tmp_path) as w:
            await w.start()
            await w.until("birth", lambda: bool(w.room.states))

            def counted() -> int:
                return sum(event.name == "pressed" for event in w.room.events)

            while (before := counted()) < KEPT_PRESSES + 3:
                w.gpio.press(BUTTON, 15)
                with contextlib.suppress(AssertionError):  # on a busy machine two touches may run into one: once more
                    await w.until("counted", lambda before=before: counted() > before, 2.0)  # type: ignore[misc]
                await asyncio.sleep(0.08)  # the finger's own pace
            await w.until("confirmed", lambda: len({a.press_id for a in w.room.alarms}) == KEPT_PRESSES, 20.0)
            await w.until("no latch", lambda: not latches(tmp_path))

    asyncio.run(run())


def test_a_confirmed_press_that_was_never_tidied_up_is_not_a_call_of_nobody(tmp_path: Path) -> None:
    """Core dies between the state's `received` and the end of latch and outbox entry; the incident is closed later."""

    async def run() -> None:
        async with world(tmp_path) as w:
            await w.start()
            w.room.confirms = False
            await pressed(w)
            await w.until("alarm", lambda: bool(w.room.alarms))
            await w.until("persisted", lambda: len(list((tmp_path / "state" / "outbox").glob("*.json"))) == 1)
            [entry] = (tmp_path / "state" / "outbox").glob("*.json")
            kept = entry.read_bytes()
            w.room.send("received", wire.Received(press_ids=(w.room.alarms[0].press_id,)))
            await w.until("removed", lambda: not entry.exists())
            w.end(signal.SIGKILL)
            entry.write_bytes(kept)
            raw = json.loads(kept)["entry"]
            latched = {key: raw[key] for key in ("press_id", "incident_id", "mono_ns", "utc_us", "clock")}
            latch = tmp_path / "run" / "latch" / f"{raw['press_id']}.json"
            latch.write_text(json.dumps({**latched, "boot_id": boot_id()}))
            await w.start()
            await w.shown(YELLOW, "steady")
            await w.until("tidied up", lambda: not entry.exists() and not latch.exists())

    asyncio.run(run())


def test_a_button_freed_while_core_was_dead_is_armed_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path, "[button]\nstuck_after_s = 1") as w:
            await w.start()
            w.gpio.press(BUTTON)
            await w.until("fault", lambda: bool(w.room.states) and not w.room.states[-1].armed, 10.0)
            w.end(signal.SIGKILL)
            w.gpio.release(BUTTON)
            await w.start()
            await w.until("armed", lambda: w.room.states[-1].online and w.room.states[-1].armed)

    asyncio.run(run())
