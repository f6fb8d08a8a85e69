"""What the control room is told, and what goes on the record, of a live call: read off two states of the unit. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from unitd.model.guard import limit_ns
from unitd.model.incident import Incident, Settings, State

Fact = str | int | float | bool | None


class Told(NamedTuple):
    """An event for the control room, and (`chained`) a line of core's chain of the kind `call` with the same fields.

    What an operator ordered is on the record as his command already.
    """

    name: str
    incident_id: str | None
    data: dict[str, Fact]
    chained: bool = False


def told(before: State, after: State, settings: Settings) -> Iterator[Told]:
    """Everything of the live call that has happened between two states."""
    if after.watched != before.watched and after.watched is not None:
        done = after.watched
        data: dict[str, Fact] = {
            "watch_id": done.watch_id, "watcher": done.watcher, "by": done.by, "reason": done.reason,
            "seconds": done.seconds,
        }  # fmt: skip
        yield Told("watch_ended", None, data, chained=True)
    if after.watch != before.watch and after.watch is not None:
        goal = after.watch
        began: dict[str, Fact] = {
            "watch_id": goal.watch_id, "by": goal.by, "reason": goal.reason, "announce": goal.announce,
            "for_s": (goal.until_mono_ns - goal.began_mono_ns) // 1_000_000_000,
        }  # fmt: skip
        yield Told("watch_began", None, began, chained=True)
    if after.incidents is before.incidents:
        return
    known = {each.incident_id: each for each in before.incidents}
    for incident in after.incidents:
        old = known.get(incident.incident_id)
        if old is not None and old is not incident:
            yield from _of_incident(old, incident, settings)


def _of_incident(old: Incident, new: Incident, settings: Settings) -> Iterator[Told]:
    key = new.incident_id
    if new.answered_by != old.answered_by and old.stage == new.stage == "answered":
        data: dict[str, Fact] = {"kind": new.kind, "by": new.answered_by, "outcome": None, "presses": new.count}
        yield Told("incident_answered", key, data)
    if (sound := _sound(new)) != _sound(old):
        yield Told("sound_set", key, {"by": new.orders.sound_by, **sound})
    if new.orders.text_number > old.orders.text_number:
        for line in new.orders.texts:
            if line.number > old.orders.text_number:
                yield Told("text", key, {"from": "operator", "by": line.by, "words": line.text})
    over, was = new.handed_over, old.handed_over
    if over is not None and (was is None or over.number > was.number):
        yield Told("handed_over", key, {"by": over.by, "room": over.room, "note": over.note})
    elif over is not None and was is not None and over.told and not was.told:
        yield Told("hand_over_unanswered", key, {"by": over.by, "room": over.room}, chained=True)
    if new.guard.told > old.guard.told:
        yield Told("call_time_warning", key, _time(new, settings))


def _sound(incident: Incident) -> dict[str, Fact]:
    orders = incident.orders
    return {"mute_microphone": orders.mute_microphone, "mute_horn": orders.mute_horn, "quiet": orders.quiet}


def _time(incident: Incident, settings: Settings) -> dict[str, Fact]:
    """How long the operator has been on the line, and when the limit comes; None for what there is not."""
    now_ns = incident.guard.told_mono_ns
    at_ns = limit_ns(incident, settings)
    seconds = (now_ns - incident.stage_mono_ns) // 1_000_000_000 if incident.stage == "answered" else None
    return {
        "seconds": seconds,
        "closes_in_s": None if at_ns is None else max(0, at_ns - now_ns) // 1_000_000_000,
        "on_line": incident.guard.on_line,
    }
