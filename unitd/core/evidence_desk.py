"""The evidence desk: what core puts on the record, and who asks it to (docs/design/storage.md).

Owns core's chain with all that writes into it, the checkpoints and the releases; answers the tools on the unit itself.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from unitd.config import Config
from unitd.core.chain_desk import ChainDesk, once_of
from unitd.core.checkpoint_desk import LOCK_S, CheckpointDesk, signature_text
from unitd.core.incident_events import by_whom
from unitd.core.live_events import Told, told
from unitd.core.machine import Machine
from unitd.core.releases import ReleaseDesk
from unitd.core.settings import settings_of
from unitd.messages import control_room as wire
from unitd.model import events as ev
from unitd.model.incident import Incident, Lock, Release, State
from unitd.model.outputs import Outputs
from unitd.model.pace import Pace
from unitd.runtime.logs import Logger
from unitd.runtime.supervise import Service
from unitd.store.boot import boot_of
from unitd.store.chain import Chain, Head
from unitd.store.checkpoints import Signed
from unitd.store.clock_truth import CHAIN_NAME

HUNG_APPEND_S = 0.2
"""One disk thread appends: another can only be one that was given up, and alarms wait behind who waits for it."""
COMMAND_PACE = Pace(burst=120, every_ns=1_000_000_000)
MALFORMED_PACE = Pace(burst=5, every_ns=20_000_000_000)
LONGEST_TEXT = 2000
"""As long as a command's words may be: a note is evidence to its end."""
BY_LOCAL_TOOL = "tool"
_SECRET = ("token", "session", "seq", "not_after_uptime_ms", "by", "cmd", "incident_id", "reason")
"""Not in a command's `detail`: the token is a secret, the others have fields of their own or mean nothing later."""


