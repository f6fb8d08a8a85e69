"""Commands to one unit: made from the wire's structs, numbered, limited in time, matched with their replies."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal, get_args

import msgspec

from unitd.messages.control_room import Command, MaintainerCommand, OperatorCommand, Reply

VALID_MS = 15_000
VALID_MOVE_MS = 3_000
"""A move that arrives later than this would surprise the operator, who has let go of the pad long ago."""
VALID_UNKNOWN_UPTIME_MS = 3_600_000
"""Only a retained state of unknown age is known: its uptime is a lower bound, so the limit must be generous."""
REPLY_TIMEOUT_S = 10.0
MAINTENANCE = frozenset(each.__struct_config__.tag for each in get_args(MaintainerCommand))


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended: the unit's `done` or `refused`, or ours: `no_answer` in time, `invalid` (never sent)."""

    result: Literal["done", "refused", "no_answer", "invalid"]
    reason: str = ""
    seq: int = 0


class Commander:
    """Sends commands by `publish(unit, role, payload)` and waits for replies. All methods on the hub's loop."""

    def __init__(
        self,
        publish: Callable[[str, str, bytes], None],
        next_seq: Callable[[str, int], Awaitable[int]],
        reply_timeout_s: float = REPLY_TIMEOUT_S,
    ) -> None:
        self._publish, self._next_seq, self._reply_timeout_s = publish, next_seq, reply_timeout_s
        self._waiting: dict[tuple[str, int, int], tuple[str, asyncio.Future[Reply]]] = {}

    async def send(
        self, unit: str, session: int, uptime_ms: int, uptime_known: bool, name: str, by: str, fields: dict[str, Any]
    ) -> Outcome:
        """Send one command and return how it ended, within REPLY_TIMEOUT_S. Never raises on odd `fields`."""
        valid_ms = VALID_MOVE_MS if name == "dome_move" else VALID_MS
        try:
            command = convert(
                {
                    **fields,
                    "cmd": name,
                    "session": session,
                    "seq": 0,
                    "by": by,
                    "not_after_uptime_ms": uptime_ms + (valid_ms if uptime_known else VALID_UNKNOWN_UPTIME_MS),
                }
            )
        except msgspec.ValidationError as error:
            return Outcome(result="invalid", reason=str(error))
        seq = await self._next_seq(unit, session)
        key = (unit, session, seq)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[key] = by, reply
        try:
            self._publish(unit, role_of(name), msgspec.json.encode(msgspec.structs.replace(command, seq=seq)))
            async with asyncio.timeout(self._reply_timeout_s):
                answer = await reply
        except TimeoutError:
            return Outcome(result="no_answer", reason="the unit did not answer in time", seq=seq)
        finally:
            del self._waiting[key]
        return Outcome(result=answer.result, reason=answer.reason, seq=seq)

    def replied(self, unit: str, reply: Reply) -> None:
        """Hand a reply to whom it is for; another control room's command may have had the same `seq`."""
        by, future = self._waiting.get((unit, reply.session, reply.seq), ("", None))
        if future is not None and not future.done() and reply.by in ("", by):
            future.set_result(reply)


def role_of(name: str) -> Literal["operator", "maintainer"]:
    """The topic on which the unit expects this command."""
    return "maintainer" if name in MAINTENANCE else "operator"


def convert(fields: dict[str, Any]) -> Command:
    """The typed command. Raises msgspec.ValidationError with the path of the wrong field."""
    kind: Any = MaintainerCommand if fields["cmd"] in MAINTENANCE else OperatorCommand
    command: Command = msgspec.convert(fields, kind)
    return command
