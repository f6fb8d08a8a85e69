"""Faults planted into the product, to see that the simulation finds them: a judge that finds nothing proves nothing.

Each plant changes one behaviour as a mistake in the code would, for the time of a `with`.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import msgspec

from tests.simulate.planted_evidence import EVIDENCE_PLANTS
from unitd.core import alarm, commands, duty, latch, recover, unit, wishes
from unitd.model import events as ev
from unitd.model import guard, incident, lamps, outputs, periodic_test, press, routes, step, watch
from unitd.store import outbox

Stack = contextlib.ExitStack


def _put(stack: Stack, owner: Any, name: str, value: Any) -> None:
    stack.enter_context(mock.patch.object(owner, name, value))


def _nothing(*_: Any, **__: Any) -> None: ...


def drop_the_resend(stack: Stack) -> None:
    """Sent once for each connection, and never again."""
    _put(stack, alarm, "resend_after_ns", lambda _attempt: 10**16)
    _put(stack, alarm.AlarmDesk, "hub_heard", _nothing)


def forget_the_latch(stack: Stack) -> None:
    """The latch is cleared as soon as it is written."""
    real = latch.Latch.set

    def set_and_clear(self: Any, latched: Any) -> None:
        real(self, latched)
        self.clear(latched.press_id)

    _put(stack, latch.Latch, "set", set_and_clear)


def ignore_the_latch_at_start(stack: Stack) -> None:
    _put(stack, latch.Latch, "pending", lambda _self, _boot: [])


def believe_the_broker(stack: Stack) -> None:
    """A broker's acknowledgement counts as the control room's."""

    def acked(self: Any, broker: str, press_id: str, at_ns: int) -> None:
        self._apply(ev.AlarmReceived((press_id,)))

    _put(stack, alarm.AlarmDesk, "acked", acked)


def steady_when_sent(stack: Stack) -> None:
    real = lamps.lamps

    def shown(state: Any, now_ns: int, settings: Any) -> Any:
        found = real(state, now_ns, settings)
        sent = state.served is not None and state.served.stage == "sent"
        return found._replace(yellow="steady") if sent else found

    _put(stack, outputs, "lamps", shown)


def green_when_accepted(stack: Stack) -> None:
    real = lamps.lamps

    def shown(state: Any, now_ns: int, settings: Any) -> Any:
        found = real(state, now_ns, settings)
        accepted = state.served is not None and state.served.stage in ("received", "accepted")
        return found._replace(green="steady") if accepted else found

    _put(stack, outputs, "lamps", shown)


def grow_without_bound(stack: Stack) -> None:
    """Every event is kept for ever."""
    real = unit.Unit.apply

    def apply(self: Any, event: Any) -> None:
        self.__dict__.setdefault("_history", []).append(event)
        real(self, event)

    _put(stack, unit.Unit, "apply", apply)


def forget_received_at_restart(stack: Stack) -> None:
    real = recover.rebooted

    def restored(state: Any, *more: Any) -> Any:
        state = real(state, *more)
        incidents = tuple(
            msgspec.structs.replace(
                each,
                stage="raised" if each.active else each.stage,
                presses=tuple(msgspec.structs.replace(one, received=False) for one in each.presses),
            )
            for each in state.incidents
        )
        return msgspec.structs.replace(state, incidents=incidents)

    _put(stack, recover, "rebooted", restored)


def leave_the_microphone_open(stack: Stack) -> None:
    """The call of the last incident is wanted for ever."""
    real, last = wishes.Wishes._call, [None]

    def wanted(self: Any, levels: Any) -> Any:
        last[0] = real(self, levels) or last[0]
        return last[0]

    _put(stack, wishes.Wishes, "_call", wanted)


def locator_without_control_room(stack: Stack) -> None:
    _put(stack, lamps, "control_room_heard", lambda *_: True)


def sparks_are_presses(stack: Stack) -> None:
    _put(stack, press, "ACCEPT_NS", 1_000_000)


def mint_anew_at_restart(stack: Stack) -> None:
    """A latched press gets a second id."""
    real, count = latch.Latch.pending, [0]

    def pending(self: Any, boot_id: str) -> Any:
        found = []
        for each in real(self, boot_id):
            count[0] += 1
            found.append(msgspec.structs.replace(each, press_id=f"{count[0]:08x}{each.press_id[8:]}"))
        return found

    _put(stack, latch.Latch, "pending", pending)


def obey_replays(stack: Stack) -> None:
    """A repeated command is carried out again."""
    real = commands.CommandDesk.take

    def take(self: Any, *command: Any) -> Any:
        self._replies.clear()
        self._highest.clear()
        return real(self, *command)

    _put(stack, commands.CommandDesk, "take", take)


def never_persist(stack: Stack) -> None:
    _put(stack, outbox.Outbox, "put", _nothing)


def persist_without_sync(stack: Stack) -> None:
    from unitd.store import disk

    _put(stack, disk, "sync_dir", _nothing)


def never_remove(stack: Stack) -> None:
    _put(stack, outbox.Outbox, "remove", _nothing)


def still_trying_is_not_said(stack: Stack) -> None:
    real = outputs.outputs

    def silent(state: Any, now_ns: int, settings: Any) -> Any:
        return real(state, now_ns, msgspec.structs.replace(settings, still_trying_after_ns=10**16))

    _put(stack, unit, "outputs", silent)


def disk_first(stack: Stack) -> None:
    """An alarm is sent only when it is on the disk: a disk that hangs holds it up."""
    real = alarm.AlarmDesk._send

    def send(self: Any, waiting: Any, now_ns: int, *more: Any) -> Any:
        if waiting.durable:
            return real(self, waiting, now_ns, *more)
        waiting.next_ns = now_ns + 60_000_000_000
        return None

    _put(stack, alarm.AlarmDesk, "_send", send)


def later_presses_join_the_closed(stack: Stack) -> None:
    """A press during the post-roll is lost in the incident that is closing."""
    real = step.step

    def joined(state: Any, event: Any, now_ns: int, settings: Any) -> Any:
        if isinstance(event, ev.Pressed) and any(each.stage == "closing" for each in state.incidents):
            return state
        return real(state, event, now_ns, settings)

    _put(stack, unit, "step", joined)


def nobody_is_texted(stack: Stack) -> None:
    """The rounds are counted, and no message is made of them."""
    real = routes._text

    def silent(incident: Any, *more: Any) -> Any:
        return msgspec.structs.replace(real(incident, *more), sms=incident.sms)

    _put(stack, routes, "_text", silent)


def text_once(stack: Stack) -> None:
    """One round of messages, and no second one."""
    real = routes._sms_due_ns

    def due_ns(incident: Any, *more: Any) -> int:
        return 10**18 if incident.sms_rounds else real(incident, *more)

    _put(stack, routes, "_sms_due_ns", due_ns)


def text_after_the_answer(stack: Stack) -> None:
    _put(stack, incident.Incident, "unanswered", property(lambda self: self.active))


def tests_wake_people(stack: Stack) -> None:
    _put(stack, routes, "URGENT", ("panic", "voice", "test"))


def ask_only_the_first(stack: Stack) -> None:
    real = routes._not_asked
    _put(stack, routes, "_not_asked", lambda incident, more: [] if incident.asked else real(incident, more))


def forget_who_was_asked(stack: Stack) -> None:
    """A restarted core begins anew with the first control room."""
    real = unit.Unit.restore

    def restore(self: Any, state: Any, *presses: Any) -> None:
        incidents = tuple(msgspec.structs.replace(each, asked=()) for each in state.incidents)
        real(self, msgspec.structs.replace(state, incidents=incidents), *presses)

    _put(stack, unit.Unit, "restore", restore)


def duty_is_ignored(stack: Stack) -> None:
    _put(stack, duty.DutyDesk, "_on_duty", lambda _self, _utc_us: None)


def isolation_suppresses_presses(stack: Stack) -> None:
    real = step.step

    def rested(state: Any, event: Any, now_ns: int, settings: Any) -> Any:
        if isinstance(event, ev.Pressed) and state.isolation is not None:
            return state
        return real(state, event, now_ns, settings)

    _put(stack, unit, "step", rested)


def isolation_for_ever(stack: Stack) -> None:
    real = step.step

    def isolated(state: Any, event: Any, now_ns: int, settings: Any) -> Any:
        if isinstance(event, ev.Isolated):
            event = ev.Isolated(event.by, event.reason, step.LONGEST_ISOLATION_NS)
        return real(state, event, now_ns, settings)

    _put(stack, unit, "step", isolated)


def no_periodic_test(stack: Stack) -> None:
    _put(stack, periodic_test, "is_due", lambda *_: False)


def a_test_never_ends(stack: Stack) -> None:
    _put(stack, periodic_test, "ends_ns", lambda *_: None)


def the_limit_ignores_an_extension(stack: Stack) -> None:
    real = guard.limit_ns

    def limit_ns(incident: Any, settings: Any) -> Any:
        return real(msgspec.structs.replace(incident, extended_mono_ns=0), settings)

    _put(stack, guard, "limit_ns", limit_ns)


def the_limit_is_ignored(stack: Stack) -> None:
    _put(stack, guard, "limit_ns", lambda *_: None)


def a_press_unmutes(stack: Stack) -> None:
    """Any step makes the sound what it was at the beginning."""
    real = outputs.microphone_open
    _put(stack, outputs, "microphone_open", lambda state: real(_without_orders(state)))


def _without_orders(state: Any) -> Any:
    fresh = tuple(msgspec.structs.replace(each, orders=incident.CallOrders()) for each in state.incidents)
    return msgspec.structs.replace(state, incidents=fresh)


def a_watch_goes_on(stack: Stack) -> None:
    """Neither time nor an incident ends it."""
    _put(stack, watch, "passed", lambda state, _now_ns: state)


PLANTS: dict[str, Callable[[Stack], None]] = {
    each.__name__: each
    for each in (
        drop_the_resend,
        forget_the_latch,
        ignore_the_latch_at_start,
        believe_the_broker,
        steady_when_sent,
        green_when_accepted,
        grow_without_bound,
        forget_received_at_restart,
        leave_the_microphone_open,
        locator_without_control_room,
        sparks_are_presses,
        mint_anew_at_restart,
        obey_replays,
        never_persist,
        persist_without_sync,
        never_remove,
        still_trying_is_not_said,
        disk_first,
        later_presses_join_the_closed,
        nobody_is_texted,
        text_once,
        text_after_the_answer,
        tests_wake_people,
        ask_only_the_first,
        forget_who_was_asked,
        duty_is_ignored,
        isolation_suppresses_presses,
        isolation_for_ever,
        no_periodic_test,
        a_test_never_ends,
        the_limit_ignores_an_extension,
        the_limit_is_ignored,
        a_press_unmutes,
        a_watch_goes_on,
        *EVIDENCE_PLANTS,
    )
}


@contextlib.contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Within, the product has this fault. Raises KeyError for one that is not known."""
    with contextlib.ExitStack() as stack:
        if name is not None:
            PLANTS[name](stack)
        yield
