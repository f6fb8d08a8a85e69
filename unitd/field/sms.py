"""Text messages that core wants, sent through the modem: each once, in turns, for as long as they are wanted."""

import asyncio
import time
from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE, DeviceError, ModemRefusedError
from unitd.field.health import Facts, Report
from unitd.messages.workers import Fault
from unitd.model import cms
from unitd.model import modem as meaning
from unitd.model.sms import normal_number
from unitd.model.sms_pdu import submit
from unitd.model.sms_queue import Message, SmsQueue
from unitd.ports import ModemDialog
from unitd.runtime.ipc import CoreLink
from unitd.runtime.logs import Logger

LEDGER = "field-sms.json"
BIGGEST_LEDGER_BYTES = 256 * 1024
PROMPT_TIMEOUT_S = 5.0
SEND_TIMEOUT_S = 60.0
"""A modem ends its own attempt after TR1M (35 to 45 s, 3GPP TS 24.011, 10) and the setting up of the link."""
MOST_FAULTS = 8

_Ledger = list[tuple[str, int | None]]


class SmsSender:
    """Used by the modem's service, on its loop, between two looks at the modem; nothing here blocks.

    A message counts as sent when the modem answers with its reference: the network has it; whether a person does,
    nobody tells. `sms_sent` is told then, and again every few seconds while core goes on wanting the message;
    `sms_failed` once for each message, at its first failure. Ids of what was sent are kept in `run_dir` (tmpfs), so
    that a new field sends nothing twice; when that file cannot be written they are kept in memory.

    **A message may go twice** when the modem falls silent, restarts or is unplugged, or field dies, after the text was
    written and before the answer was read: nobody can know whether it went, and an alarm read twice does less harm
    than one never read.

    Faults: `sms_refused`, one for each number refused for 10 minutes. Facts: `sms.waiting`, `sms.sent`.
    """

    def __init__(
        self,
        core: CoreLink,
        report: Report,
        log: Logger,
        run_dir: Path,
        *,
        prompt_timeout_s: float = PROMPT_TIMEOUT_S,
        send_timeout_s: float = SEND_TIMEOUT_S,
    ) -> None:
        self._core = core
        self._report = report
        self._log = log
        self._ledger = run_dir / LEDGER
        self._prompt_timeout_s = prompt_timeout_s
        self._send_timeout_s = send_timeout_s
        self._queue = SmsQueue(self._read())
        self._sent = 0
        self._seen = -1
        self.store_full = False
        """The modem said that its message store is full: delete what is in it."""

    async def wait_work(self) -> None:
        """Until there may be something to do: a new desired state, or a message is due."""
        now_s = time.monotonic()
        next_s = self._queue.next_s()
        try:
            async with asyncio.timeout(None if next_s is None else max(0.0, next_s - now_s)):
                await self._core.wait_change(self._seen)
        except TimeoutError:
            return

    @property
    def due(self) -> bool:
        """Whether a message waits to be tried now."""
        self._take()
        return self._queue.due(time.monotonic()) is not None

    def hurry(self) -> None:
        """SIM or network are back: try at once what has failed."""
        self._queue.hurry(time.monotonic())

    def unreachable(self, why: str) -> None:
        """There is no modem to talk to. Messages wait for it and are told to have failed, each once."""
        self._take()
        for message in self._queue.unreachable():
            self._tell_failed(message, why)

    async def send_one(self, at: ModemDialog, answer_timeout_s: float) -> bool:
        """Try the message whose turn it is; False when none is due.

        Raises DeviceError when the port is lost or the modem silent; the message then waits for its next turn.
        """
        self._take()
        message = self._queue.due(time.monotonic())
        if message is None:
            return False
        if normal_number(message.number) != message.number:
            self._failed(message, "no telephone number", refusal="no telephone number")
            return True
        written = False

        def gone() -> None:
            nonlocal written
            written = True

        try:
            await at.ask("AT+CMGF=0", answer_timeout_s)
            pdu = submit(message.number, message.text)
            lines = await at.send_text(
                f"AT+CMGS={pdu.length}",
                pdu.hex,
                prompt_timeout_s=self._prompt_timeout_s,
                timeout_s=self._send_timeout_s,
                gone=gone,
            )
        except ModemRefusedError as error:
            self.store_full = self.store_full or error.code == cms.MEMORY_FULL
            words = cms.words(error.code)
            self._failed(message, words, refusal=words if cms.is_about_the_number(error.code) else None)
        except DeviceError as error:
            self._failed(message, f"{error}; it may have gone" if written else str(error), unsure=written)
            raise
        else:
            self._went(message, meaning.whole(meaning.values(lines, "+CMGS"), 0))
        return True

    # Core's wishes and what core is told.

    def _take(self) -> None:
        """Look at what is wanted now, and tell again what core did not hear."""
        now_s = time.monotonic()
        if self._seen != self._core.version:
            self._seen = self._core.version
            desired = self._core.desired
            wanted = () if desired is None else desired.sms
            self._queue.want((Message(each.sms_id, each.number, each.text) for each in wanted), now_s)
            if self._queue.left_out:
                self._log.warning("more text messages wanted than are taken up", left_out=self._queue.left_out)
        for message, reference in self._queue.to_tell(now_s):
            self._core.event("sms_sent", sms_id=message.sms_id, number=message.number, reference=reference)
        self.tell_health()

    def tell_health(self) -> None:
        """Faults and facts as they are now."""
        refused = self._queue.refused(time.monotonic())[:MOST_FAULTS]
        faults = tuple(Fault(code="sms_refused", subject=number, text=words) for number, words in refused)
        facts: Facts = {"sms.waiting": self._queue.waiting, "sms.sent": self._sent}
        self._report(faults, facts)

    def _went(self, message: Message, reference: int | None) -> None:
        self._sent += 1
        self._queue.sent(message, reference)
        self._write()
        self._log.info("text message sent", sms_id=message.sms_id, number=message.number, reference=reference)
        self._take()

    def _failed(self, message: Message, why: str, refusal: str | None = None, *, unsure: bool = False) -> None:
        if self._queue.failed(message, time.monotonic(), refusal=refusal, unsure=unsure):
            self._tell_failed(message, why)
        else:
            self._log.debug("text message failed again", sms_id=message.sms_id, why=why)
        self.tell_health()

    def _tell_failed(self, message: Message, why: str) -> None:
        self._log.warning("text message not sent", sms_id=message.sms_id, number=message.number, why=why)
        self._core.event("sms_failed", sms_id=message.sms_id, number=message.number, error=why[:200])

    # The ledger: small, in tmpfs, so that it may be written on the loop.

    def _read(self) -> _Ledger:
        try:
            with self._ledger.open("rb") as file:
                return msgspec.json.decode(file.read(BIGGEST_LEDGER_BYTES), type=_Ledger)
        except FileNotFoundError:
            return []
        except (OSError, *UNREADABLE) as error:
            self._log.warning("which text messages were sent before is not known", error=repr(error))
            return []

    def _write(self) -> None:
        fresh = self._ledger.with_suffix(".new")
        try:
            fresh.write_bytes(msgspec.json.encode(self._queue.sent_ids))
            fresh.replace(self._ledger)
        except OSError as error:
            self._log.warning("sent text messages cannot be noted", error=repr(error))
