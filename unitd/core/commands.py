"""Commands from the control room: parsed at one boundary, judged, carried out as events, answered.

Refused with a reason: malformed, another session's, too late by the unit's own uptime, an old `seq` or one far ahead,
not for that role, or without sense in the present state. The same command with the same `seq` again is answered the
same and carried out once; another command with that `seq` (a second console that counts for itself) is refused.
"""

import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated

import msgspec

from unitd.core.live_commands import Fitted, LiveCommand, event_of, objection
from unitd.errors import UNREADABLE
from unitd.messages import control_room as wire
from unitd.model import events as ev
from unitd.model.incident import State
from unitd.model.step import refusal

ALL_FITTED = Fitted()
KEPT_REPLIES = 128
SEQ_STEP_MAX = 10_000
"""How far a `seq` may be ahead of the highest: one absurd number must not shut everybody else out of the session."""
SECOND_NS = 1_000_000_000


class _Envelope(msgspec.Struct):
    """What can be read of a command that is otherwise malformed, so that its sender is still answered."""

    seq: Annotated[int, msgspec.Meta(ge=0)] = -1
    by: str = ""


class CommandDesk:
    """Pure apart from what it is given. `take` returns the reply to publish; the last KEPT_REPLIES are kept."""

    def __init__(
        self,
        session: int,
        uptime_ms: Callable[[], int],
        state: Callable[[], State],
        apply: Callable[[ev.Event], None],
        knows_warning: Callable[[str], bool],
        mint: Callable[[], ev.Raised],
        has_dome: bool = True,
        judged: Callable[[str, wire.Command | None, wire.Reply], None] = lambda _role, _command, _reply: None,
        lock_objection: Callable[[str], str | None] = lambda _incident_id: None,
        fitted: Fitted = ALL_FITTED,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        mono_ns: Callable[[], int] | None = None,
    ) -> None:
        """`judged` hears of each command and its reply once, None for one that is malformed; `lock_objection(id)` says
        why an incident's lock cannot be released; `mono_ns()` is the time of a step."""
        self.session = session
        self._uptime_ms = uptime_ms
        self._state = state
        self._apply = apply
        self._knows_warning = knows_warning
        self._mint = mint
        self._has_dome = has_dome
        self._judged = judged
        self._lock_objection = lock_objection
        self._fitted, self._new_id, self._mono_ns = fitted, new_id, mono_ns
        self._replies: OrderedDict[tuple[str, int], tuple[bytes, wire.Reply]] = OrderedDict()
        self._highest: dict[str, int] = {}
        self.malformed = 0
        self.fresh = 0
        """New commands of this session that came in time: each is a sign of life. An old one proves nothing of now."""

    def take(self, role: str, payload: bytes, room: str = "") -> wire.Reply:
        """Judge and carry out one command that came from `room`'s broker; never raises, whatever the bytes."""
        try:
            command = self._decode(role, payload)
        except (msgspec.MsgspecError, *UNREADABLE) as error:
            self.malformed += 1
            reply = self._malformed(role, payload, str(error))
            self._judged(role, None, reply)
            return reply
        reply, again = self._judge(role, command, room)
        if not again:
            self._judged(role, command, reply)
        return reply

    def _judge(self, role: str, command: wire.Command, room: str) -> tuple[wire.Reply, bool]:
        """The reply, and whether it was given before."""
        code, reason = self._out_of_turn(role, command)
        if code:
            return self._reply(role, command, code, reason), False
        digest = _digest(command)
        known = self._replies.get((role, command.seq))
        if known is not None:
            return known[1], True
        self._highest[role] = command.seq
        code, reason = self._objection(command, room)
        self.fresh += code != "late"
        reply = self._reply(role, command, code, reason)
        self._replies[role, command.seq] = digest, reply
        while len(self._replies) > KEPT_REPLIES:
            self._replies.popitem(last=False)
        return reply, False

    def _out_of_turn(self, role: str, command: wire.Command) -> tuple[wire.RefusalCode, str]:
        """Why a command with that session and number is not looked at; empty for a new one and for one known."""
        if command.session != self.session:
            return "session", f"for session {command.session}, this is {self.session}"
        highest, seq = self._highest.get(role, -1), command.seq
        if (role, seq) in self._replies:
            if self._replies[role, seq][0] == _digest(command):
                return "", ""
            return "clash", f"seq {seq} was another command; go on from {highest + 1}"
        if seq <= highest:
            return "replayed", f"replayed: seq {seq} is old; go on from {highest + 1}"
        if seq > highest + SEQ_STEP_MAX:
            return "ahead", f"seq {seq} is more than {SEQ_STEP_MAX} ahead; go on from {highest + 1}"
        return "", ""

    def _reply(self, role: str, command: wire.Command, code: wire.RefusalCode, reason: str) -> wire.Reply:
        return wire.Reply(
            session=self.session,
            seq=command.seq,
            result="refused" if code else "done",
            reason=reason,
            code=code,
            by=command.by,
            next_seq=self._highest.get(role, -1) + 1,
        )

    def _decode(self, role: str, payload: bytes) -> wire.Command:
        if len(payload) > wire.MAX_PAYLOAD_BYTES:
            raise ValueError("payload too large")
        kinds = {"operator": wire.OperatorCommand, "maintainer": wire.MaintainerCommand}
        if role not in kinds:
            raise ValueError(f"no such role: {role}")
        command: wire.Command = msgspec.json.decode(payload, type=kinds[role])
        return command

    def _malformed(self, role: str, payload: bytes, error: str) -> wire.Reply:
        try:
            read = msgspec.json.decode(payload[: wire.MAX_PAYLOAD_BYTES], type=_Envelope)
        except (msgspec.MsgspecError, *UNREADABLE):
            read = _Envelope()
        reason = f"malformed: {error}"[:300]
        return wire.Reply(
            session=self.session, seq=read.seq, result="refused", reason=reason, code="malformed",
            by=read.by[:128], next_seq=self._highest.get(role, -1) + 1,
        )  # fmt: skip

    def _objection(self, command: wire.Command, room: str) -> tuple[wire.RefusalCode, str]:
        """Why not; empty once the command has been carried out."""
        if self._uptime_ms() > command.not_after_uptime_ms:
            return "late", "too late"
        if isinstance(command, wire.PlayWarning) and not self._knows_warning(command.name):
            return "impossible", f"no such warning: {command.name}"
        if isinstance(command, wire.DomeMove | wire.DomeStop | wire.DomePreset) and not self._has_dome:
            return "impossible", "no dome is fitted"
        if isinstance(command, wire.ReleaseLock) and (why := self._lock_objection(command.incident_id)):
            return "impossible", why
        if why := objection(command, self._fitted, room):
            return "impossible", why
        event = self._event(command, room)
        reason = refusal(self._state(), event, self._mono_ns() if self._mono_ns is not None else None)
        if reason is not None:
            return "impossible", reason
        self._apply(event)
        return "", ""

    def _event(self, command: wire.Command, room: str) -> ev.Event:
        match command:
            case wire.Accept():
                return ev.Accepted(command.incident_id, command.by, room)
            case wire.Answer():
                return ev.Answered(command.incident_id, command.by, room)
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
            case wire.ReleaseLock():
                return ev.LockReleased(command.incident_id, command.by, command.reason)
            case _ if isinstance(command, LiveCommand):
                return event_of(command, room, self._new_id)
            case _:
                return self._mint()


def _digest(command: wire.Command) -> bytes:
    """What makes two commands the same: everything but the time limit, which a sender moves when it tries again."""
    same = msgspec.json.encode(msgspec.structs.replace(command, not_after_uptime_ms=0))
    return hashlib.blake2b(same, digest_size=16).digest()
