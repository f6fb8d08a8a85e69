"""Everything core keeps on disk, with a death at each operation: the old content or the new, and never a mixture.

The lists of operations are part of the test: a new call to the disk has no number here and fails it.
"""

import contextlib
import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest

from tests.crash.core_life import InlineDisk, Log
from tests.crash.faulty_disk import Fault, FaultyDisk
from unitd.core.latch import Latch, Latched
from unitd.core.locks import LockDesk
from unitd.core.session import next_session
from unitd.core.snapshot import Snapshot
from unitd.model.clock import BUILD_UTC_S
from unitd.model.incident import State
from unitd.store import disk
from unitd.store.boot import current_boot
from unitd.store.chain import Chain, first_break
from unitd.store.last_seen import read_last_seen, write_last_seen
from unitd.store.locks import read_locks
from unitd.store.outbox import Entry, Outbox

SEEDS = range(5)
KILLED = -1
"""Instead of a seed: the program died and the machine did not."""


def entry(number: int) -> Entry:
    return Entry(f"press-{number}", f"incident-{number}", "panic", number, 0, "unknown", 1)


def outbox(base: Path) -> Outbox:
    return Outbox(base / "state" / "outbox")


def entries(base: Path) -> object:
    found, bad, _ = outbox(base).open()
    assert bad == []
    return [each.press_id for each in found]


def kernel(boot_id: str) -> Any:
    return mock.Mock(**{"read_text.return_value": boot_id})


def snapshot(base: Path) -> Snapshot:
    return Snapshot(base / "run", base / "state", InlineDisk(), Log())  # type: ignore[arg-type]


def state_on_disk(base: Path) -> object:
    state = snapshot(base).load_durable()
    return state.boot if state else None


def write_lock(base: Path, text: str) -> None:
    desk = LockDesk(base / "state" / "locks", InlineDisk(), Log(), lambda _: None)  # type: ignore[arg-type]
    data = msgspec.json.encode({"incident_id": text, "from_boot": 1, "from_mono_ns": 1})
    desk._write(base / "state" / "locks" / "incident.json", data)


def locks_on_disk(base: Path) -> object:
    found = read_locks(base / "state")
    assert found.unreadable == ()
    return [each.incident_id for each in found.locks]


def chain(base: Path) -> Chain:
    return Chain(base / "state" / "record.chain")


def append(base: Path, *kinds: str) -> None:
    writer = chain(base)
    try:
        writer.append_all([(kind, {}) for kind in kinds], 1)
    finally:
        writer.close()


def chain_on_disk(base: Path) -> object:
    """What is there once the next writer has opened it; it must be whole from end to end."""
    reader = chain(base)
    reader.open()
    reader.close()
    assert first_break(base / "state" / "record.chain") is None
    return [each["kind"] for each in reader.recent()]


def latched(number: int) -> Latched:
    return Latched(f"press-{number}", f"incident-{number}", number, 0, "unknown", "b")


def latches(base: Path) -> object:
    return [each.press_id for each in Latch(base / "run").pending("b")]


def boot_as_new(base: Path) -> object:
    return current_boot(base / "state", kernel("a")).boot


def session_known(base: Path) -> object:
    """What a successor must go beyond."""
    return max(
        msgspec.json.decode(disk.read(file) or b'{"session":0}')["session"]
        for file in (base / "run" / "session.json", base / "state" / "core" / "session.json")
    )


def atomic(name: str, directory: str) -> list[str]:
    temporary = [f"{each} temporary" for each in ("create", "write", "fsync", "close")]
    return [*temporary, f"rename {name}", *sync_of(directory)]


def sync_of(directory: str) -> list[str]:
    return [f"opendir {directory}", f"fsyncdir {directory}", f"close {directory}"]


@dataclass(frozen=True)
class Procedure:
    """`act` takes the disk from what `look` calls `old` to `new`, in these `operations`.

    `durable`: once `act` has returned, a power cut keeps it. `sticks`: what a reader has seen outlives a cut after it.
    """

    name: str
    prepare: Callable[[Path], object]
    act: Callable[[Path], object]
    look: Callable[[Path], object]
    old: object
    new: object
    operations: list[str]
    durable: bool = True
    sticks: bool = False
    between: tuple[object, ...] = ()


