"""The modem's service against the least modem: a PTY that answers from a table, and goes dumb on demand."""

import asyncio
import os
import time
import tty
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
import structlog

from unitd.config import ModemTable
from unitd.drivers.modem_at import AtDialog
from unitd.drivers.serial_port import SerialPort
from unitd.field import modem as service_module
from unitd.field.health import Facts
from unitd.field.modem import ModemService
from unitd.messages.workers import Fault

ANSWERS = {
    "AT": "", "ATE0": "", "AT+CMEE=1": "", "AT+CREG=2": "", "AT+CGREG=2": "", "AT+CEREG=2": "",
    "AT+CGMI": "Maker", "AT+CGMM": "M1", "AT+CGMR": "R1", "AT+CGSN": "861536030196001",
    "AT+CPIN?": "+CPIN: READY", "AT+CIMI": "001010123456789", "AT+CICCID": "+ICCID: 8944500000000000019",
    "AT+CEREG?": "+CEREG: 2,2", "AT+CGREG?": "+CGREG: 2,2", "AT+CREG?": "+CREG: 2,5", "AT+COPS?": '+COPS: 0,0,"Net",2',
    "AT+CSQ": "+CSQ: 11,99",
}  # fmt: skip


class LeastModem:
    """An older modem: what is not in the table is ERROR. `dumb` ones answer nothing until told to reset."""

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.answers = dict(ANSWERS)
        self.dumb = False
        self.heard: list[str] = []
        self._line = b""
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def _read(self) -> None:
        *commands, self._line = (self._line + os.read(self._master, 4096)).split(b"\r")
        for command in commands:
            self._command(command.decode())

    def _command(self, command: str) -> None:
        self.heard.append(command)
        if command == "AT+CFUN=1,1":
            self.dumb = False
        elif not self.dumb:
            answer = self.answers.get(command)
            text = "ERROR" if answer is None else f"{answer}\r\nOK"
            os.write(self._master, f"\r\n{text}\r\n".encode())

    def say(self, line: str) -> None:
        os.write(self._master, f"\r\n{line}\r\n".encode())

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)


class Told:
    """The last report of the service."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.facts: Facts = {}

    def take(self, faults: tuple[Fault, ...], facts: Facts) -> None:
        self.faults, self.facts = [fault.code for fault in faults], dict(facts)

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "never came true"
            await asyncio.sleep(0.005)


def with_service(work: Callable[[LeastModem, Told], Awaitable[Any]], **settings: Any) -> None:
    async def go() -> None:
        least, told = LeastModem(), Told()
        table = ModemTable(port=least.port, poll_s=0.05, answer_timeout_s=0.05)
        table = msgspec.structs.replace(table, **settings)
        line = partial(SerialPort, table.port, 115200)
        service = ModemService(table, told.take, structlog.get_logger(), line, AtDialog)
        running = asyncio.create_task(service.run())
        try:
            await work(least, told)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            least.close()

    asyncio.run(go())


def test_an_older_modem_by_its_fallbacks() -> None:
    async def work(least: LeastModem, told: Told) -> None:
        await told.until(lambda: told.facts.get("modem.registration") == "roaming")
        assert told.faults == []
        assert told.facts["modem.signal_dbm"] == -91
        assert told.facts["modem.technology"] == "3G"
        assert told.facts["modem.iccid"] == "8944500000000000019"

    with_service(work)


def test_a_dumb_modem_is_told_to_reset_and_is_back_by_itself() -> None:
    async def work(least: LeastModem, told: Told) -> None:
        await told.until(lambda: told.facts.get("modem.registration") == "roaming")
        least.dumb = True
        await told.until(lambda: told.faults == ["modem_hung"])
        await told.until(lambda: "AT+CFUN=1,1" in least.heard)
        await told.until(lambda: told.faults == [])

    with_service(work)


def test_one_slow_answer_is_no_hang() -> None:
    async def work(least: LeastModem, told: Told) -> None:
        await told.until(lambda: told.facts.get("modem.registration") == "roaming")
        least.dumb = True
        before = len(least.heard)
        await told.until(lambda: len(least.heard) > before)
        least.dumb = False
        after = len(least.heard)
        await told.until(lambda: len(least.heard) > after + 20)
        assert told.faults == []

    with_service(work, answer_timeout_s=0.3)


def test_searching_is_a_fault_only_after_a_while(monkeypatch: Any) -> None:
    monkeypatch.setattr(service_module, "SEARCH_GRACE_S", 0.5)

    async def work(least: LeastModem, told: Told) -> None:
        least.answers["AT+CREG?"] = "+CREG: 2,2"
        await told.until(lambda: told.facts.get("modem.registration") == "searching")
        assert told.faults == []
        await told.until(lambda: told.faults == ["not_registered"])
        least.answers["AT+CREG?"] = "+CREG: 2,1"
        await told.until(lambda: told.faults == [])

    with_service(work)


def test_a_modem_that_started_anew_is_set_up_again() -> None:
    async def work(least: LeastModem, told: Told) -> None:
        await told.until(lambda: told.facts.get("modem.registration") == "roaming")
        first = least.heard.count("AT+CMEE=1")
        least.say("RDY")
        await told.until(lambda: least.heard.count("AT+CMEE=1") > first)

    with_service(work, poll_s=600.0)


def test_a_modem_that_refuses_everything_is_no_hang_and_no_crash() -> None:
    async def work(least: LeastModem, told: Told) -> None:
        least.answers.clear()
        await told.until(lambda: told.facts.get("modem.registration") == "unknown")
        assert "modem_hung" not in told.faults

    with_service(work)


def test_noise_between_answers_does_no_harm() -> None:
    async def work(least: LeastModem, told: Told) -> None:
        await told.until(lambda: told.facts.get("modem.registration") == "roaming")
        for noise in ("\xff\x00garbage", "+CEREG:", "+CPIN: ,,,", "OK", "ERROR", "+CME ERROR: x", "x" * 5000):
            least.say(noise)
        looks = least.heard.count("AT+CSQ")
        await told.until(lambda: least.heard.count("AT+CSQ") > looks + 3)
        await told.until(lambda: told.faults == [] and told.facts.get("modem.registration") == "roaming")

    with_service(work)
