"""What core puts on the record: commands without their secrets, a joystick once a second, releases before they act."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.unit.core.desks import SECOND_NS, Clock, Disk, Log, Signer
from unitd.config import Config
from unitd.core.commands import CommandDesk
from unitd.core.evidence_desk import COMMAND_PACE, MALFORMED_PACE, EvidenceDesk
from unitd.core.tool_desk import ToolDesk
from unitd.messages import control_room as wire
from unitd.messages import workers
from unitd.model import events as ev
from unitd.model.incident import Lock, Settings, State
from unitd.model.outputs import outputs
from unitd.model.step import step
from unitd.store.chain_read import find_break, read_lines

INCIDENT = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
SETTINGS = Settings(alone=True)


class Rig:
    """The desk before a model of the unit, with the command desk in front of both."""

    def __init__(self, base: Path) -> None:
        self.base, self.clock, self.disk = base, Clock(), Disk()
        self.state = State(boot=3)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.record: dict[str, Any] = {}
        config = msgspec.convert({"schema": 1, "paths": {"state_dir": str(base)}}, Config)
        machine: Any = SimpleNamespace(clock=self.clock, disk=self.disk, signer=Signer(), boot_id="b")
        log: Any = Log()
        self.desk = EvidenceDesk(
            config, machine, log, 7, lambda: self.state, self.apply, lambda: self.record,
            lambda name, **more: self.told.append((name, more)), lambda: True,
        )  # fmt: skip
        self.tools = ToolDesk(self.desk, lambda: self.state, self.apply, log)
        self.commands = CommandDesk(
            7, lambda: 0, lambda: self.state, self.apply, lambda _: True, lambda: ev.Raised("t", "t", "test", 0, 0, ""),
            judged=self.desk.judged, lock_objection=self.desk.releases.objection,
        )  # fmt: skip
        self.seq = 0

    def apply(self, event: ev.Event) -> None:
        before = self.state
        self.state = step(before, event, self.clock.now_ns, SETTINGS)
        self.desk.live(before, self.state)
        self.desk.reconcile(outputs(self.state, self.clock.now_ns, SETTINGS))

    def send(self, kind: Any, role: str = "operator", **fields: Any) -> wire.Reply:
        self.seq += 1
        command = kind(session=7, seq=self.seq, not_after_uptime_ms=10, by="Ann", **fields)
        return self.commands.take(role, msgspec.json.encode(command))

    def lines(self, kind: str) -> list[dict[str, Any]]:
        assert find_break(self.base / "core.chain") is None
        return [each.record for each in read_lines(self.base / "core.chain") if each.record["kind"] == kind]

    def lock(self, incident_id: str = INCIDENT) -> Path:
        file = self.base / "locks" / f"{incident_id}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(msgspec.json.encode(Lock(incident_id, 3, 0, 3, 9, 0, "synced", "panic", "hoax")))
        return file


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


async def _served(rig: Rig, until: Callable[[], bool]) -> None:
    """The services run until it is so."""
    tasks = [asyncio.create_task(each.run()) for each in rig.desk.services()]
    try:
        async with asyncio.timeout(10):
            while not until():  # noqa: ASYNC110 - the state is a level
                await asyncio.sleep(0.01)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_a_command_is_a_line_without_its_secrets(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        rig.send(wire.Upload, incident_id=INCIDENT, url="https://hub/x", token="S3CRET", camera="dome")
        rig.send(wire.Close, incident_id=INCIDENT, outcome="hoax", note="n" * 1900)
        rig.send(wire.Isolate, "maintainer", for_s=60, reason="new lamp")
        await rig.desk.chain.flush()

    run(story)
    assert b"S3CRET" not in (tmp_path / "core.chain").read_bytes()
    upload, close, isolate = rig.lines("command")
    assert (upload["role"], upload["by"], upload["cmd"], upload["result"]) == ("operator", "Ann", "upload", "done")
    assert json.loads(upload["detail"]) == {"camera": "dome", "url": "https://hub/x"}
    assert (close["result"], close["code"], close["incident_id"]) == ("refused", "impossible", INCIDENT)
    assert json.loads(close["detail"]) == {"outcome": "hoax", "note": "n" * 1900}
    assert (isolate["reason"], json.loads(isolate["detail"])) == ("new lamp", {"for_s": 60})


def test_a_watch_that_a_killed_core_did_not_write_down_is_on_the_record_all_the_same_and_once(tmp_path: Path) -> None:
    watch = ev.WatchOrdered("w", "Ann", "a fight", 60 * SECOND_NS)
    for _ in range(3):
        rig = Rig(tmp_path)
        rig.state = step(rig.state, watch, rig.clock.now_ns, SETTINGS)

        async def story(rig: Rig = rig) -> None:
            rig.desk.began()
            await rig.desk.chain.flush()

        run(story)
    [line] = rig.lines("call")
    assert (line["event"], line["watch_id"], line["by"], line["reason"]) == ("watch_began", "w", "Ann", "a fight")


def test_the_end_of_a_watch_that_a_killed_core_did_not_write_down_is_on_the_record_too(tmp_path: Path) -> None:
    watch, end = ev.WatchOrdered("w", "Ann", "a fight", 60 * SECOND_NS), ev.WatchEnded("Bob")
    for _ in range(2):
        rig = Rig(tmp_path)
        for event in (watch, end):
            rig.state = step(rig.state, event, rig.clock.now_ns, SETTINGS)

        async def story(rig: Rig = rig) -> None:
            rig.desk.began()
            await rig.desk.chain.flush()

        run(story)
    [line] = rig.lines("call")
    assert (line["event"], line["watch_id"], line["watcher"], line["by"]) == ("watch_ended", "w", "Ann", "Bob")


def test_whatever_an_operator_has_said_on_the_horn_is_on_the_record_with_who_and_what(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        rig.send(wire.PlayWarning, name="cctv")
        rig.send(wire.Speak, text="Stay back.", language="pl")
        rig.send(wire.Announce, for_s=60, reason="the market closes")
        rig.clock.now_ns += 9 * SECOND_NS
        rig.send(wire.EndWatch)
        await rig.desk.chain.flush()

    run(story)
    warning, speech, announced, ended = rig.lines("command")
    assert {each["by"] for each in (warning, speech, announced, ended)} == {"Ann"}
    assert (warning["cmd"], json.loads(warning["detail"])) == ("play_warning", {"name": "cctv"})
    assert json.loads(speech["detail"]) == {"text": "Stay back.", "language": "pl"}
    assert announced["reason"] == "the market closes"
    began, over = rig.lines("call")
    assert (began["event"], began["by"], began["announce"]) == ("watch_began", "Ann", True)
    assert (over["event"], over["watcher"], over["by"], over["seconds"]) == ("watch_ended", "Ann", "Ann", 9)
    assert [name for name, _ in rig.told] == ["watch_began", "watch_ended"]


def test_a_token_of_a_media_server_is_not_on_the_record(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        rig.send(wire.DialBack, incident_id=INCIDENT, url="https://media/whip", token="S3CRET")
        await rig.desk.chain.flush()

    run(story)
    assert b"S3CRET" not in (tmp_path / "core.chain").read_bytes()


def test_a_command_that_is_repeated_is_one_line(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        again = wire.Isolate(session=7, seq=1, not_after_uptime_ms=10, by="Ann", for_s=60)
        for _ in range(3):
            rig.commands.take("maintainer", msgspec.json.encode(again))
        rig.commands.take("maintainer", msgspec.json.encode(msgspec.structs.replace(again, session=6)))
        await rig.desk.chain.flush()

    run(story)
    assert [line["code"] for line in rig.lines("command")] == ["", "session"]


def test_a_joystick_is_counted_within_a_batch(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        for _ in range(2):
            for _ in range(25):
                assert rig.send(wire.DomeMove, pan=0.5).result == "done"
            await rig.desk.chain.flush()
        rig.send(wire.DomeMove, pan=0.1)
        rig.send(wire.DomeStop)
        rig.send(wire.DomeMove, pan=0.1)
        await rig.desk.chain.flush()

    run(story)
    lines = rig.lines("command")
    assert [line["cmd"] for line in lines] == ["dome_move", "dome_move", "dome_move", "dome_stop", "dome_move"]
    assert [json.loads(line["detail"]).get("moves") for line in lines] == [25, 25, None, None, None]


@pytest.mark.parametrize("nonsense", [True, False])
def test_a_flood_is_counted(tmp_path: Path, nonsense: bool) -> None:
    rig = Rig(tmp_path)
    pace = MALFORMED_PACE if nonsense else COMMAND_PACE

    async def story() -> None:
        for _ in range(pace.burst + 30):
            if nonsense:
                rig.commands.take("operator", b"{")
            else:
                rig.send(wire.DomeStop)
        await rig.desk.chain.flush()

    run(story)
    assert len(rig.lines("command")) == pace.burst
    assert [line["count"] for line in rig.lines("lost")] == [30]


def test_a_joystick_hides_nothing_else_that_was_ordered(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        for _ in range(COMMAND_PACE.burst):
            rig.send(wire.DomeMove, pan=0.5)
            rig.send(wire.DomeStop)
        rig.send(wire.Close, incident_id=INCIDENT, outcome="hoax")
        rig.send(wire.Isolate, "maintainer", for_s=60)
        await rig.desk.chain.flush()

    run(story)
    assert [line["cmd"] for line in rig.lines("command")][-2:] == ["close", "isolate"]
    assert sum(line["count"] for line in rig.lines("lost")) > 0


def test_a_release_is_on_the_record_before_the_lock_goes(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    file = rig.lock()

    async def story() -> None:
        assert (
            "could not be read yet"
            in rig.send(wire.ReleaseLock, "maintainer", incident_id=INCIDENT, reason="looked at").reason
        )
        await _served(rig, lambda: rig.desk.releases.known is not None)
        refused = rig.send(wire.ReleaseLock, "maintainer", incident_id=OTHER, reason="looked at")
        assert refused.reason == "no footage is kept for such an incident"
        assert rig.send(wire.ReleaseLock, incident_id=INCIDENT, reason="looked at").code == "malformed"
        done = rig.send(wire.ReleaseLock, "maintainer", incident_id=INCIDENT, reason="looked at")
        assert done.result == "done" and file.exists()
        rig.disk.refuses = True
        await _served(rig, lambda: rig.desk.releases.failed)
        assert file.exists() and rig.state.releases
        assert [fault.subject for fault in rig.desk.faults() if fault.code == "disk_error"] == ["chain"]
        rig.disk.refuses = False
        await _served(rig, lambda: not rig.state.releases)
        again = rig.send(wire.ReleaseLock, "maintainer", incident_id=INCIDENT, reason="looked at")
        assert again.result == "refused"

    run(story)
    assert not file.exists() and (file.parent / "released" / file.name).exists()
    assert [(line["by"], line["reason"]) for line in rig.lines("lock_released")] == [("Ann", "looked at")]
    assert [name for name, _ in rig.told if name == "lock_released"] == ["lock_released"]


def test_a_core_that_died_between_line_and_lock_writes_no_second_line(tmp_path: Path) -> None:
    file = Rig(tmp_path).lock()

    async def story() -> None:
        for dies in (True, False):
            rig = Rig(tmp_path)
            await _served(rig, lambda rig=rig: rig.desk.releases.known is not None)
            rig.apply(ev.LockReleased(INCIDENT, "Ann", "looked at"))
            if dies:
                fields = {"incident_id": INCIDENT, "by": "Ann", "reason": "looked at"}
                await rig.desk.chain.append("lock_released", **fields)
            else:
                await _served(rig, lambda rig=rig: not rig.state.releases)

    run(story)
    assert not file.exists()
    assert len(Rig(tmp_path).lines("lock_released")) == 1


def test_a_release_that_the_disk_refuses_keeps_no_other_back(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    stuck, free = rig.lock(), rig.lock(OTHER)
    (tmp_path / "locks" / "released" / stuck.name).mkdir(parents=True)  # no file can take its place

    async def story() -> None:
        for incident_id in (INCIDENT, OTHER):
            rig.apply(ev.LockReleased(incident_id, "Ann", "looked at"))
        await _served(rig, lambda: not free.exists() and rig.desk.releases.failed)

    run(story)
    assert stuck.exists()
    assert [each.incident_id for each in rig.state.releases] == [INCIDENT]


def test_a_lock_that_cannot_be_read_can_be_released(tmp_path: Path) -> None:
    """It locks everything: only this heals the unit."""
    rig = Rig(tmp_path)
    file = rig.lock()
    file.write_bytes(b"damage")

    async def story() -> None:
        await _served(rig, lambda: rig.desk.releases.known is not None)
        assert rig.send(wire.ReleaseLock, "maintainer", incident_id=INCIDENT, reason="damage").result == "done"
        await _served(rig, lambda: not rig.state.releases)

    run(story)
    assert not file.exists()


def test_sealing_waits_for_record_but_not_for_ever(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    request = workers.SealExport(
        manifest_sha256="0" * 64, incident_id=None, cameras=("a", "b"), segments=4, record_n=9, record_head="b" * 64
    )

    async def story() -> None:
        rig.record = {"chain.n": 8, "chain.head": "a" * 64}
        sealing = asyncio.create_task(rig.tools.answer(request))
        await asyncio.sleep(0.15)
        assert not sealing.done()
        rig.record = {"chain.n": 10, "chain.head": "c" * 64}
        await _served(rig, sealing.done)
        reply = sealing.result()
        assert reply.error == "" and reply.core_n == 1
        assert json.loads(reply.body)["heads"]["record"] == {"n": 10, "head": "c" * 64}
        rig.record = {}
        sealing = asyncio.create_task(rig.tools.answer(msgspec.structs.replace(request, record_n=12)))
        await _served(rig, sealing.done)
        assert json.loads(sealing.result().body)["heads"]["record"]["n"] == 12

    run(story)
    assert [(line["cameras"], line["segments"]) for line in rig.lines("export")] == [("a,b", 4)] * 2


@pytest.mark.parametrize(
    "facts", [{}, {"chain.n": "9"}, {"chain.n": 9}, {"chain.n": 9, "chain.head": "a"}, {"chain.n": -1}]
)
def test_what_record_says_badly_is_not_signed(tmp_path: Path, facts: dict[str, Any]) -> None:
    rig = Rig(tmp_path)
    rig.record = facts
    assert rig.desk.record_head() is None


def test_tools_are_told_why_not(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        answer = rig.tools.answer
        assert (
            "name and a reason" in (await answer(workers.ReleaseLock(incident_id=INCIDENT, by=" ", reason="x"))).error
        )
        release = workers.ReleaseLock(incident_id=INCIDENT, by="Ann", reason="looked at")
        assert "could not be read yet" in (await answer(release)).error
        close = workers.CloseIncident(incident_id=INCIDENT, by="Ann", outcome="hoax")
        assert (await answer(close)).error == "no such open incident"
        rig.apply(ev.Pressed("p", INCIDENT, rig.clock.now_ns, 0, "synced"))
        assert (await answer(close)).error == ""
        assert rig.state.incidents[0].closed_by == "Ann"
        rig.disk.refuses = True
        seal = workers.SealExport(manifest_sha256="0" * 64, incident_id=None, cameras=(), segments=0)
        assert "disk" in (await answer(seal)).error

    run(story)


def test_the_first_line_of_a_press_waits(tmp_path: Path) -> None:
    """Nothing of this competes with the alarm: not one call to the disk within half a second."""
    rig = Rig(tmp_path)

    async def story() -> None:
        tasks = [asyncio.create_task(each.run()) for each in rig.desk.services()]
        await asyncio.sleep(1.2)  # the start's own line is written
        calls = rig.disk.calls
        rig.apply(ev.Pressed("p", INCIDENT, rig.clock.now_ns, 0, "synced"))
        rig.desk.stage(rig.state.incidents[0])
        rig.desk.lock_written(outputs(rig.state, rig.clock.now_ns, SETTINGS).locks[0])
        await asyncio.sleep(0.5)
        assert rig.disk.calls == calls
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await rig.desk.close()

    run(story)
    assert [line["stage"] for line in rig.lines("incident")] == ["raised"]
    assert rig.lines("lock")[0]["to_mono_ns"] is None
    assert rig.clock.now_ns == 100 * SECOND_NS


def test_a_complete_lock_is_owed_until_its_line_is_on_the_record(tmp_path: Path) -> None:
    """Core dies after the lock and before the line, which waits for a second: its successor writes it."""
    lock = Lock(INCIDENT, 3, 0, 3, 9, 0, "synced", "panic", "hoax")
    owing = State(boot=3, closed_locks=(lock,))

    async def written(rig: Rig) -> None:
        rig.desk.lock_written(lock)
        rig.desk.lock_complete(lock.incident_id)
        assert rig.state.closed_locks == (lock,)

    dead, rig = Rig(tmp_path), Rig(tmp_path)
    dead.state = rig.state = owing

    async def story() -> None:
        await written(dead)
        await written(rig)
        await rig.desk.chain.flush()
        assert rig.state.closed_locks == ()
        rig.desk.lock_written(lock)
        rig.desk.lock_complete(lock.incident_id)

    run(story)
    assert [line["to_mono_ns"] for line in rig.lines("lock")] == [9]


def test_a_lock_whose_line_the_disk_refuses_is_owed_on(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    lock = Lock(INCIDENT, 3, 0, 3, 9, 0, "synced", "panic", "hoax")
    rig.state = State(boot=3, closed_locks=(lock,))

    async def story() -> None:
        rig.disk.refuses = True
        rig.desk.lock_written(lock)
        rig.desk.lock_complete(lock.incident_id)
        with pytest.raises(OSError, match="read-only"):
            await rig.desk.chain.flush()
        assert rig.state.closed_locks == (lock,)
        rig.disk.refuses = False
        await rig.desk.chain.flush()
        assert rig.state.closed_locks == ()

    run(story)


def test_no_line_is_longer_than_a_chain_can_be_read_by(tmp_path: Path) -> None:
    """A line beyond that would be a break in the chain for every reader, and the end of it for the next core."""
    rig = Rig(tmp_path)

    async def story() -> None:
        for _ in range(COMMAND_PACE.burst):
            rig.send(wire.Upload, incident_id=INCIDENT, url="https://hub/x", camera="x" * 60_000)
        await rig.desk.chain.flush()

    run(story)
    assert (tmp_path / "core.chain").stat().st_size < COMMAND_PACE.burst * 2000
    seal = workers.SealExport(manifest_sha256="0" * 64, incident_id=None, cameras=("a",), segments=1)
    release = workers.ReleaseLock(incident_id=INCIDENT, by="Ann", reason="seen")
    close = workers.CloseIncident(incident_id=INCIDENT, by="Ann", outcome="hoax")
    for request, wrong in (
        (seal, {"by": "x" * 201}), (seal, {"cameras": ("x",) * 65}), (seal, {"manifest_sha256": "x" * 64}),
        (seal, {"record_n": 2**60}), (seal, {"record_head": "x"}), (seal, {"incident_id": "x" * 201}),
        (release, {"by": "x" * 201}), (release, {"reason": "x" * 2001}), (close, {"note": "x" * 2001}),
    ):  # fmt: skip
        msgspec.json.decode(msgspec.json.encode(request), type=workers.ToolRequest)
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(
                msgspec.json.encode(msgspec.structs.replace(request, **wrong)), type=workers.ToolRequest
            )


def test_a_lock_whose_boot_got_its_number_late_has_a_line_with_it(tmp_path: Path) -> None:
    """Of boot 0 there is no footage: an export would seem to begin long after its incident's lock."""
    rig = Rig(tmp_path)
    early = Lock(INCIDENT, 0, 5, None, None, 0, "unknown", "panic", None)

    async def story() -> None:
        for lock in (early, early, msgspec.structs.replace(early, from_boot=3)):
            rig.desk.lock_written(lock)
        await rig.desk.chain.flush()

    run(story)
    assert [line["from_boot"] for line in rig.lines("lock")] == [0, 3]
