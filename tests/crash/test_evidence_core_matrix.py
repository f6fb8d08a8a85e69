"""Core's side of the evidence with a death or a refusal at each operation of the disk, and what comes after.

Each act is done, dies or is refused somewhere, and is done again by the next core. What may be seen in between is
listed; at the end it is as if nothing had happened, and what had returned has outlived the power.
"""

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest
from cryptography.hazmat.primitives import serialization

from tests.crash.core_life import Clock, InlineDisk, Log
from tests.crash.faulty_disk import Fault, FaultyDisk
from tests.crash.record_judge import whole_chain
from unitd.core.chain_desk import ChainDesk
from unitd.core.releases import ReleaseDesk
from unitd.evidence.canonical import canonical
from unitd.model.incident import Release
from unitd.store import chain as chain_module
from unitd.store import disk
from unitd.store.chain import Chain
from unitd.store.checkpoints import GENESIS, Checkpoint, append_checkpoint, read_checkpoints
from unitd.tools.signing_job import SigningJob, run

LONG = bool(os.environ.get("UNITD_TEST_LONG"))
KILLED = -1
AFTERMATHS = (KILLED, 0, 1, 2, 3, 4) if LONG else (KILLED, 0)
CODES = (errno.EIO, errno.ENOSPC, errno.EROFS)


@dataclass(frozen=True)
class Act:
    """`do` returns what it promises (None: nothing); `look` sees, after a start, one of `between`, or what `kept` says.

    `kept` (what it returned, what is seen): whether a promise outlived. `done`: what is seen once it was done again.
    """

    name: str
    prepare: Callable[[Path], object]
    do: Callable[[Path], object]
    look: Callable[[Path], object]
    between: tuple[object, ...]
    kept: Callable[[object, object], bool]
    done: tuple[object, ...]
    wanted: tuple[str, ...] = field(default=())


def state(base: Path) -> Path:
    return base / "state"


def append(base: Path, *kinds: str) -> int:
    writer = Chain(state(base) / "core.chain")
    try:
        return [writer.append(kind, 1) for kind in kinds][-1].n
    finally:
        writer.close()


def kinds_on_disk(base: Path) -> tuple[str, ...]:
    writer = Chain(state(base) / "core.chain")
    writer.open()
    writer.close()
    return tuple(line["kind"] for line in whole_chain(state(base) / "core.chain"))


def checkpoint(n: int) -> bytes:
    fields = {"unit": "pole-0001", "prev": GENESIS, "boot_id": "b", "clock": "synced"}
    return canonical(Checkpoint(n=n, boot=1, mono_ns=n, utc_us=n, heads={}, **fields))  # type: ignore[arg-type]


def sign(base: Path, n: int) -> int:
    append_checkpoint(state(base), checkpoint(n), bytes(64))
    return n


def checkpoints_on_disk(base: Path) -> tuple[int, ...]:
    return tuple(dict.fromkeys(each.checkpoint.n for each in read_checkpoints(state(base))))


def lock(base: Path) -> None:
    path = state(base) / "locks" / "incident.json"
    disk.make_dirs(path.parent)
    disk.atomic_write(path, b"{}")


def release(base: Path) -> bool:
    """As the desk does it; True once the state was told that it is done."""
    told: list[Release] = []

    async def work() -> None:
        inline, log = InlineDisk(), Log()
        writer = Chain(state(base) / "core.chain")
        desk = ChainDesk(writer, lambda: 1, Clock(), inline, log)  # type: ignore[arg-type]
        releases = ReleaseDesk(state(base) / "locks", desk, inline, log, told.append)  # type: ignore[arg-type]
        try:
            await releases._carry_out(Release(incident_id="incident", by="Ana", reason="a hoax"))
        finally:
            writer.close()

    asyncio.run(work())
    return bool(told)


def release_on_disk(base: Path) -> tuple[bool, int]:
    """Whether the lock stands, and how many lines say that it was released."""
    locks = state(base) / "locks"
    standing = (locks / "incident.json").exists()
    assert standing != (locks / "released" / "incident.json").exists(), "the lock is nowhere, or twice"
    return standing, kinds_on_disk(base).count("lock_released")


def make_key(base: Path) -> str | None:
    signing = state(base) / "signing"
    files = {f"{name}_file": str(signing / f"evidence.{kind}") for name, kind in
             (("key", "key"), ("csr", "csr"), ("cert", "pem"))}  # fmt: skip
    result = run(SigningJob(op="make", unit="pole-0001", **files))
    if result.error:
        raise OSError(result.error)
    return result.public_key


def key_on_disk(base: Path) -> str:
    path = state(base) / "signing" / "evidence.key"
    if not path.exists():
        return ""
    assert path.stat().st_mode & 0o777 == 0o600
    public = serialization.load_pem_private_key(path.read_bytes(), None).public_key()
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()


def dirs(base: Path) -> None:
    for name in ("run", "state"):
        (base / name).mkdir(parents=True, exist_ok=True)


