"""What the control room writes down of its own operators' acts, once a unit has said `done`; its next state says the
same of most of them. No I/O."""

from typing import Any

from hw_sim.control_room.book import Incident, Sound, now_utc_us
from unitd.messages.control_room import Event, OpenIncident, State


def note(incident: Incident, name: str, by: str, fields: dict[str, Any]) -> None:
    """Write into the incident what an operator has done. `fields` have passed the unit's own check."""
    now_us = now_utc_us()
    if name in ("accept", "answer") and incident.is_open:
        incident.stage = "answered" if name == "answer" or incident.stage == "answered" else "accepted"
    if name == "accept":
        incident.accepted_by, incident.accepted_utc_us = by, now_us
    elif name == "answer":
        incident.answered_by, incident.answered_utc_us = by, now_us
        if not incident.accepted_by:
            incident.accepted_by, incident.accepted_utc_us = by, now_us
    elif name == "extend":
        incident.time_warning = None
    elif name == "hand_over":
        incident.handed_to, incident.handed_by = str(fields["room"]), by
    elif name == "close":
        incident.closed_by, incident.closed_utc_us = by, now_us
        incident.outcome, incident.note = fields["outcome"], str(fields.get("note", ""))
        if incident.stage != "closed":
            incident.stage = "closing"


def warned(incident: Incident, event: Event) -> None:
    """The unit says that the call will end unless somebody extends it."""
    told = {key: event.data.get(key) for key in ("seconds", "closes_in_s")}
    incident.time_warning = {"utc_us": now_utc_us(), **told}


def sound_of(each: OpenIncident) -> Sound:
    """The levels of the call's sound, as the unit has them."""
    return Sound(mute_microphone=each.mute_microphone, mute_horn=each.mute_horn, quiet=each.quiet)


def lists(state: State, incident: Incident) -> bool:
    """Whether the unit says that this incident is open."""
    return any(each.incident_id == incident.incident_id for each in state.open_incidents)
