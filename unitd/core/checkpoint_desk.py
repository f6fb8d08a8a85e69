"""Checkpoints: at which instants core signs all heads, that none goes back, and who is told (docs/design/storage.md).

Never at a press itself: a lock's checkpoint comes LOCK_S after it. What cannot be signed or kept now is tried again.
"""

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from unitd.core.chain_desk import ChainDesk
from unitd.core.machine import DiskWorker, Signer
from unitd.errors import StoreError
from unitd.evidence.canonical import canonical
from unitd.messages.control_room import FaultReport
from unitd.ports import Clock
from unitd.runtime.logs import Logger
from unitd.runtime.waiting import Wake
from unitd.store.chain import Head
from unitd.store.checkpoints import GENESIS, Checkpoint, HeadPart, Signed, append_checkpoint, last_checkpoint

CORE, RECORD = "core", "record"
LOCK_S = 5.0
"""From a press to the checkpoint of its lock: the call is up, and a signature takes none of its time."""
SOON_S = 1.0
START_S = 60.0
"""After core's start: what was signed while nobody listened is covered by a new one, and a core that keeps dying does
not sign all day."""
AGAIN_S = 60.0


class _WentBackError(StoreError):
    """A chain is shorter than one that was signed, or another."""


class _Asked(NamedTuple):
    """`record`: record's head as a tool read it, for a record that is not there to say so."""

    done: "asyncio.Future[Signed]"
    record: Head | None


