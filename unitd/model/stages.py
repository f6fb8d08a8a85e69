"""An incident's stages: they only ever rise; and the footage that belongs to an incident. Pure."""

import msgspec

from unitd.model.incident import STAGES, Incident, Lock, Outcome, Settings, Stage, State
from unitd.model.past import judged


def put(state: State, incident: Incident) -> State:
    """The state with `incident` in the place of its former self."""
    incidents = tuple(incident if each.incident_id == incident.incident_id else each for each in state.incidents)
    return msgspec.structs.replace(state, incidents=incidents)


def further(incident: Incident, stage: Stage, now_ns: int) -> Incident:
    """The incident at `stage`, unless it is there or beyond."""
    if incident.received_mono_ns is None and stage in ("received", "accepted", "answered"):
        incident = msgspec.structs.replace(incident, received_mono_ns=now_ns)  # also after a limit has closed it
    if STAGES.index(stage) <= STAGES.index(incident.stage):
        return incident
    return msgspec.structs.replace(incident, stage=stage, stage_mono_ns=now_ns)


def closing(state: State, incident: Incident, now_ns: int, *, by: str, outcome: Outcome, note: str) -> State:
    """The state in which `incident` ends, by an operator's word or by a limit; the caller hears so."""
    incident = msgspec.structs.replace(incident, outcome=outcome, closed_by=by, note=note, sms=())
    state = put(state, further(incident, "closing", now_ns))
    # or the street would be told of the end of a call that nobody made, or an attacker of a quiet one's
    heard = incident.origin != "periodic" and not incident.orders.quiet
    return msgspec.structs.replace(judged(state, incident), ended_mono_ns=now_ns if heard else state.ended_mono_ns)


def lock_of(incident: Incident, settings: Settings, boot_now: int, utc_offset_us: int | None = None) -> Lock:
    """The footage that belongs to an incident: pre-roll to the end of the post-roll, open-ended until that is known.

    `utc_offset_us`: UTC minus monotonic in this boot; without it nobody can say when to look at it again.
    """
    closed = incident.stage == "closed"
    return Lock(
        incident_id=incident.incident_id,
        from_boot=incident.boot,
        from_mono_ns=max(0, incident.raised_mono_ns - settings.pre_roll_ns),
        to_boot=boot_now if closed else None,
        to_mono_ns=incident.stage_mono_ns if closed else None,
        raised_utc_us=incident.raised_utc_us,
        clock=incident.clock,
        kind=incident.kind,
        outcome=incident.outcome,
        review_utc_us=_review_utc_us(incident, settings, utc_offset_us) if closed else None,
    )


def _review_utc_us(incident: Incident, settings: Settings, utc_offset_us: int | None) -> int | None:
    if utc_offset_us is None:
        return None
    after_us = settings.hoax_review_us if incident.outcome == "hoax" else settings.review_us
    return incident.stage_mono_ns // 1000 + utc_offset_us + after_us
