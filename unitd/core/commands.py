"""Commands from the control room: parsed at one boundary, judged, carried out as events, answered.

Refused with a reason: malformed, another session's, too late by the unit's own uptime, an old `seq`, not for that role,
or without sense in the present state. The same `seq` again is answered the same and carried out once.
"""

import uuid
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from unitd.messages import control_room as wire
from unitd.model import events as ev
from unitd.model.incident import State
from unitd.model.step import refusal

KEPT_REPLIES = 128
SECOND_NS = 1_000_000_000


class _Envelope(msgspec.Struct):
    """What can be read of a command that is otherwise malformed, so that its sender is still answered."""

    session: int = -1
    seq: int = -1


class CommandDesk:
    """Pure apart from what it is given. `take` returns the reply to publish, or None for what cannot be answered."""

    def __init__(
        self,
        session: int,
        uptime_ms: Callable[[], int],
        state: Callable[[], State],
        apply: Callable[[ev.Event], None],
        knows_warning: Callable[[str], bool],
        mint: Callable[[], ev.Raised],
    ) -> None:
        self.session = session
        self._uptime_ms = uptime_ms
        self._state = state
        self._apply = apply
        self._knows_warning = knows_warning
        self._mint = mint
        self._replies: OrderedDict[tuple[str, int], wire.Reply] = OrderedDict()
        self._highest: dict[str, int] = {}
        self.malformed = 0

    def take(self, role: str, payload: bytes) -> wire.Reply | None:
        """Judge and carry out one command; never raises, whatever the bytes."""
        try:
            command = self._decode(role, payload)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self.malformed += 1
            return self._malformed(payload, str(error))
        known = self._replies.get((role, command.seq))
        if known is not None and command.session == self.session:
            return known
        reason = self._objection(role, command)
        reply = wire.Reply(
            session=self.session, seq=command.seq, result="refused" if reason else "done", reason=reason or ""
        )
        if command.session == self.session:
            self._highest[role] = max(self._highest.get(role, -1), command.seq)
            self._replies[role, command.seq] = reply
            while len(self._replies) > KEPT_REPLIES:
                self._replies.popitem(last=False)
        return reply

    def _decode(self, role: str, payload: bytes) -> wire.Command:
        if len(payload) > wire.MAX_PAYLOAD_BYTES:
            raise ValueError("payload too large")
        kinds = {"operator": wire.OperatorCommand, "maintainer": wire.MaintainerCommand}
        if role not in kinds:
            raise ValueError(f"no such role: {role}")
        command: wire.Command = msgspec.json.decode(payload, type=kinds[role])
        return command

    def _malformed(self, payload: bytes, error: str) -> wire.Reply | None:
        try:
            envelope = msgspec.json.decode(payload[: wire.MAX_PAYLOAD_BYTES], type=_Envelope)
        except (msgspec.MsgspecError, RecursionError):
            return None
        return wire.Reply(session=self.session, seq=envelope.seq, result="refused", reason=f"malformed: {error}"[:300])

    def _objection(self, role: str, command: wire.Command) -> str | None:
        """Why not; None once the command has been carried out."""
        if command.session != self.session:
            return f"for session {command.session}, this is {self.session}"
        if self._uptime_ms() > command.not_after_uptime_ms:
            return "too late"
        if command.seq <= self._highest.get(role, -1):
            return "replayed"
        if isinstance(command, wire.PlayWarning) and not self._knows_warning(command.name):
            return f"no such warning: {command.name}"
        event = self._event(command)
        reason = refusal(self._state(), event)
        if reason is None:
            self._apply(event)
        return reason

    def _event(self, command: wire.Command) -> ev.Event:
        match command:
            case wire.Accept():
                return ev.Accepted(command.incident_id, command.by)
            case wire.Answer():
                return ev.Answered(command.incident_id, command.by)
            case wire.Close():
                return ev.Closed(command.incident_id, command.by, command.outcome, command.note)
            case wire.Extend():
                return ev.Extended(command.incident_id, command.by, command.for_s * SECOND_NS)
            case wire.Isolate():
                return ev.Isolated(command.by, command.reason, command.for_s * SECOND_NS)
            case wire.EndIsolation():
                return ev.IsolationEnded(command.by)
            case wire.DomeMove():
                return ev.DomeMoved(command.pan, command.tilt, command.zoom, command.duration_ms * 1_000_000)
            case wire.DomeStop():
                return ev.DomeStopped()
            case wire.DomePreset():
                return ev.DomeSent(command.preset)
            case wire.PlayWarning():
                return ev.WarningOrdered(command.name)
            case wire.Upload():
                name = f"{command.incident_id}/{command.url}/{command.camera}"
                upload_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.session}/{command.seq}/{name}"))
                return ev.UploadOrdered(upload_id, command.incident_id, command.url, command.token, command.camera)
            case _:
                return self._mint()