PROCEDURES = [
    Procedure(
        "outbox put, first ever", lambda base: None, lambda base: outbox(base).put(entry(1)), entries, [], ["press-1"],
        ["mkdir outbox", *sync_of("state"), *atomic("press-1.json", "outbox")], sticks=True,
    ),
    Procedure(
        "outbox put, another", lambda base: outbox(base).put(entry(1)), lambda base: outbox(base).put(entry(2)),
        entries, ["press-1"], ["press-1", "press-2"], atomic("press-2.json", "outbox"), sticks=True,
    ),
    Procedure(
        "outbox remove", lambda base: [outbox(base).put(entry(each)) for each in (1, 2)],
        lambda base: outbox(base).remove("press-1"), entries, ["press-1", "press-2"], ["press-2"],
        ["unlink press-1.json", *sync_of("outbox")], sticks=True,
    ),
    Procedure(
        "lock, first", lambda base: None, lambda base: write_lock(base, "open"), locks_on_disk, [], ["open"],
        ["mkdir locks", *sync_of("state"), *atomic("incident.json", "locks")],
    ),
    Procedure(
        "lock, completed", lambda base: write_lock(base, "open"), lambda base: write_lock(base, "complete"),
        locks_on_disk, ["open"], ["complete"], atomic("incident.json", "locks"),
    ),
    Procedure(
        "boot, next", lambda base: current_boot(base / "state", kernel("before")),
        lambda base: current_boot(base / "state", kernel("a")), boot_as_new, 2, 2,
        ["open .boot.lock", "read boot.json", *atomic("boot.json", "state"), "close .boot.lock"],
    ),
    Procedure(
        "session", lambda base: next_session(base / "run", base / "state", "a"),
        lambda base: next_session(base / "run", base / "state", "a"), session_known, 1, 2,
        [
            "read session.json", "read session.json",
            *atomic("session.json", "run"), *atomic("session.json", "core"),
        ],
    ),
    Procedure(
        "state on disk", lambda base: snapshot(base).load_durable() or snapshot(base)._write(
            msgspec.json.encode(State(boot=1))),
        lambda base: snapshot(base)._write(msgspec.json.encode(State(boot=2))), state_on_disk, 1, 2,
        ["read state.json", *atomic("state.json", "core")],
    ),
    Procedure(
        "last seen time", lambda base: write_last_seen(base / "state", BUILD_UTC_S + 1),
        lambda base: write_last_seen(base / "state", BUILD_UTC_S + 2), lambda base: read_last_seen(base / "state"),
        BUILD_UTC_S + 1, BUILD_UTC_S + 2, atomic("last-seen.json", "state"),
    ),
    Procedure(
        "chain, first lines", lambda base: None, lambda base: append(base, "one", "two"), chain_on_disk, [],
        ["one", "two"],
        [
            "read record.chain", "create record.chain", *sync_of("state"), "write record.chain", "fsync record.chain",
            "close record.chain",
        ], between=(["one"],),
    ),
    Procedure(
        "chain, another line", lambda base: append(base, "one"), lambda base: append(base, "two"), chain_on_disk,
        ["one"], ["one", "two"],
        [
            "read record.chain", "open record.chain", "fsync record.chain", *sync_of("state"),
            "write record.chain", "fsync record.chain", "close record.chain",
        ],
    ),
    Procedure(
        "latch set", lambda base: None, lambda base: Latch(base / "run").set(latched(1)), latches, [], ["press-1"],
        ["mkdir latch", *(f"{each} .press-1" for each in ("create", "write", "close")), "rename press-1.json"],
        durable=False,
    ),
    Procedure(
        "latch clear", lambda base: [Latch(base / "run").set(latched(each)) for each in (1, 2)],
        lambda base: Latch(base / "run").clear("press-1"), latches, ["press-1", "press-2"], ["press-2"],
        ["unlink press-1.json"], durable=False,
    ),
]  # fmt: skip


def fresh(base: Path, procedure: Procedure) -> FaultyDisk:
    for name in ("run", "state"):
        (base / name).mkdir(parents=True)
    procedure.prepare(base)
    return FaultyDisk(base)


def deaths(operations: list[str]) -> list[Fault]:
    """Before and after each operation, and half-way through each write."""
    return [
        Fault(how, number)
        for number, operation in enumerate(operations, start=1)
        for how in ("before", "after", *(("half",) if operation.startswith("write") else ()))
    ]


def died_at(base: Path, procedure: Procedure, fault: Fault) -> tuple[FaultyDisk, bool]:
    """The disk after one life, and whether the procedure had returned."""
    faulty, returned = fresh(base, procedure), False
    with faulty.life(fault):
        procedure.act(base)
        returned = True
    return faulty, returned


@pytest.mark.parametrize("procedure", PROCEDURES, ids=lambda each: each.name)
def test_each_operation_is_numbered(tmp_path: Path, procedure: Procedure) -> None:
    faulty, returned = died_at(tmp_path / "d", procedure, Fault())
    assert returned
    assert faulty.operations == procedure.operations
    assert procedure.look(tmp_path / "d") == procedure.new


