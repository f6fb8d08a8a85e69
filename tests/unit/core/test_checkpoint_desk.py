"""Checkpoints: they follow from each other, sign what is there, and none signs a head that went back."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tests.unit.core.desks import SECOND_NS, Clock, Disk, Log, Signer, turns
from unitd.core import checkpoint_desk
from unitd.core.chain_desk import ChainDesk
from unitd.core.checkpoint_desk import LOCK_S, START_S, CheckpointDesk
from unitd.evidence.canonical import is_canonical
from unitd.store.chain import Chain, Head
from unitd.store.checkpoints import LOG_NAME, Signed, read_checkpoints


class Rig:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.clock, self.disk, self.signer = Clock(), Disk(), Signer()
        self.record: Head | None = None
        self.told: list[Signed] = []
        self.listening = True
        self.start()

    def start(self) -> None:
        """A core that starts (again)."""
        log: Any = Log()
        self.chain = ChainDesk(Chain(self.base / "core.chain"), lambda: 3, self.clock, self.disk, log)
        self.desk = CheckpointDesk(
            "pole-1", self.base, lambda: 3, "boot", 3600.0, self.chain, lambda: self.record, self.signer, self.clock,
            self.disk, log, self.told.append, lambda: self.listening,
        )  # fmt: skip

    async def make(self, record: Head | None = None) -> Signed:
        """One now."""
        work = asyncio.create_task(self.desk.run())
        try:
            return await self.desk.ask(record)
        finally:
            work.cancel()

    def kept(self) -> list[Signed]:
        return list(read_checkpoints(self.base))


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def _head(n: int, letter: str = "a") -> Head:
    return Head(n, letter * 64)


def test_each_follows_from_the_one_before_over_a_restart(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        for number in range(1, 5):
            rig.record = _head(number * 10)
            rig.chain.add("session", session=number)
            signed = await rig.make()
            assert signed.checkpoint.n == number
            assert signed.checkpoint.heads["core"].n == number
            assert signed.checkpoint.heads["record"].n == number * 10
            assert is_canonical(signed.body) and signed.signature == signed.body[-64:]
            if number == 2:
                rig.start()

    run(story)
    kept = rig.kept()
    assert [each.checkpoint.prev for each in kept] == ["0" * 64, *(each.hash for each in kept[:-1])]
    assert rig.told == kept


def test_a_record_that_says_nothing_is_signed_as_it_was_last(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        assert set((await rig.make()).checkpoint.heads) == {"core"}
        rig.record = _head(7)
        await rig.make()
        rig.record = None
        rig.start()
        assert (await rig.make()).checkpoint.heads["record"].n == 7
        assert (await rig.make(_head(9, "b"))).checkpoint.heads["record"].n == 9
        assert (await rig.make(_head(8))).checkpoint.heads["record"].n == 9

    run(story)
    assert rig.desk.faults() == []


def test_of_two_tools_at_once_both_are_covered(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        work = asyncio.create_task(rig.desk.run())
        one, other = await asyncio.gather(rig.desk.ask(_head(7)), rig.desk.ask(_head(9)))
        work.cancel()
        assert one == other and one.checkpoint.heads["record"].n == 9

    run(story)


@pytest.mark.parametrize("now", [_head(6), _head(7, "b"), _head(1)])
def test_a_record_that_went_back_is_left_out_loudly_until_it_is_back(tmp_path: Path, now: Head) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        rig.record = _head(7)
        await rig.make()
        rig.record = now
        assert set((await rig.make()).checkpoint.heads) == {"core"}
        [fault] = rig.desk.faults()
        assert (fault.code, fault.subject) == ("chain_went_back", "record")
        rig.start()
        await rig.make()
        assert [fault.code for fault in rig.desk.faults()] == ["chain_went_back"]
        rig.record = _head(8)
        assert (await rig.make()).checkpoint.heads["record"].n == 8
        assert rig.desk.faults() == []

    run(story)


def test_nothing_is_signed_when_cores_own_chain_went_back(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        rig.chain.add("session")
        rig.chain.add("session")
        await rig.make()
        (tmp_path / "core.chain").unlink()
        rig.start()
        rig.chain.add("session")
        with pytest.raises(OSError, match="had 2 lines when it was signed, and has 1 now"):
            await rig.make()
        assert "chain_went_back" in {fault.code for fault in rig.desk.faults()}

    run(story)
    assert len(rig.kept()) == 1 and len(rig.signer.signed) == 1


def test_what_cannot_be_signed_or_kept_is_told_and_healed(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        rig.signer.error = "no key"
        with pytest.raises(OSError, match="no key"):
            await rig.make()
        assert [(fault.code, fault.subject) for fault in rig.desk.faults()] == [("signing_failed", "evidence")]
        rig.signer.error = ""
        await rig.make()
        assert rig.desk.faults() == []

    run(story)
    assert len(rig.told) == 1


def test_a_refused_log_tells_nobody_and_gives_the_number_again(tmp_path: Path, mocker: MockerFixture) -> None:
    """What the control room holds must be on the disk, or two checkpoints would have one number."""
    rig = Rig(tmp_path)

    async def story() -> None:
        refusing = mocker.patch.object(checkpoint_desk, "append_checkpoint", side_effect=OSError("full"))
        with pytest.raises(OSError, match="full"):
            await rig.make()
        assert rig.told == []
        mocker.stop(refusing)
        assert (await rig.make()).checkpoint.n == 1

    run(story)
    assert rig.told == rig.kept()


def test_a_line_that_is_there_although_the_disk_said_no_is_gone_on_from(tmp_path: Path, mocker: MockerFixture) -> None:
    """Its sync failed: a second one of that number would contradict it."""
    rig = Rig(tmp_path)
    real = checkpoint_desk.append_checkpoint

    def written_and_refused(*what: Any) -> None:
        real(*what)
        raise OSError("sync")

    async def story() -> None:
        await rig.make()
        refusing = mocker.patch.object(checkpoint_desk, "append_checkpoint", side_effect=written_and_refused)
        with pytest.raises(OSError, match="sync"):
            await rig.make()
        mocker.stop(refusing)
        await rig.make()

    run(story)
    kept = rig.kept()
    assert [each.checkpoint.n for each in kept] == [1, 2, 3]
    assert [each.checkpoint.prev for each in kept] == ["0" * 64, *(each.hash for each in kept[:-1])]


def test_while_nobody_listens_the_newest_waits(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.listening = False

    async def story() -> None:
        for _ in range(3):
            await rig.make()
        rig.listening = True
        rig.desk.tell()
        rig.desk.tell()

    run(story)
    assert [each.checkpoint.n for each in rig.told] == [3]


def test_a_torn_log_is_gone_on_from(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        await rig.make()
        with (tmp_path / LOG_NAME).open("ab") as log:
            log.write(b'{"body":"{\\"n\\":9')
        rig.start()
        assert (await rig.make()).checkpoint.n == 2

    run(story)
    assert [each.checkpoint.n for each in rig.kept()] == [1, 2]


def test_a_press_is_not_signed_at_once_and_an_hour_is_an_hour(tmp_path: Path, mocker: MockerFixture) -> None:
    rig = Rig(tmp_path)
    waits: list[float] = []

    async def story() -> None:
        async def within(self: Any, limit_s: float | None) -> bool:
            waits.append(limit_s or 0.0)
            rig.clock.now_ns += int((limit_s or 0.0) * SECOND_NS)
            await asyncio.sleep(0)
            return False

        mocker.patch("unitd.runtime.waiting.Wake.within", within)
        rig.desk.soon(LOCK_S)
        work = asyncio.create_task(rig.desk.run())
        await turns(lambda: len(rig.kept()) == 2)
        work.cancel()

    run(story)
    assert waits[:2] == [LOCK_S, 3600.0]
    assert LOCK_S < START_S


@pytest.mark.parametrize(("certificate", "codes"), [("missing", []), ("fits", []), ("another", ["signing_failed"])])
def test_a_certificate_that_is_missing_is_no_fault_one_that_does_not_fit_is(
    tmp_path: Path, certificate: str, codes: list[str]
) -> None:
    rig = Rig(tmp_path)
    rig.desk.certificate = certificate
    assert [fault.code for fault in rig.desk.faults()] == codes
