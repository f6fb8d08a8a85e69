"""What a starting core makes of its predecessors' states: no incident is lost, none comes back from the dead."""

import asyncio
import fcntl
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from tests.crash.core_life import CoreLife
from tests.unit.model.worlds import INCIDENT, OTHER, PRESS, SECOND, WATCH, S, at, idle, pressed
from unitd.core import recover
from unitd.core.recover import Recovered, merged
from unitd.model import events as ev
from unitd.model.incident import DutyNumber, Lock, Past, Release, Routes, Settings, State
from unitd.model.step import step
from unitd.store import boot
from unitd.store.outbox import Entry, Outbox

DAY = 86_400 * S
SETTINGS = Settings(close_after_ns=14_400 * S)
ENTRY = Entry(PRESS, INCIDENT, "panic", 1, 0, "unknown", 7)


def begun(state: State, boot: int, at_ns: int) -> State:
    """`state` of `boot` with a press at `at_ns` that was answered."""
    state = step(replace(state, boot=boot), pressed(SECOND, OTHER, at_ns), at_ns, SETTINGS)
    state = step(state, ev.AlarmReceived((SECOND,)), at_ns, SETTINGS)
    return step(state, ev.Answered(OTHER, "Ann"), at_ns, SETTINGS)


def recovered(base: Path, volatile: State | None, durable: State | None, settings: Settings = SETTINGS) -> Recovered:
    for place, state in (("run/core-state.json", volatile), ("state/core/state.json", durable)):
        if state is not None:
            (base / place).parent.mkdir(parents=True, exist_ok=True)
            (base / place).write_bytes(msgspec.json.encode(state))
    (base / "state").mkdir(exist_ok=True)
    (base / "state" / "boot.json").write_text('{"boot_id": "boot-7", "boot": 7}')
    core = CoreLife(base, "boot-7")
    core.clock.now_ns = 3 * DAY + 60 * S
    return asyncio.run(core.recovered(settings))


def test_a_boot_that_gets_its_number_late_keeps_its_instants(tmp_path: Path) -> None:
    now_ns = 3 * DAY
    found = recovered(tmp_path, begun(State(), 0, now_ns), None)
    incident = found.state.incidents[0]
    assert (incident.boot, incident.presses[0].boot, incident.raised_mono_ns) == (7, 7, now_ns)
    assert step(found.state, ev.Tick(), now_ns + 60 * S, SETTINGS).incidents[0].stage == "answered"


def test_incidents_of_before_a_power_cut_outlive_a_core_that_never_saw_the_disk(tmp_path: Path) -> None:
    found = recovered(tmp_path, begun(State(), 0, 3 * DAY), replace(at("answered"), boot=6))
    assert [each.incident_id for each in found.state.incidents] == [INCIDENT, OTHER]
    assert found.state.boot == 7


def test_the_state_of_another_boot_keeps_its_number_where_run_dir_is_no_tmpfs(tmp_path: Path) -> None:
    found = recovered(tmp_path, begun(State(), 6, 9 * DAY), None)
    incident = found.state.incidents[0]
    assert (incident.boot, incident.raised_mono_ns, incident.since_mono_ns) == (6, 9 * DAY, 3 * DAY + 60 * S)


def test_a_number_that_was_given_twice_makes_no_instants_of_the_other_boot_ours(tmp_path: Path) -> None:
    """The disk took the state of the boot before, and had not taken that boot's number."""
    isolated = step(begun(State(), 7, 9 * DAY), ev.Isolated("Bob", "work", 3600 * S), 9 * DAY, SETTINGS)
    found = recovered(tmp_path, None, isolated)
    assert (found.state.boot, found.state.isolation) == (7, None)
    assert found.state.incidents[0].since_mono_ns == 3 * DAY + 60 * S


def test_a_number_that_was_given_twice_is_told_by_the_kernels_id_whatever_the_instants(tmp_path: Path) -> None:
    """The other boot was shorter than this one: its instants could be ours."""
    isolated = step(begun(State(), 7, 60 * S), ev.Isolated("Bob", "work", 3600 * S), 60 * S, SETTINGS)
    found = recovered(tmp_path, None, replace(isolated, boot_id="another"))
    assert (found.state.boot, found.state.isolation) == (7, None)
    assert found.state.incidents[0].since_mono_ns == 3 * DAY + 60 * S
    assert found.state.boot_id == "boot-7"


def test_a_late_disk_does_not_bring_back_what_was_closed_in_this_boot() -> None:
    late = Recovered(boot=7)
    state, presses = merged(replace(idle(), boot=7), late, replace(at("answered"), boot=7), 3 * DAY)
    assert (state.incidents, presses) == ((), [])


def test_a_late_disk_brings_all_that_lasts() -> None:
    old = replace(step(at("answered"), ev.UploadOrdered("u", INCIDENT, "https://x/", "t", None), 9 * S, SETTINGS),
                  boot=6, tested_utc_us=5, test_unanswered=True, suppressed=2, releases=(Release("r", "Ann", "seen"),),
                  )  # fmt: skip
    state, _ = merged(begun(State(suppressed=1), 0, 3 * DAY), Recovered(boot=7), old, 3 * DAY)
    assert [each.incident_id for each in state.incidents] == [INCIDENT, OTHER]
    assert [each.boot for each in state.incidents] == [0, 7]
    assert [each.incident_id for each in state.past] == [INCIDENT, OTHER]
    assert (state.tested_utc_us, state.test_unanswered, state.suppressed) == (5, True, 3)
    assert [each.upload_id for each in state.uploads] == ["u"]
    assert [each.incident_id for each in state.releases] == ["r"]