@pytest.mark.parametrize("procedure", PROCEDURES, ids=lambda each: each.name)
def test_death_at_each_operation_leaves_the_old_or_the_new(tmp_path: Path, procedure: Procedure) -> None:
    allowed = [procedure.old, procedure.new, *procedure.between]
    for fault in deaths(procedure.operations):
        for seed in (KILLED, *(SEEDS if procedure.durable else ())):
            where = f"{procedure.name}: {fault.how} {fault.at} {procedure.operations[fault.at - 1]}, seed {seed}"
            base = tmp_path / f"{fault.how}-{fault.at}-{seed}"
            faulty, returned = died_at(base, procedure, fault)
            assert faulty.died and not returned, where
            if seed != KILLED:
                faulty.cut_power(seed, base / "run")
                (base / "run").mkdir(exist_ok=True)
            with faulty.life():
                seen = procedure.look(base)
            assert seen in allowed, where
            if procedure.sticks:
                faulty.cut_power(0, base / "run")
                assert procedure.look(base) == seen, f"{where}: seen by a reader, gone after the next power cut"


@pytest.mark.parametrize("procedure", [each for each in PROCEDURES if each.durable], ids=lambda each: each.name)
def test_what_has_returned_outlives_a_power_cut(tmp_path: Path, procedure: Procedure) -> None:
    for seed in SEEDS:
        base = tmp_path / str(seed)
        faulty, returned = died_at(base, procedure, Fault())
        assert returned
        faulty.cut_power(seed, base / "run")
        (base / "run").mkdir(exist_ok=True)
        assert procedure.look(base) == procedure.new


def test_a_boot_number_is_never_given_twice(tmp_path: Path) -> None:
    """Whatever died: the number that a process was given in one boot is not given again in the next."""
    procedure = next(each for each in PROCEDURES if each.name == "boot, next")
    for fault in deaths(procedure.operations):
        for seed in SEEDS:
            base = tmp_path / f"{fault.how}-{fault.at}-{seed}"
            faulty, _ = died_at(base, procedure, fault)
            with faulty.life():
                given = current_boot(base / "state", kernel("a")).boot
            faulty.cut_power(seed, base / "run")
            assert current_boot(base / "state", kernel("c")).boot > given, f"{fault}, seed {seed}"


def errors(operations: list[str]) -> list[Fault]:
    """Each refusal at each operation, once and from then on; and writes of which half lands before the disk is full."""
    found = []
    for number, operation in enumerate(operations, start=1):
        for code in (errno.ENOSPC, errno.EIO, errno.EROFS):
            found += [Fault("error", number, code), Fault("error", number, code, lasting=True)]
        if operation.startswith("write"):
            found.append(Fault("half-error", number, errno.ENOSPC))
    return found


@pytest.mark.parametrize("procedure", PROCEDURES, ids=lambda each: each.name)
def test_a_disk_that_refuses_leaves_the_old_or_the_new_and_is_served_again(
    tmp_path: Path, procedure: Procedure
) -> None:
    """It surfaces as OSError or is counted, nothing else is raised; the same call succeeds when the disk has healed."""
    allowed = [procedure.old, procedure.new, *procedure.between]
    for number, fault in enumerate(errors(procedure.operations)):
        where = f"{procedure.name}: {fault} {procedure.operations[fault.at - 1]}"
        base = tmp_path / str(number)
        faulty = fresh(base, procedure)
        with faulty.life(fault), contextlib.suppress(OSError):
            procedure.act(base)
        assert faulty.died, where
        assert procedure.look(base) in allowed, where
        if procedure.name.startswith(
            ("outbox", "lock", "state", "latch")
        ):  # these replace: doing it again is the remedy
            with faulty.life():
                procedure.act(base)
            assert procedure.look(base) == procedure.new, where


@pytest.mark.parametrize("call", ["sync", "sync_dir"])
def test_a_lost_sync_would_be_seen(tmp_path: Path, call: str) -> None:
    """The model of the medium bites: without its syncs the outbox loses entries."""
    lost = set()
    for seed in SEEDS:
        base = tmp_path / str(seed)
        with mock.patch.object(disk, call, lambda _: None):
            faulty, returned = died_at(base, PROCEDURES[1], Fault())
        assert returned
        faulty.cut_power(seed, base / "run")
        found, bad, _ = outbox(base).open()
        if [each.press_id for each in found] != ["press-1", "press-2"] or bad:
            lost.add(seed)
    assert lost
