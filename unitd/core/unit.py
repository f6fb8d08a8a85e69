"""The unit: holds the state, takes events through `step`, and tells whoever reconciles outputs that they changed."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from unitd.core.snapshot import Snapshot
from unitd.model import events as ev
from unitd.model.call_goals import Guard
from unitd.model.incident import DomeGoal, Incident, Settings, State
from unitd.model.outputs import Outputs, next_change_ns, outputs
from unitd.model.step import step
from unitd.ports import Clock
from unitd.runtime.logs import Logger, chain
from unitd.runtime.waiting import Wake

Reconciler = Callable[[Outputs], None]
AFTER_SEND_S = 0.002
"""All else waits so long for the broker's word on an alarm that has just left: its way through the interpreter is then
free (docs/benchmarks.md). Nobody sees 2 ms: the first light has been burning since the edge."""


class _Tried(NamedTuple):
    """What `event` makes of `before` at `now_ns`."""

    before: State
    event: ev.Event
    after: State
    levels: Outputs
    now_ns: int


class Unit:
    """Runs on the loop; `apply` never blocks. Reconcilers are called in the order given."""

    def __init__(self, settings: Settings, snapshot: Snapshot, clock: Clock, log: Logger) -> None:
        self.state = State()
        self.settings = settings
        self._snapshot = snapshot
        self._clock = clock
        self._log = log
        self._send_first: Callable[[Outputs], bool] = lambda _levels: False
        self._reconcilers: list[Reconciler] = []
        self._rehearsed: _Tried | None = None
        self._left_over: list[Callable[[], None]] = []
        self._on_stage: list[Callable[[Incident], None]] = []
        self._on_asked: list[Callable[[Incident], None]] = []
        self._on_change: list[Callable[[State, State], None]] = []
        self._wake = Wake()
        self._saving: set[asyncio.Task[None]] = set()
        self._stepped_ns = 0

    def first_with(self, send: Callable[[Outputs], bool]) -> None:
        """Call this with the outputs before the reconcilers. When it says True, an alarm has just left: everything else
        then waits for the next event (as a rule the broker's acknowledgement), AFTER_SEND_S at most."""
        self._send_first = send

    def reconcile_with(self, *reconcilers: Reconciler) -> None:
        """Call these with the outputs after every step."""
        self._reconcilers.extend(reconcilers)

    def on_stage(self, call: Callable[[Incident], None]) -> None:
        """Call with each incident whose stage has changed."""
        self._on_stage.append(call)

    def on_asked(self, call: Callable[[Incident], None]) -> None:
        """Call with each incident for which a further control room is asked."""
        self._on_asked.append(call)

    def on_change(self, call: Callable[[State, State], None]) -> None:
        """Call with the states before and after each step that changed something."""
        self._on_change.append(call)

    def outputs(self) -> Outputs:
        return outputs(self.state, self._clock.mono_ns(), self.settings)

    def restore(self, state: State, presses: Sequence[ev.Event] = ()) -> None:
        """Start from a predecessor's state and the presses that it did not live to serve.

        What is shown first is what is true with them: not, for a moment, the answer to an earlier call.
        """
        self.state = state
        for press in presses or (ev.Tick(),):
            self.apply(press)

    def keep(self, on_disk: State | None) -> None:
        """Bring the disk to a restored state if it holds another: it may have refused the predecessor's last word."""
        if _lasting(self.state) != _lasting(on_disk or State()):
            self._save_durable()

    def take_over(self, state: State) -> None:
        """Go on from the state joined with what a late disk held. No event brought that, so it is saved here."""
        self.restore(state)
        self._snapshot.save_volatile(self.state)
        self._save_durable()

    def apply(self, event: ev.Event) -> None:
        """Take one event: step, send, reconcile, snapshot; only then tell of stages.

        The alarm is the first on the wire. A crash before the rest loses nothing: the latch holds the press.
        """
        self.finish()
        before = self.state
        known, self._rehearsed = self._rehearsed, None
        if known is None or known.before is not before or known.event != event:
            known = self._tried(event)
        after, levels, now_ns = known.after, known.levels, known.now_ns
        self.state, self._stepped_ns = after, now_ns
        if self._sends(levels):
            self._left_over.append(lambda: self._rest(before, after, levels, now_ns))
            asyncio.get_running_loop().call_later(AFTER_SEND_S, self.finish)
        else:
            self._rest(before, after, levels, now_ns)

    def rehearse(self, event: ev.Event) -> Outputs:
        """What `apply` would bring about, without doing it.

        It is kept for that very event, for as long as nothing else happens: the instant of the rehearsal is then the
        step's, and what falls due after it is done by `run`.
        """
        self._rehearsed = self._tried(event)
        return self._rehearsed.levels

    def _tried(self, event: ev.Event) -> _Tried:
        now_ns = self._clock.mono_ns()
        after = step(self.state, event, now_ns, self.settings)
        return _Tried(self.state, event, after, outputs(after, now_ns, self.settings), now_ns)

    def afterwards(self, call: Callable[[], None]) -> None:
        """Call this when the event applied last has had all its effects: now, unless an alarm has just left."""
        if self._left_over:
            self._left_over.append(call)
        else:
            call()

    def finish(self) -> None:
        """Do now what waits for the broker's word on an alarm."""
        while self._left_over:
            left_over, self._left_over = self._left_over, []
            for call in left_over:
                try:
                    call()
                except Exception:  # noqa: BLE001 - it must keep neither the others nor the next event from their turn
                    self._log.exception("what follows an alarm failed")

    def _sends(self, levels: Outputs) -> bool:
        try:
            return self._send_first(levels)
        except Exception:  # noqa: BLE001 - the reconcilers try it again
            self._log.exception("output failed", output="first")
            return False

    def _rest(self, before: State, after: State, levels: Outputs, now_ns: int) -> None:
        for reconcile in self._reconcilers:
            try:
                reconcile(levels)
            except Exception:  # noqa: BLE001 - one output that fails must not keep the others dark
                self._log.exception("output failed", output=getattr(reconcile, "__qualname__", "?"))
        if after is not before and after != before:
            self._snapshot.save_volatile(after)
            self._transitions(before, after, now_ns)
        self._wake.set()

    async def run(self, beat: Callable[[], None], longest_s: float = 1.0) -> None:
        """Let time pass: tick when time alone changes something, and beat at least every `longest_s`."""
        longest_ns = int(longest_s * 1e9)
        while True:
            # counted from the last step: what fell due since then, while the loop was busy, has not been done yet
            next_ns = next_change_ns(self.state, self._stepped_ns, self.settings)
            wait_ns = longest_ns if next_ns is None else min(max(0, next_ns - self._clock.mono_ns()), longest_ns)
            self._wake.clear()
            woken = await self._wake.within(wait_ns / 1e9)
            if not woken and next_ns is not None and self._clock.mono_ns() >= next_ns:
                self.apply(ev.Tick())
            beat()

    def _transitions(self, before: State, after: State, now_ns: int) -> None:
        """Log and tell what changed in stage, and bring the disk to the new state when something lasting did."""
        known = {each.incident_id: each for each in before.incidents}
        for incident in after.incidents:
            old = known.get(incident.incident_id)
            if old is None or old.stage != incident.stage:
                chain(self._log, incident.stage, incident.incident_id, now_ns)
                self._tell(self._on_stage, incident)
            if incident.asked != (old.asked if old is not None else ()):
                self._tell(self._on_asked, incident)
        for call in self._on_change:
            try:
                call(before, after)
            except Exception:  # noqa: BLE001 - or the state would not be saved
                self._log.exception("change not told")
        gone = set(known) - {each.incident_id for each in after.incidents}
        for incident_id in gone:
            if known[incident_id].open:
                chain(self._log, "closed", incident_id, now_ns)
                self._tell(self._on_stage, msgspec.structs.replace(known[incident_id], stage="closed"))
        if _lasting(after) != _lasting(before):
            self._save_durable()

    def _tell(self, calls: list[Callable[[Incident], None]], incident: Incident) -> None:
        for call in calls:
            try:
                call(incident)
            except Exception:  # noqa: BLE001 - or the state would not be saved, and the tone of a press go on for ever
                self._log.exception("stage not told", stage=incident.stage)

    def _save_durable(self) -> None:
        task = asyncio.get_running_loop().create_task(self._snapshot.save_durable(self.state))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)


def _lasting(state: State) -> State:
    """What must outlive the boot: the state without what only this moment knows."""
    return msgspec.structs.replace(
        state, heard_mono_ns=None, dome=DomeGoal(), warning=None, button_watched=False, button_stuck=False,
        button_fault="", ended_mono_ns=None, on_duty=None, utc_offset_us=None, snapshot=None, watched=None,
        incidents=tuple(
            msgspec.structs.replace(each, guard=Guard()) if each.guard != Guard() else each for each in state.incidents
        ),
    )  # fmt: skip