ACTS = [
    Act(
        "a part of the chain ends", lambda base: append(base, "one", "two"), lambda base: append(base, "three"),
        kinds_on_disk, (("one", "two"), ("one", "two", "three")), lambda _, seen: seen == ("one", "two", "three"),
        (("one", "two", "three"), ("one", "two", "three", "three")), ("rename core.chain.0000000001",),
    ),
    Act(
        "a checkpoint", lambda base: sign(base, 1), lambda base: sign(base, 2), checkpoints_on_disk, ((1,), (1, 2)),
        lambda _, seen: seen == (1, 2), ((1, 2),), ("fsync checkpoints.log",),
    ),
    Act(
        "a lock is released", lock, release, release_on_disk, ((True, 0), (True, 1), (False, 1)),
        lambda _, seen: seen == (False, 1), ((False, 1),), ("rename incident.json",),
    ),
    Act(
        "the key is made", lambda base: None, make_key, key_on_disk, (), lambda said, seen: said == seen, (),
        ("link evidence.key",),
    ),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _small_parts() -> Iterator[None]:
    with mock.patch.object(chain_module, "PART_BYTES", 200):
        yield


def fresh(base: Path, act: Act) -> FaultyDisk:
    dirs(base)
    act.prepare(base)
    return FaultyDisk(base)


def lived(faulty: FaultyDisk, base: Path, act: Act, fault: Fault) -> object:
    """One life; what the act returned, or None when it did not come to that."""
    said: object = None
    with faulty.life(fault), contextlib.suppress(OSError):
        said = act.do(base)
    return said


def counted(base: Path, act: Act) -> list[str]:
    faulty = fresh(base, act)
    assert lived(faulty, base, act, Fault()) is not None
    operations = list(faulty.operations)
    assert set(act.wanted) <= set(operations), operations
    shutil.rmtree(base)
    return operations


def judge(base: Path, faulty: FaultyDisk, act: Act, said: object, seed: int) -> None:
    if seed != KILLED:
        faulty.cut_power(seed, base / "run")
        dirs(base)
    with faulty.life():
        seen = act.look(base)
    assert not act.between or seen in act.between, f"seen: {seen}"
    assert said is None or act.kept(said, seen), f"promised {said}, seen {seen}"
    assert lived(faulty, base, act, Fault()) is not None, "it cannot be done again"
    if seed == KILLED:
        faulty.cut_power(0, base / "run")
        dirs(base)
    with faulty.life():
        last = act.look(base)
    assert not act.done or last in act.done, f"done again: {last}"
    if act.look is key_on_disk:
        assert last, "no key"
        assert not seen or seed == KILLED or last == seen, "another key than the one that was there"


@pytest.mark.parametrize("act", ACTS, ids=lambda each: each.name)
def test_death_at_each_operation(tmp_path: Path, act: Act) -> None:
    wrong = list[str]()
    for number, operation in enumerate(counted(tmp_path / "d", act), start=1):
        for how in ("before", "after", *(("half",) if operation.startswith("write") else ())):
            for seed in AFTERMATHS:
                base = tmp_path / f"{number}-{how}-{seed}"
                faulty = fresh(base, act)
                said = lived(faulty, base, act, Fault(how, number))
                try:
                    judge(base, faulty, act, said if how == "done" else None, seed)
                except Exception as error:
                    wrong.append(f"{how} {number} ({operation}), then {seed}: {error!r}")
                shutil.rmtree(base)
    assert not wrong, "\n".join([f"{len(wrong)} wrong", *wrong])


@pytest.mark.parametrize("act", ACTS, ids=lambda each: each.name)
def test_what_has_returned_outlives_the_power(tmp_path: Path, act: Act) -> None:
    for seed in AFTERMATHS:
        base = tmp_path / str(seed)
        faulty = fresh(base, act)
        said = lived(faulty, base, act, Fault())
        assert said is not None
        judge(base, faulty, act, said, seed)


@pytest.mark.parametrize("act", ACTS, ids=lambda each: each.name)
def test_a_refusal_at_each_operation(tmp_path: Path, act: Act) -> None:
    """Nothing but OSError comes out of it; what it said that it has done is done; and it can be done again."""
    wrong = list[str]()
    for number, operation in enumerate(counted(tmp_path / "d", act), start=1):
        for code in CODES:
            for lasting in (False, True):
                base = tmp_path / f"{number}-{code}-{lasting}"
                faulty = fresh(base, act)
                try:
                    said = lived(faulty, base, act, Fault("error", number, code, lasting))
                    judge(base, faulty, act, said, 0 if number % 2 else KILLED)
                except Exception as error:
                    told = f"{errno.errorcode[code]}{' lasting' if lasting else ''}"
                    wrong.append(f"{told} {number} ({operation}): {error!r}")
                shutil.rmtree(base)
    assert not wrong, "\n".join([f"{len(wrong)} wrong", *wrong])