def test_a_watch_goes_on_when_the_disk_tells_the_number_of_its_own_boot() -> None:
    watched = step(idle(), WATCH, S, SETTINGS)
    state, _ = merged(watched, Recovered(boot=7), None, 2 * S)
    after = step(state, ev.Tick(), 2 * S, SETTINGS)
    assert after.watch is not None
    assert after.watched is None


def test_a_state_that_would_end_every_start_is_done_without(tmp_path: Path) -> None:
    Outbox(tmp_path / "state" / "outbox").put(ENTRY)
    poisoned = replace(at("sent"), boot=7)
    incident = replace(poisoned.incidents[0], sms_rounds=-5)  # a negative shift, for want of a better poison
    settings = Settings(routes=Routes(numbers=(DutyNumber("ann", "+447700900123"),)))
    found = recovered(tmp_path, replace(poisoned, incidents=(incident,)), None, settings)
    assert found.state == State(boot=7, boot_id="boot-7")
    assert [each.press_id for each in found.presses] == [PRESS]


def test_an_entry_that_could_not_be_removed_is_no_new_call(tmp_path: Path) -> None:
    Outbox(tmp_path / "state" / "outbox").put(ENTRY)
    ended = State(boot=7, past=(Past(INCIDENT, 7, 1, 0, "unknown", "genuine"),))
    found = recovered(tmp_path, ended, None)
    assert (found.presses, found.found) == ([], [PRESS])
    assert merged(ended, Recovered(boot=7, entries=[ENTRY]), None, 1)[1] == []


def test_an_incident_that_was_closed_and_not_received_still_is_an_alarm(tmp_path: Path) -> None:
    Outbox(tmp_path / "state" / "outbox").put(ENTRY)
    closed = step(step(at("sent"), ev.Closed(INCIDENT, "Ann", "hoax"), 3 * S, SETTINGS), ev.Tick(), DAY, SETTINGS)
    found = recovered(tmp_path, replace(closed, boot=7), None)
    assert [press.received for each in found.state.incidents for press in each.presses] == [False]


def test_a_periodic_test_that_the_outbox_alone_remembers_ends_by_itself(tmp_path: Path) -> None:
    async def first_life() -> None:
        core = CoreLife(tmp_path, "boot-7")
        await core.start()
        core.unit.apply(ev.Raised(PRESS, INCIDENT, "test", 1, 0, "unknown", origin="periodic"))
        await core.settled()
        await core.end()

    asyncio.run(first_life())
    (tmp_path / "run" / "core-state.json").unlink()
    (tmp_path / "state" / "core" / "state.json").unlink()
    found = recovered(tmp_path, None, None)
    state = step(found.state, found.presses[0], 3 * DAY, SETTINGS)
    assert [each.origin for each in state.incidents] == ["periodic"]
    state = step(state, ev.Tick(), 3 * DAY + SETTINGS.test_answer_within_ns, SETTINGS)
    assert [each.stage for each in state.incidents] == ["closing"]


def test_a_lock_of_a_boot_that_never_got_its_number_covers_that_boot_and_comes_to_an_end(tmp_path: Path) -> None:
    """The power was cut before the late disk was read: it was the boot before, or this one without its tmpfs."""
    ended = Lock(INCIDENT, 0, 5 * S, 0, 60 * S, 0, "unknown", "panic", "genuine")
    left = State(boot=0, closed_locks=(ended,))
    found = recovered(tmp_path, None, left).state
    late, _ = merged(State(), Recovered(boot=7), left, 3 * DAY)
    for state in (found, late):
        lock = state.closed_locks[0]
        assert (lock.from_boot, lock.from_mono_ns, lock.to_boot, lock.to_mono_ns) == (6, 5 * S, 7, 60 * S)


def _while_another_keeps_the_counter(base: Path, monkeypatch: pytest.MonkeyPatch, *, for_ever: bool) -> Recovered:
    monkeypatch.setattr(boot, "LOCK_TRIES", 1)
    monkeypatch.setattr(recover, "BUSY_AGAIN_S", 0.01)
    Outbox(base / "state" / "outbox").put(ENTRY)
    (base / "state" / "boot.json").write_text('{"boot_id": "boot-7", "boot": 7}')

    async def start() -> Recovered:
        with (base / "state" / ".boot.lock").open("w") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            starting = asyncio.create_task(CoreLife(base, "boot-7").recovered())
            await asyncio.sleep(0.02)
            if not for_ever:
                fcntl.flock(other, fcntl.LOCK_UN)
            return await starting

    return asyncio.run(start())


def test_a_slow_process_at_the_boot_counter_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that is guessed would be wrong for as long as this core lives."""
    found = _while_another_keeps_the_counter(tmp_path, monkeypatch, for_ever=False)
    assert (found.boot, [each.press_id for each in found.presses]) == (7, [PRESS])


def test_a_process_that_hangs_with_the_boot_counter_hides_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _while_another_keeps_the_counter(tmp_path, monkeypatch, for_ever=True)
    assert (found.boot, [each.press_id for each in found.presses]) == (0, [PRESS])
