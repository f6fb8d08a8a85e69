"""The modem: who it is, its SIM, network and signal; getting it back when it hangs; text messages between looks."""

import asyncio
import contextlib
import random
import time
from typing import Any

from unitd.config import ModemTable
from unitd.errors import DeviceError, ModemRefusedError, ModemSilentError
from unitd.field.health import Facts, Report
from unitd.field.sms import SmsSender
from unitd.messages.workers import Fault
from unitd.model import modem as meaning
from unitd.ports import MakeDialog, MakeLine
from unitd.runtime.logs import Logger

HUNG_AFTER = 3
"""Commands in a row without an answer."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
RESET_EVERY_S = 60.0
RESET_TAKES_S = 30.0
"""A modem is back within about that after AT+CFUN=1,1."""
SEARCH_GRACE_S = 10.0
"""A modem that has just started looks for its network; that is no fault yet."""
REPORT_SETTLE_S = 0.2
DELETE_EVERY_S = 3600.0
DELETE_TIMEOUT_S = 25.0
"""A SIM full of messages takes its time [SIMCom SIM7500/7600 AT manual, +CMGD]; that is no hang."""
DELETE_SOONEST_S = 60.0
"""Somebody who floods the SIM with messages does not keep the modem busy."""

_TELLING = ("+CEREG", "+CGREG", "+CREG", "+CPIN", "+QUSIM", "RDY", "+QIND")
_STORES = ("ME", "SM")


class ModemService:
    """Runs for ever. Faults: `modem_lost` (no port), `modem_hung` (port, no answers), `sim_missing`, `sim_pin`,
    `not_registered`; at most one at a time, the cause before what follows from it.

    A hung modem is closed, opened again and told to reset (AT+CFUN=1,1) every RESET_EVERY_S; one that reads nothing at
    all needs its supply cut, which is a person's or a relay's work.

    Messages that arrive are deleted unread, so that the store never fills: nobody gives this unit orders by SMS.
    """

    def __init__(
        self,
        config: ModemTable,
        report: Report,
        log: Logger,
        line: MakeLine,
        dialog: MakeDialog,
        sms: SmsSender | None = None,
    ) -> None:
        self._config = config
        self._report = report
        self._log = log
        self._port = line(self._heard)
        self._dialog = dialog
        self._sms = sms
        self._at = dialog(self._port.write, self._on_report)
        self._look_now = asyncio.Event()
        self._facts: Facts = {}
        self._sim: meaning.Sim = "unknown"
        self._off_network_since_s: float | None = None
        self._last_fault: Fault | None = None
        self._hung = False
        self._answered = False
        self._restarted = False
        self._last_reset_s: float | None = None
        self._next_look_s = 0.0
        self._next_delete_s = 0.0
        self._last_delete_s: float | None = None

    async def run(self) -> None:
        """Serve until cancelled."""
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                self._answered = False
                try:
                    await self._port.open()
                    await self._serve()
                except ModemSilentError as error:
                    self._fault_hung(str(error))
                except DeviceError as error:
                    self._fault_lost(str(error))
                await self._port.close()
                pause_s = FIRST_PAUSE_S if self._answered else min(pause_s * 2, LONGEST_PAUSE_S)
                await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
        finally:
            await self._port.close()

    # What arrives.

    def _heard(self, data: bytes) -> None:
        self._at.feed(data)

    def _on_report(self, line: str) -> None:
        self._log.debug("modem says", line=line[:200])
        if line.startswith(_TELLING):
            self._restarted = self._restarted or line.startswith("RDY")
            self._look_now.set()
        elif line.startswith("+CMTI"):
            self._next_delete_s = 0.0

    # One opening of the port.

    async def _serve(self) -> None:
        """Until the port is lost or the modem silent. Raises DeviceError, never returns."""
        self._at = at = self._dialog(self._port.write, self._on_report)

        async def tell_lost() -> str:
            why = await self._port.wait_lost()
            at.lost(why)
            return why

        lost = asyncio.create_task(tell_lost())
        try:
            if self._hung:
                await self._shake()
            await self._start()
            self._next_look_s = 0.0
            while not lost.done():
                if self._restarted:
                    await self._start()
                if time.monotonic() >= self._next_look_s:
                    await self._look()
                    await self._delete_messages()
                    self._next_look_s = time.monotonic() + self._config.poll_s
                if not await self._send_one():
                    await self._pause(lost)
            raise DeviceError(await lost)
        finally:
            lost.cancel()

    async def _pause(self, lost: "asyncio.Task[str]") -> None:
        """Until the next poll, sooner when the modem reports a change or is lost, or a message is to be sent."""
        told: asyncio.Task[Any] = asyncio.create_task(self._look_now.wait())
        wakers: set[asyncio.Task[Any]] = {told, lost}
        if self._sms is not None:
            wakers.add(asyncio.create_task(self._sms.wait_work()))
        timeout_s = max(0.0, self._next_look_s - time.monotonic())
        try:
            await asyncio.wait(wakers, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waker in wakers - {lost}:
                waker.cancel()
        if self._look_now.is_set():
            await asyncio.sleep(REPORT_SETTLE_S)  # reports come in bursts
            self._look_now.clear()
            self._next_look_s = 0.0

    async def _send_one(self) -> bool:
        """One message, if one is due. Raises DeviceError when the modem is hung or lost; one silence is not that."""
        if self._sms is None:
            return False
        try:
            tried = await self._sms.send_one(self._at, self._config.answer_timeout_s)
        except ModemSilentError:
            await self._ask("AT")
            return True
        if tried and self._sms.store_full:
            self._next_look_s = 0.0  # delete now
        return tried

    async def _delete_messages(self) -> None:
        """Empty the store of messages: now and then, when one arrived, and when the modem says that it is full."""
        now_s = time.monotonic()
        full = self._sms is not None and self._sms.store_full
        if self._sms is not None and self._sms.due and not full:
            return  # what goes out comes first
        if self._sim != "ready" or (now_s < self._next_delete_s and not full):
            return
        if self._last_delete_s is not None and now_s - self._last_delete_s < DELETE_SOONEST_S:
            return
        self._last_delete_s, self._next_delete_s = now_s, now_s + DELETE_EVERY_S
        if self._sms is not None:
            self._sms.store_full = False
        done = False
        for store in _STORES:  # the SIM's last: it is what every modem has, and stays chosen
            if await self._ask(f'AT+CPMS="{store}","{store}","{store}"') is not None:
                with contextlib.suppress(ModemSilentError, ModemRefusedError):
                    await self._at.ask("AT+CMGD=1,4", DELETE_TIMEOUT_S)
                    done = True
        if not done:  # the SIM may be busy yet
            self._next_delete_s = now_s + DELETE_SOONEST_S

    async def _shake(self) -> None:
        """See whether a hung modem is back; if not, order a reset now and then. Raises DeviceError."""
        try:
            await self._at.ask("AT", self._config.answer_timeout_s)
        except ModemSilentError:
            now_s = time.monotonic()
            if self._last_reset_s is None or now_s - self._last_reset_s >= RESET_EVERY_S:
                self._last_reset_s = now_s
                self._log.warning("modem told to reset", port=self._config.port)
                with contextlib.suppress(ModemSilentError, ModemRefusedError):
                    await self._at.ask("AT+CFUN=1,1", self._config.answer_timeout_s)
            raise
        except ModemRefusedError:
            return  # it speaks

    async def _start(self) -> None:
        """Settings that a reset forgets, and who it is."""
        self._restarted = False
        for command in ("ATE0", "AT+CMEE=1", "AT+CREG=2", "AT+CGREG=2", "AT+CEREG=2", "AT+CNMI=2,1"):
            await self._ask(command)
        self._facts = {}
        for key, command in (("manufacturer", "AT+CGMI"), ("model", "AT+CGMM"), ("revision", "AT+CGMR")):
            lines = await self._ask(command)
            self._facts[f"modem.{key}"] = lines[0].rpartition(": ")[2][:64] if lines else None
        self._facts["modem.imei"] = meaning.digits(await self._ask("AT+CGSN") or [], shortest=14)
        self._last_fault = None
        self._next_delete_s = 0.0
        self._log.info("modem open", port=self._config.port, model=self._facts["modem.model"])

    async def _ask(self, command: str, answers: str | None = None) -> list[str] | None:
        """The answer's lines, None when refused. Raises ModemSilentError after HUNG_AFTER tries, and DeviceError."""
        try:
            return await self._tried(command, answers)
        except ModemRefusedError as error:
            self._log.debug("modem refuses", command=command, answer=error.answer)
            return None

    async def _tried(self, command: str, answers: str | None = None) -> list[str]:
        tries = 1
        while True:
            try:
                lines = await self._at.ask(command, self._config.answer_timeout_s, answers)
            except ModemRefusedError:
                self._spoke()
                raise
            except ModemSilentError:
                if tries >= HUNG_AFTER:
                    raise
                tries += 1
            else:
                self._spoke()
                return lines

    def _spoke(self) -> None:
        self._answered = True
        if self._hung:
            self._hung, self._last_reset_s = False, None
            self._log.info("modem answers again", port=self._config.port)

    # One look.

    async def _look(self) -> None:
        await self._look_at_sim()
        registration = await self._registration()
        name, technology = meaning.operator(await self._ask("AT+COPS?") or [])
        dbm = meaning.rsrp_dbm(await self._ask("AT+CESQ") or [])
        if dbm is None:
            dbm = meaning.rssi_dbm(await self._ask("AT+CSQ") or [])
        on_network = registration in ("home", "roaming")
        self._facts |= {
            "modem.sim": self._sim,
            "modem.registration": registration,
            "modem.operator": name if on_network else None,
            "modem.technology": technology if on_network else None,
            "modem.signal_dbm": dbm,
        }
        now_s = time.monotonic()
        if on_network:
            if self._sms is not None and self._off_network_since_s is not None:
                self._sms.hurry()
            self._off_network_since_s = None
        elif self._off_network_since_s is None:
            self._off_network_since_s = now_s
        self._report(tuple(self._faults(registration, now_s)), self._facts)
        if self._sms is not None:
            self._sms.tell_health()

    async def _look_at_sim(self) -> None:
        try:
            sim = meaning.sim_of_answer(await self._tried("AT+CPIN?"))
        except ModemRefusedError as error:
            sim = meaning.sim_of_error(error.code)
        if sim != "busy":
            self._sim = sim
        if self._sim != "ready":
            self._facts |= {"modem.imsi": None, "modem.iccid": None}
        elif not self._facts.get("modem.iccid"):
            self._facts["modem.imsi"] = meaning.digits(await self._ask("AT+CIMI") or [])
            self._facts["modem.iccid"] = await self._iccid()

    async def _iccid(self) -> str | None:
        """Each maker has its own command: Quectel, SIMCom, and the usual third."""
        for command, answers in (("AT+QCCID", None), ("AT+CICCID", "+ICCID:"), ("AT+CCID", None)):
            if iccid := meaning.digits(await self._ask(command, answers) or [], shortest=18):
                return iccid
        return None

    async def _registration(self) -> meaning.Registration:
        """The best of the three domains: 4G, packet, circuit."""
        first: meaning.Registration | None = None
        for name in ("+CEREG", "+CGREG", "+CREG"):
            found = meaning.registration(await self._ask(f"AT{name}?") or [], name)
            if found in ("home", "roaming"):
                return found
            first = first or found
        return first or "unknown"

    def _faults(self, registration: meaning.Registration, now_s: float) -> list[Fault]:
        subject = self._config.port
        if self._sim == "missing":
            return [Fault(code="sim_missing", subject=subject, text="the modem finds no SIM")]
        if self._sim in ("pin", "puk"):
            return [Fault(code="sim_pin", subject=subject, text=f"the SIM asks for its {self._sim.upper()}")]
        since_s = self._off_network_since_s
        if since_s is not None and (registration == "denied" or now_s - since_s >= SEARCH_GRACE_S):
            return [Fault(code="not_registered", subject=subject, text=registration.replace("_", " "))]
        return []

    # Nothing to look at.

    def _fault_hung(self, why: str) -> None:
        self._hung = True
        self._gone(Fault(code="modem_hung", subject=self._config.port, text=why))

    def _fault_lost(self, why: str) -> None:
        if self._hung and self._last_reset_s is not None and time.monotonic() - self._last_reset_s < RESET_TAKES_S:
            return  # it went away because it was told to reset: still the same fault
        self._gone(Fault(code="modem_lost", subject=self._config.port, text=why))

    def _gone(self, fault: Fault) -> None:
        """Report `fault`; of the facts only what cannot have changed stays."""
        if fault != self._last_fault:  # a port may be away for months: one line, not one for each attempt
            self._log.warning(fault.code, port=fault.subject, why=fault.text)
        self._last_fault = fault
        if self._sms is not None:
            self._sms.unreachable(f"{fault.code}: {fault.text}")
        kept = {key: self._facts.get(f"modem.{key}") for key in ("manufacturer", "model", "revision", "imei")}
        self._facts = {f"modem.{key}": value for key, value in kept.items()}
        self._sim, self._off_network_since_s = "unknown", None
        live = {f"modem.{key}": None for key in ("operator", "technology", "signal_dbm")}
        self._report((fault,), {**self._facts, **live, "modem.sim": "unknown", "modem.registration": "unknown"})
