"""The tools' desk: what somebody at the unit itself asks of core, over `core.sock`. Works with no broker at all."""

import asyncio
from collections.abc import Callable

from unitd.core.checkpoint_desk import signature_text
from unitd.core.evidence_desk import EvidenceDesk
from unitd.core.releases import until_gone
from unitd.messages import workers as wire
from unitd.model import events as ev
from unitd.model.incident import State
from unitd.model.step import refusal
from unitd.runtime.logs import Logger
from unitd.store.chain import Head

RECORD_WITHIN_S = 3.0
SEAL_WITHIN_S = 15.0
RELEASE_WITHIN_S = 5.0
LOOK_S = 0.1


class ToolDesk:
    """Lives on the loop. `answer` never raises."""

    def __init__(
        self,
        evidence: EvidenceDesk,
        state: Callable[[], State],
        apply: Callable[[ev.Event], None],
        log: Logger,
    ) -> None:
        self._evidence = evidence
        self._state = state
        self._apply = apply
        self._log = log

    async def answer(self, request: wire.ToolRequest) -> wire.ToolReply:
        """Do what is asked, and say how it went."""
        try:
            match request:
                case wire.SealExport():
                    return await self._seal(request)
                case wire.ReleaseLock():
                    return await self._release(request)
                case wire.CloseIncident():
                    return self._close(request)
        except OSError as error:
            return wire.ToolReply(error=f"the unit's disk: {error}")

    async def _seal(self, request: wire.SealExport) -> wire.ToolReply:
        """The line first, then a checkpoint over it. Raises OSError when there is no line."""
        evidence = self._evidence
        read = Head(request.record_n, request.record_head) if request.record_n > 0 else None
        for _ in range(int(RECORD_WITHIN_S / LOOK_S)):
            told = evidence.record_head()
            if told is None or read is None or told.n >= read.n:
                break
            await asyncio.sleep(LOOK_S)
        line = await evidence.chain.append(
            "export", manifest_sha256=request.manifest_sha256, incident_id=request.incident_id,
            cameras=",".join(request.cameras), segments=request.segments, by=request.by,
        )  # fmt: skip
        try:
            async with asyncio.timeout(SEAL_WITHIN_S):
                signed = await evidence.checkpoints.ask(read)
        except OSError as error:  # TimeoutError is one
            why = str(error) or "no signature in time"
            return wire.ToolReply(error=f"on the unit's record, but not signed: {why}", core_n=line.n)
        return wire.ToolReply(
            core_n=line.n, checkpoint=signed.checkpoint.n, body=signed.body.decode(), signature=signature_text(signed)
        )

    async def _release(self, request: wire.ReleaseLock) -> wire.ToolReply:
        if not request.by.strip() or len(request.reason.strip()) < 3:
            return wire.ToolReply(error="a release needs a name and a reason")
        event = ev.LockReleased(request.incident_id, request.by, request.reason)
        refused = self._evidence.releases.objection(request.incident_id) or refusal(self._state(), event)
        self._evidence.local_command(request, request.by, refused or "")
        if refused:
            return wire.ToolReply(error=refused)
        self._apply(event)
        waits = await until_gone(
            lambda: any(each.incident_id == request.incident_id for each in self._state().releases), RELEASE_WITHIN_S
        )
        return wire.ToolReply(error="" if waits else "it will be released when the disk takes it; nothing more to do")

    def _close(self, request: wire.CloseIncident) -> wire.ToolReply:
        if not request.by.strip():
            return wire.ToolReply(error="closing needs a name")
        event = ev.Closed(request.incident_id, request.by, request.outcome, request.note)
        refused = refusal(self._state(), event)
        self._evidence.local_command(request, request.by, refused or "")
        if refused:
            return wire.ToolReply(error=refused)
        self._apply(event)
        self._log.warning("closed at the unit", incident=request.incident_id, by=request.by)
        return wire.ToolReply()
