"""Files that came back damaged: none of them keeps core from starting, and none hides a sound one beside it."""

import asyncio
from pathlib import Path

import pytest

from tests.crash.core_life import CoreLife
from unitd.core.latch import Latch, Latched
from unitd.core.session import next_session
from unitd.store.chain import Chain
from unitd.store.locks import read_locks
from unitd.store.outbox import Entry, Outbox

DAMAGES = {
    "empty": b"",
    "zeros": bytes(200),
    "half": b'{"press_id":"press-2","inc',
    "a flipped bit in a string": b'{"press_id":"pr\xe5ss-2","incident_id":"i","incidents":[{"incident_id":"\xff"}]}',
    "deep nesting": b'{"x":' + b"[" * 100_000,
    "another type": b"[1, 2]",
    "null": b"null",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_core_starts_and_the_sound_alarms_are_served(tmp_path: Path, damage: bytes) -> None:
    run_dir, state_dir = tmp_path / "run", tmp_path / "state"
    sound = Entry("press-1", "incident-1", "panic", 1, 0, "unknown", 1)
    Outbox(state_dir / "outbox").put(sound)
    Latch(run_dir).set(Latched("press-3", "incident-3", 3, 0, "unknown", "boot"))
    next_session(run_dir, state_dir, "boot")
    files = ["run/latch/a.json", "run/core-state.json", "run/session.json", "state/boot.json", "state/core/state.json",
             "state/core/session.json", "state/outbox/press-2.json"]  # fmt: skip
    for name in files:
        (tmp_path / name).write_bytes(damage)
    core = CoreLife(tmp_path, "boot")
    found = asyncio.run(core.recovered())
    assert [each.press_id for each in found.presses] == ["press-1", "press-3"]
    assert found.quarantined == ["press-2.json"]
    assert (state_dir / "outbox" / "quarantine" / "press-2.json").read_bytes() == damage
    assert Outbox(state_dir / "outbox").open() == ([sound], ["press-2.json"], True)
    assert found.session >= 1
    assert found.boot >= 1


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_lock_locks_everything(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "incident.json").write_bytes(damage)
    assert read_locks(tmp_path).cover(1, 1, 1)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_chain_goes_on_after_a_damaged_tail(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "record.chain"
    for ending in (b"", b"\n"):
        path.write_bytes(damage + ending)
        chain = Chain(path)
        chain.append("segment", 1)
        chain.close()
        assert path.read_bytes().endswith(b"}\n")