class EvidenceDesk:
    """Lives on the loop. `record_facts()` is what record tells of itself; `listening()`: a broker is connected."""

    def __init__(
        self,
        config: Config,
        machine: Machine,
        log: Logger,
        session: int,
        state: Callable[[], State],
        apply: Callable[[ev.Event], None],
        record_facts: Callable[[], dict[str, Any]],
        event: Callable[..., None],
        listening: Callable[[], bool],
    ) -> None:
        self._config, self._session = config, session
        self._boot_id = machine.boot_id
        self._clock = machine.clock
        self._state, self._apply, self._event = state, apply, event
        self._record_facts = record_facts
        state_dir = Path(config.paths.state_dir)
        self.file = Chain(state_dir / CHAIN_NAME, HUNG_APPEND_S)
        self.chain = ChainDesk(
            self.file, lambda: state().boot, machine.clock, machine.disk, log,
            lambda: boot_of(state_dir, machine.boot_id).boot,
        )  # fmt: skip
        self.checkpoints = CheckpointDesk(
            config.unit.id, state_dir, lambda: self.chain.boot, machine.boot_id, config.evidence.checkpoint_every_s,
            self.chain, self.record_head, machine.signer, machine.clock, machine.disk, log, self._tell, listening,
        )  # fmt: skip
        self.releases = ReleaseDesk(state_dir / "locks", self.chain, machine.disk, log, self._released)
        self._settings = settings_of(config)
        self._command_paces: dict[tuple[str, bool], Pace] = {}
        self._malformed_pace = MALFORMED_PACE

    def services(self) -> list[Service]:
        return [
            Service("chain", self.chain.run),
            Service("checkpoints", self.checkpoints.run),
            Service("evidence key", self.checkpoints.make_key),
            Service("releases", self.releases.run),
        ]

    def began(self) -> None:
        """Core has started: a line for that, and those for incidents that its predecessor did not live to write."""
        self.chain.add("session", boot_id=self._boot_id, session=self._session)
        for incident in self._state().incidents:
            self.stage(incident)
        left = State(watch=self._state().watch, watched=self._state().watched)
        for each in told(State(), left, self._settings):
            self._call_line(each)

    def reconcile(self, levels: Outputs) -> None:
        self.releases.reconcile(levels)

    def record_head(self) -> Head | None:
        """What record says of its chain; None while it is not there or says nothing."""
        facts = self._record_facts()
        n, head = facts.get("chain.n"), facts.get("chain.head")
        if not isinstance(n, int) or not isinstance(head, str) or n < 1 or len(head) != 64:
            return None
        return Head(n, head)

    def faults(self) -> list[wire.FaultReport]:
        found = self.checkpoints.faults()
        if self.chain.failed or self.releases.failed:
            text = "what happens is not put on the record: the disk refuses"
            found.append(wire.FaultReport(code="disk_error", subject="chain", text=text))
        return found

    def facts(self) -> dict[str, str | int | float | bool | None]:
        found: dict[str, str | int | float | bool | None] = {}
        if self.chain.at.n:
            found["chain.n"] = self.chain.at.n
        if self.checkpoints.certificate:
            found["evidence.certificate"] = self.checkpoints.certificate
        return found

    # --- what is put on the record ----------------------------------------------------------------------------------

    def stage(self, incident: Incident) -> None:
        """An incident has reached a stage."""
        fields: dict[str, str | int | float | bool | None] = {
            "incident_id": incident.incident_id, "incident_kind": incident.kind, "stage": incident.stage,
            "by": by_whom(incident), "outcome": incident.outcome,
        }  # fmt: skip
        self.chain.add("incident", once=once_of("incident", fields), **fields)

    def live(self, before: State, after: State) -> None:
        """What has happened of the live call between two states: told, and some of it put on the record."""
        for each in told(before, after, self._settings):
            self._event(each.name, incident_id=each.incident_id, data=each.data)
            if each.chained:
                self._call_line(each)

    def _call_line(self, each: Told) -> None:
        fields: dict[str, str | int | float | bool | None] = {
            name: value[:LONGEST_TEXT] if isinstance(value, str) else value for name, value in each.data.items()
        }
        fields = {"event": each.name, "incident_id": each.incident_id, **fields}
        once = once_of("call", fields) if each.name in ("watch_began", "watch_ended") else None
        self.chain.add("call", once=once, **fields)

    def lock_written(self, lock: Lock) -> None:
        """A lock is on the disk as it stands here."""
        fields: dict[str, str | int | float | bool | None] = {
            "incident_id": lock.incident_id, "from_boot": lock.from_boot, "from_mono_ns": lock.from_mono_ns,
            "to_boot": lock.to_boot, "to_mono_ns": lock.to_mono_ns, "incident_kind": lock.kind,
            "outcome": lock.outcome, "review_utc_us": lock.review_utc_us,
        }  # fmt: skip
        self.releases.written(lock.incident_id)
        once = once_of("lock", fields)
        if not self.chain.knows(once):  # an outcome that is told before the end does not make it another
            self.chain.add("lock", once=once, **fields)
            self.checkpoints.soon(LOCK_S)

    def lock_complete(self, incident_id: str) -> None:
        """A lock will not change any more. It is owed until its line is on the record as well: a successor of a core
        that dies in between writes it."""
        self.chain.after(lambda: self._apply(ev.LockWritten(incident_id)))

    def judged(self, role: str, command: wire.Command | None, reply: wire.Reply) -> None:
        """A command was judged: each is a line, but an operator's joystick is one a second, and floods are counted. A
        role's flood hides nothing of the other's, nor a joystick's what was ordered besides."""
        now_ns = self._clock.mono_ns()
        if command is None:
            self._malformed_pace, may = self._malformed_pace.take(now_ns)
        else:
            if isinstance(command, wire.DomeMove) and reply.result == "done" and self._joined(role, command):
                return
            kind = role, isinstance(command, wire.DomeMove | wire.DomeStop | wire.DomePreset)
            self._command_paces[kind], may = self._command_paces.get(kind, COMMAND_PACE).take(now_ns)
        if not may:
            self.chain.count_lost()
            return
        self._command(role, command, reply.by, reply.seq, reply.result, reply.code, reply.reason)

    def _joined(self, role: str, command: wire.DomeMove) -> bool:
        """Whether it was counted with the movement before, which is not written yet."""
        fields = self.chain.newest("command")
        if fields is None or (fields["role"], fields["by"], fields["cmd"]) != (role, command.by, "dome_move"):
            return False
        moves = msgspec.json.decode(str(fields["detail"])).get("moves", 1)
        fields["detail"] = _detail(command, moves=moves + 1)
        fields["seq"] = command.seq
        return True

    def _command(
        self, role: str, command: msgspec.Struct | None, by: str, seq: int, result: str, code: str, reason: str
    ) -> None:
        raw: dict[str, Any] = msgspec.to_builtins(command) if command is not None else {}
        self.chain.add(
            "command", role=role, by=by, seq=seq, cmd=str(raw.get("cmd") or raw.get("type") or ""), result=result,
            code=code,
            reason=(reason or str(raw.get("reason", "")))[:LONGEST_TEXT], incident_id=raw.get("incident_id"),
            detail=_detail(command) if command is not None else "{}",
        )  # fmt: skip

    def local_command(self, request: msgspec.Struct, by: str, refused: str) -> None:
        """Somebody at the unit itself has ordered something."""
        result, code = ("refused", "impossible") if refused else ("done", "")
        self._command(BY_LOCAL_TOOL, request, by, 0, result, code, refused)

    def _released(self, release: Release) -> None:
        self._apply(ev.LockGone(release.incident_id))
        data = {"by": release.by, "reason": release.reason[:LONGEST_TEXT]}
        self._event("lock_released", incident_id=release.incident_id, data=data)
        self.checkpoints.soon()

    def _tell(self, signed: Signed) -> None:
        data = {
            "checkpoint": signed.checkpoint.n, "body": signed.body.decode(), "signature": signature_text(signed),
        }  # fmt: skip
        self._event("checkpoint", data=data)

    async def close(self) -> None:
        """At a clean stop: what is queued goes on the record, if the disk takes it at once. Never raises."""
        with contextlib.suppress(OSError):
            await self.chain.close()


def _detail(command: msgspec.Struct, **more: int) -> str:
    """What a command says besides the line's own fields, as JSON text without a secret; bounded. Pure."""
    said = {
        name: value[:LONGEST_TEXT] if isinstance(value, str) else value
        for name, value in msgspec.to_builtins(command).items()
        if name not in _SECRET
    }
    return msgspec.json.encode(said | more, order="sorted").decode()