class CheckpointDesk:
    """Lives on the loop. `record_head()` is what record says of its chain, None while it says nothing."""

    def __init__(
        self,
        unit: str,
        state_dir: Path,
        boot: Callable[[], int],
        boot_id: str,
        every_s: float,
        chain: ChainDesk,
        record_head: Callable[[], Head | None],
        signer: Signer,
        clock: Clock,
        disk: DiskWorker,
        log: Logger,
        tell: Callable[[Signed], None],
        listening: Callable[[], bool],
    ) -> None:
        self._unit = unit
        self._state_dir = state_dir
        self._boot, self._boot_id = boot, boot_id
        self._every_s = every_s
        self._chain = chain
        self._record_head = record_head
        self._signer = signer
        self._clock = clock
        self._disk = disk
        self._log = log
        self._tell, self._listening = tell, listening
        self._last: Signed | None = None
        self._signed: dict[str, HeadPart] = {}
        """Of each writer the newest head that was signed."""
        self._read = False
        self._untold: Signed | None = None
        self._asked: list[_Asked] = []
        self._due_ns = clock.mono_ns() + int(START_S * 1e9)
        self._wake = Wake()
        self._key_made = False
        self.went_back: dict[str, str] = {}
        self.failed = ""
        self.certificate = ""

    def soon(self, within_s: float = SOON_S) -> None:
        """Make one at the latest so long from now. Does not block."""
        self._due_ns = min(self._due_ns, self._clock.mono_ns() + int(within_s * 1e9))
        self._wake.set()

    def ask(self, record: Head | None = None) -> "asyncio.Future[Signed]":
        """Make one now. The future raises OSError when it could not be made; it is then tried again all the same."""
        done: asyncio.Future[Signed] = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda each: each.cancelled() or each.exception())  # looked at: no warning
        self._asked.append(_Asked(done, record))
        self.soon(0)
        return done

    @property
    def head(self) -> str:
        """The hash of the newest checkpoint, "" when none is known."""
        return self._last.hash if self._last is not None else ""

    def tell(self) -> None:
        """Tell the control room of the newest checkpoint that it has not been told of, if anybody listens."""
        signed = self._untold
        if signed is None or not self._listening():
            return
        self._untold = None
        self._tell(signed)

    def faults(self) -> list[FaultReport]:
        found = [
            FaultReport(code="chain_went_back", subject=writer, text=why) for writer, why in self.went_back.items()
        ]
        if self.failed:
            found.append(FaultReport(code="signing_failed", subject="evidence", text=self.failed))
        elif self.certificate in ("another", "unreadable"):
            what = "is for another key" if self.certificate == "another" else "cannot be read"
            found.append(
                FaultReport(code="signing_failed", subject="certificate", text=f"the evidence certificate {what}")
            )
        return found

    async def run(self) -> None:
        """Make what is due, until cancelled."""
        while True:
            self._wake.clear()
            wait_ns = self._due_ns - self._clock.mono_ns()
            if wait_ns > 0:
                await self._wake.within(wait_ns / 1e9)
                continue
            asked, self._asked = self._asked, []
            try:
                read = (each.record for each in asked if each.record is not None)
                signed = await self._make(max(read, key=lambda head: head.n, default=None))
            except OSError as error:
                if str(error) != self.failed:
                    self._log.error("no checkpoint", error=str(error))
                self.failed = str(error)
                self._due_ns = self._clock.mono_ns() + int(AGAIN_S * 1e9)
                for each in asked:
                    if not each.done.done():
                        each.done.set_exception(error)
                continue
            self.failed = ""
            if not self._asked:
                self._due_ns = self._clock.mono_ns() + int(self._every_s * 1e9)
            for each in asked:
                if not each.done.done():
                    each.done.set_result(signed)
            self.tell()

    async def make_key(self) -> None:
        """See to it that there are a key and a request for its certificate; tries until it succeeds."""
        while not self._key_made:
            try:
                await self._take_key()
            except OSError as error:
                self.failed = str(error)
                await asyncio.sleep(AGAIN_S)
        await asyncio.Event().wait()

    async def _take_key(self) -> None:
        self.certificate = (await self._signer.make()).certificate
        self._key_made = True
        self.failed = ""

    async def _make(self, record: Head | None) -> Signed:
        """One checkpoint over the heads as they are now, kept. Raises OSError."""
        core = await self._chain.flush()
        if not self._read:
            self._last, self._signed = await self._disk.run(lambda: last_checkpoint(self._state_dir))
            self._read = True
        heads = self._heads(core, record)
        body = self._body(heads)
        answer = await self._signer.sign(body)
        self.certificate = answer.certificate
        try:
            await self._disk.run(lambda: append_checkpoint(self._state_dir, body, answer.signature))
        except OSError:
            self._read = False  # its line may be there all the same, whole: the next one follows from what is there
            raise
        return self._kept(body, answer.signature)

    def _kept(self, body: bytes, signature: bytes) -> Signed:
        signed = Signed(msgspec.json.decode(body, type=Checkpoint), body, signature)
        self._last = self._untold = signed
        self._signed |= signed.checkpoint.heads
        self._log.info("checkpoint", n=signed.checkpoint.n)
        return signed

    def _heads(self, core: Head, record: Head | None) -> dict[str, HeadPart]:
        """What is to be signed. Raises OSError when core's own chain has gone back; a writer of which that is true
        otherwise is left out, loudly."""
        before = self._signed
        heads = {CORE: core}
        told = self._record_head()
        if told is not None:
            heads[RECORD] = told
        elif RECORD in before:  # it has not said anything yet: what it said last holds
            heads[RECORD] = Head(before[RECORD].n, before[RECORD].head)
        if record is not None and record.n > heads.get(RECORD, Head(0, "")).n:
            heads[RECORD] = record
        went_back = {w: why for w, head in heads.items() if w in before and (why := _objection(w, before[w], head))}
        if went_back and went_back != self.went_back:
            self._log.error("a chain went back", **went_back)
        self.went_back = went_back
        if CORE in self.went_back:
            raise _WentBackError(self.went_back[CORE])
        return {w: HeadPart(n=head.n, head=head.head) for w, head in heads.items() if w not in self.went_back}

    def _body(self, heads: dict[str, HeadPart]) -> bytes:
        stamp = self._clock.stamp()
        last = self._last
        return canonical(
            Checkpoint(
                unit=self._unit,
                n=last.checkpoint.n + 1 if last is not None else 1,
                prev=last.hash if last is not None else GENESIS,
                boot=self._boot(),
                boot_id=self._boot_id,
                mono_ns=stamp.mono_ns,
                utc_us=stamp.utc_us,
                clock=stamp.clock,
                heads=heads,
            )
        )


def _objection(writer: str, signed: HeadPart, now: Head) -> str:
    """Why a head does not follow from the one that was signed before; empty when it may. Pure."""
    if now.n < signed.n:
        return f"{writer}'s chain had {signed.n} lines when it was signed, and has {now.n} now"
    if now.n == signed.n and now.head != signed.head:
        return f"line {now.n} of {writer}'s chain is another than the one that was signed"
    return ""


def signature_text(signed: Signed) -> str:
    """The signature as it is sent: base64. Pure."""
    return base64.b64encode(signed.signature).decode()
