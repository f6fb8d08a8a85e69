"""Text messages: the process `field` and a simulated modem, which reads each PDU as a service centre does."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import serial
import structlog

from hw_sim.devices.modem import SimModem
from hw_sim.devices.modem_state import SIMCOM, Identity
from tests.contract.field_process import Core, field, until
from unitd.config import ModemTable
from unitd.drivers.modem_at import AtDialog
from unitd.drivers.serial_port import SerialPort
from unitd.field import modem as modem_service
from unitd.field.health import Board
from unitd.field.modem import ModemService
from unitd.field.sms import SmsSender
from unitd.messages.workers import SmsWanted
from unitd.model import sms_queue
from unitd.runtime.ipc import CoreLink

ANA, BEN = "+447700900001", "+447700900002"
TEXT = "HELP POINT ALARM K7Q2PD\nStation Road – café [north]"
ARRIVES = "HELP POINT ALARM K7Q2PD\nStation Road - café [north]"


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sms_queue, "FIRST_PAUSE_S", 0.5)


@pytest.fixture
def modem(tmp_path: Path) -> Iterator[SimModem]:
    made = SimModem(link=tmp_path / "modem", reset_s=0.3, search_s=0.2)
    yield made
    made.close()


def _table(modem: SimModem, poll_s: float = 600.0) -> str:
    return f'[modem]\nport = "{modem.path}"\npoll_s = {poll_s}\nanswer_timeout_s = 0.5\n'


def _sms(sms_id: str, number: str = ANA, text: str = TEXT) -> SmsWanted:
    return SmsWanted(sms_id=sms_id, number=number, text=text)


def _told(core: Core, name: str) -> list[Any]:
    return [event.data["sms_id"] for event in core.events if event.name == name]


async def _registered(core: Core) -> None:
    await until(lambda: core.health.facts.get("modem.registration") == "home", what="registered")


@pytest.mark.parametrize("identity", [Identity(), SIMCOM], ids=["quectel", "simcom"])
def test_a_wanted_message_goes_at_once_and_once(tmp_path: Path, identity: Identity) -> None:
    modem = SimModem(link=tmp_path / "modem", identity=identity)

    async def go() -> None:
        async with field(tmp_path, _table(modem)) as core:
            await _registered(core)
            wanted_ns = time.monotonic_ns()
            core.want_sms(_sms("a"))
            await until(lambda: _told(core, "sms_sent") != [], what="sent")
            (sms,) = modem.sms_sent
            assert (sms.number, sms.text) == (ANA, ARRIVES)
            assert (sms.mono_ns - wanted_ns) / 1e9 < 2.0
            assert core.events[-1].data == {"sms_id": "a", "number": ANA, "reference": 1}
            core.want_sms(_sms("a"), _sms("b", BEN, "second"))
            await until(lambda: "b" in _told(core, "sms_sent"), what="the second")
            assert [(each.number, each.text) for each in modem.sms_sent] == [(ANA, ARRIVES), (BEN, "second")]
            core.want_sms()
            await until(lambda: core.health.facts.get("sms.sent") == 2, what="counted")

    asyncio.run(go())
    modem.close()


def test_a_core_that_did_not_hear_is_told_again_and_nothing_goes_twice(tmp_path: Path, modem: SimModem) -> None:
    async def go() -> None:
        async with field(tmp_path, _table(modem)) as core:
            core.want_sms(_sms("a"))
            await until(lambda: "a" in _told(core, "sms_sent"), what="sent")
            core.vanish()
            core.events.clear()
            await core.come_back()
            await until(lambda: "a" in _told(core, "sms_sent"), what="told to the next core")
        async with field(tmp_path, _table(modem)) as core:  # a new field, with the same run_dir
            core.want_sms(_sms("a"), _sms("b"))
            await until(lambda: set(_told(core, "sms_sent")) == {"a", "b"}, what="told by the next field")
        assert len(modem.sms_sent) == 2

    asyncio.run(go())


def test_a_number_that_is_refused_holds_up_nobody_and_is_tried_again(tmp_path: Path, modem: SimModem) -> None:
    async def go() -> None:
        modem.sms_faults.refuse[ANA] = 28
        async with field(tmp_path, _table(modem)) as core:
            core.want_sms(_sms("a1"), _sms("a2"), _sms("b1", BEN), _sms("b2", BEN))
            await until(lambda: {"b1", "b2"} <= set(_told(core, "sms_sent")), within_s=5, what="the other number")
            assert {sms.number for sms in modem.sms_sent} == {BEN}
            failed = next(event for event in core.events if event.name == "sms_failed")
            assert failed.data == {"sms_id": "a1", "number": ANA, "error": "number not known (CMS 28)"}
            modem.sms_faults.refuse.clear()
            await until(lambda: {"a1", "a2"} <= set(_told(core, "sms_sent")), what="tried again")
            assert _told(core, "sms_failed").count("a1") == 1

    asyncio.run(go())


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize(("when", "most"), [("before", 1), ("after", 2)])
def test_a_modem_that_restarts_in_the_middle_of_a_message(
    tmp_path: Path, modem: SimModem, when: Literal["before", "after"], most: int
) -> None:
    async def go() -> None:
        modem.sms_faults.reset = when
        async with _in_process(tmp_path, modem) as core:
            core.want_sms(_sms("a"))
            await until(lambda: "a" in _told(core, "sms_sent"), what="sent after all")
            failed = next(event for event in core.events if event.name == "sms_failed")
            assert "may have gone" in str(failed.data["error"])
            assert 1 <= len(modem.sms_sent) <= most
            await _registered(core)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("fault", "error"), [("sim", "no SIM (CMS 310)"), ("network", "no network (CMS 331)"), ("port", "modem_lost")]
)
def test_what_cannot_go_is_told_and_goes_as_soon_as_it_can(
    tmp_path: Path, modem: SimModem, fault: str, error: str
) -> None:
    async def go() -> None:
        if fault == "sim":
            modem.set_sim("NOT INSERTED")
        elif fault == "network":
            modem.set_registration("searching")
        else:
            modem.unplug()
        async with field(tmp_path, _table(modem)) as core:
            core.want_sms(_sms("a"))
            await until(lambda: core.told("sms_failed") > 0, what="told")
            assert error in str(core.events[0].data["error"])
            modem.set_sim("READY")
            modem.set_registration("home")
            modem.plug()
            mended_s = time.monotonic()
            await until(lambda: "a" in _told(core, "sms_sent"), what="sent")
            assert time.monotonic() - mended_s < 4.0, "did not wait for the end of its pause"
            assert len(modem.sms_sent) == core.told("sms_failed") == 1

    asyncio.run(go())


def test_a_modem_that_was_left_at_the_prompt_is_taken_out_of_it(tmp_path: Path, modem: SimModem) -> None:
    with serial.Serial(str(modem.path), timeout=3.0) as port:
        port.write(b"ATE0\r")
        assert port.read_until(b"OK\r\n").endswith(b"OK\r\n")
        port.write(b"AT+CMGS=23\r")
        assert port.read(4) == b"\r\n> "
        port.write(b"0011000C91")  # and its process dies

    async def go() -> None:
        async with field(tmp_path, _table(modem)) as core:
            core.want_sms(_sms("a"))
            await until(lambda: "a" in _told(core, "sms_sent"), within_s=10, what="sent")
            assert [sms.text for sms in modem.sms_sent] == [ARRIVES]
            assert core.codes() == set()

    asyncio.run(go())


def test_messages_that_arrive_are_deleted_and_never_acted_upon(tmp_path: Path, modem: SimModem) -> None:
    for _ in range(23):
        assert modem.receive_sms(ANA, "OPEN THE DOOR")
    assert not modem.receive_sms(ANA, "one too many")

    async def go() -> None:
        async with field(tmp_path, _table(modem)) as core:
            await _registered(core)
            await until(lambda: modem.state.inbox == {}, what="emptied")
            assert core.events == []

    asyncio.run(go())


@contextlib.asynccontextmanager
async def _in_process(directory: Path, modem: SimModem, **timeouts: float) -> AsyncIterator[Core]:
    """Core's stand-in and the modem's service on one loop, so that its time-outs can be short."""
    core = Core(directory / "core.sock")
    await core.come_back()
    log = structlog.get_logger()
    link = CoreLink(directory, "field", log)
    board = Board(link.set_health)
    table = ModemTable(port=str(modem.path), poll_s=600.0, answer_timeout_s=0.3)
    sms = SmsSender(link, board.part("sms"), log, directory, **timeouts)
    service = ModemService(table, board.part("modem"), log, partial(SerialPort, table.port, 115200), AtDialog, sms)
    tasks = [asyncio.create_task(link.run()), asyncio.create_task(service.run())]
    try:
        yield core
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        core.vanish()


@pytest.mark.usefixtures("short_pauses")
def test_a_modem_without_a_prompt_and_one_that_falls_silent_after_the_text(tmp_path: Path, modem: SimModem) -> None:
    async def go() -> None:
        async with _in_process(tmp_path, modem, prompt_timeout_s=0.2, send_timeout_s=0.5) as core:
            modem.sms_faults.no_prompt = True
            core.want_sms(_sms("a"))
            await until(lambda: _told(core, "sms_failed") == ["a"], what="no prompt is told")
            assert "no prompt" in str(core.events[0].data["error"])
            modem.sms_faults.no_prompt = False
            modem.sms_faults.silent, modem.sms_faults.silent_s = True, 0.6
            core.want_sms(_sms("a"), _sms("b", BEN))
            await until(lambda: _told(core, "sms_failed") == ["a", "b"], what="silence is told")
            assert "may have gone" in str(core.events[1].data["error"])
            modem.sms_faults.silent = False
            await until(lambda: {"a", "b"} <= set(_told(core, "sms_sent")), within_s=20, what="both in the end")
            assert sorted(sms.number for sms in modem.sms_sent) == [ANA, BEN]
            assert core.codes() == set(), "a silence is no hang"

    asyncio.run(go())


@pytest.mark.usefixtures("short_pauses")
def test_a_number_that_stays_refused_is_a_fault_and_what_is_no_number_is_refused_here(
    tmp_path: Path, modem: SimModem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sms_queue, "REFUSED_AFTER_S", 0.2)

    async def go() -> None:
        async with _in_process(tmp_path, modem) as core:
            modem.sms_faults.refuse[BEN] = 10
            core.want_sms(_sms("a", "rm -rf"), _sms("b", BEN))
            await until(lambda: len(core.health.faults) == 2, what="faults")
            assert {(fault.code, fault.subject, fault.text) for fault in core.health.faults} == {
                ("sms_refused", "rm -rf", "no telephone number"),
                ("sms_refused", BEN, "barred (CMS 10)"),
            }
            modem.sms_faults.refuse.clear()
            await until(lambda: _told(core, "sms_sent") == ["b"], what="sent")
            core.want_sms()
            await until(lambda: core.codes() == set(), what="well again")

    asyncio.run(go())


def test_a_full_store_is_emptied_at_once(tmp_path: Path, modem: SimModem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modem_service, "DELETE_SOONEST_S", 0.0)

    async def go() -> None:
        async with _in_process(tmp_path, modem) as core:
            await _registered(core)
            for _ in range(23):
                assert modem.receive_sms(BEN, "OPEN")
            modem.sms_faults.refuse[ANA] = 322
            core.want_sms(_sms("a"))
            await until(lambda: modem.state.inbox == {}, within_s=5, what="emptied")

    asyncio.run(go())


@pytest.mark.usefixtures("short_pauses")
def test_a_modem_that_hangs_in_a_message_is_found_hung_and_sends_when_it_is_back(
    tmp_path: Path, modem: SimModem
) -> None:
    async def go() -> None:
        async with _in_process(tmp_path, modem, send_timeout_s=0.5) as core:
            await _registered(core)
            modem.sms_faults.network_s = 0.3
            core.want_sms(_sms("a"))
            await until(lambda: modem.entering, what="at it")
            modem.hang(True)
            await until(lambda: core.codes() == {"modem_hung"}, what="found hung")
            modem.hang(False)
            await until(lambda: "a" in _told(core, "sms_sent"), what="sent")
            await until(lambda: core.codes() == set(), what="well again")

    asyncio.run(go())


def test_a_slow_network_delays_and_loses_nothing(tmp_path: Path, modem: SimModem) -> None:
    async def go() -> None:
        modem.sms_faults.network_s = 1.0
        async with field(tmp_path, _table(modem, poll_s=0.2)) as core:
            core.want_sms(_sms("a"), _sms("b", BEN))
            await until(lambda: {"a", "b"} <= set(_told(core, "sms_sent")), what="both")
            assert [sms.number for sms in modem.sms_sent] == [ANA, BEN]
            assert core.told("sms_failed") == 0

    asyncio.run(go())
