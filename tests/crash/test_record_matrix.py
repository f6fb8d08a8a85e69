"""The recorder with a death, a torn write or a refusal at each operation of the disk, and the starts that follow."""

import errno
import os
import shutil
from pathlib import Path

from tests.crash.faulty_disk import CHANGING, Fault, FaultyDisk
from tests.crash.record_judge import Witness, judge, judge_refused, whole_chain
from tests.crash.record_life import Street, again, lived, story, story_then_healed

LONG = bool(os.environ.get("UNITD_TEST_LONG"))
KILLED = -1
"""Instead of a seed: the program died and the machine did not."""
AFTERMATHS = (KILLED, 0, 1, 2, 3)
CODES = (errno.EIO, errno.ENOSPC, errno.EROFS)
BOOT = "first-boot"


def fresh(base: Path) -> tuple[FaultyDisk, Street, Witness]:
    for name in ("run", "state"):
        (base / name).mkdir(parents=True)
    faulty, street = FaultyDisk(base), Street(base)
    return faulty, street, Witness(street, faulty)


def counted(base: Path) -> list[str]:
    faulty, street, _ = fresh(base)
    assert lived(faulty, street, BOOT, story)
    return list(faulty.operations)


def deaths(operations: list[str]) -> list[Fault]:
    """After each operation that changes anything, and half-way through each write; with LONG before each one too."""
    found = []
    for number, operation in enumerate(operations, start=1):
        kind = operation.split()[0]
        if LONG:
            found.append(Fault("before", number))
        if kind in (*CHANGING, "fsyncdir") or LONG:
            found.append(Fault("after", number))
        if kind == "write":
            found.append(Fault("half", number))
    return found


def aftermath(faulty: FaultyDisk, street: Street, seed: int) -> str:
    """What the death leaves; returns the kernel's boot that follows."""
    if seed == KILLED:
        return BOOT
    faulty.cut_power(seed, street.base / "run")
    (street.base / "run").mkdir(exist_ok=True)
    faulty.adopt(street.base / "run")
    return f"boot-after-{seed}"


def test_the_same_operations_in_every_run(tmp_path: Path) -> None:
    first = counted(tmp_path / "a")
    shutil.rmtree(tmp_path / "a")
    again_counted = counted(tmp_path / "a")
    assert first == again_counted
    for wanted in (
        "fsync",
        "truncate record.chain",
        "unlink .reserve",
        "rename record.chain.0000000001",
        "unlink dome/",
    ):
        assert any(wanted in each for each in first), f"the story has no {wanted}"


def test_death_at_each_operation(tmp_path: Path) -> None:
    faults, wrong = deaths(counted(tmp_path / "counted")), list[str]()
    for index, fault in enumerate(faults):
        seeds = AFTERMATHS if LONG else (AFTERMATHS[index % len(AFTERMATHS)],)
        for seed in seeds:
            wrong += dies(tmp_path / f"{index}-{seed}", fault, seed)
    assert not wrong, "\n".join([f"{len(wrong)} wrong", *wrong])


def dies(base: Path, fault: Fault, seed: int) -> list[str]:
    """One death, what it leaves, and two starts; what is wrong then, in words that say how to do it again."""
    faulty, street, witness = fresh(base)
    assert not lived(faulty, street, BOOT, story, fault)
    operation = faulty.operations[fault.at - 1]
    try:
        died_at = street.next_number
        boot_id = aftermath(faulty, street, seed)
        assert lived(faulty, street, boot_id, again), "the second life did not come to its end"
        judge(street, witness, seed != KILLED, died_at)
        before = whole_chain(base / "evidence" / "record.chain")
        assert lived(faulty, street, boot_id, again), "the third life did not come to its end"
        if LONG:
            judge(street, witness, seed != KILLED, died_at)
        after = whole_chain(base / "evidence" / "record.chain")
        twice = [line for line in after[len(before) :] if line["kind"] == "recovered"]
        assert twice == [], "recovery was done twice"
    except Exception as error:
        return [f"{fault.how} {fault.at} ({operation}), then {seed}: {error}"]
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return []


def refusals(operations: list[str]) -> list[Fault]:
    """Every refusal at every operation, once and from then on; without LONG they take turns."""
    found = []
    for number, operation in enumerate(operations, start=1):
        if operation.split()[0] not in CHANGING and not LONG:
            continue
        each = [Fault("error", number, code, lasting) for code in CODES for lasting in (False, True)]
        if operation.startswith("write") and not operation.endswith(".mp4"):
            each.append(Fault("half-error", number, errno.ENOSPC))
        found += each if LONG else [each[number % len(each)]]
    return found


def test_a_refusal_at_each_operation_heals_without_a_restart(tmp_path: Path) -> None:
    wrong = list[str]()
    for index, fault in enumerate(refusals(counted(tmp_path / "counted"))):
        wrong += refuses(tmp_path / str(index), fault)
    assert not wrong, "\n".join([f"{len(wrong)} wrong", *wrong])


def refuses(base: Path, fault: Fault) -> list[str]:
    faulty, street, witness = fresh(base)
    ended = lived(faulty, street, BOOT, story_then_healed, fault)
    operations = list(faulty.operations)
    operation = operations[fault.at - 1] if len(operations) >= fault.at else "?"
    failed_sync = operation.removeprefix("fsync ") if operation.startswith("fsync ") else ""
    try:
        assert ended, "the process died of it"
        judge_refused(street, witness, operations[fault.at :], failed_sync, after_cut=False)
        # and what the next start makes of it, after a power cut that leaves the least
        boot_id = aftermath(faulty, street, 0)
        assert lived(faulty, street, boot_id, again), "the second life did not come to its end"
        judge_refused(street, witness, [], "", after_cut=True)
    except Exception as error:
        code = errno.errorcode[fault.code]
        return [f"{fault.how} {code}{' lasting' if fault.lasting else ''} {fault.at} ({operation}): {error}"]
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return []
