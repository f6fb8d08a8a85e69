"""What the control room is told of an incident's way, as events (docs/control-room-api.md). Pure."""

from collections.abc import Callable

from unitd.model.incident import Incident


def by_whom(incident: Incident) -> str | None:
    """Who brought the incident to its present stage, where that is a person's doing."""
    return {
        "accepted": incident.accepted_by, "answered": incident.answered_by,
        "closing": incident.closed_by, "closed": incident.closed_by,
    }.get(incident.stage)  # fmt: skip


def tell_stage(event: Callable[..., None], incident: Incident) -> None:
    """It has reached a stage."""
    data = {
        "kind": incident.kind, "by": by_whom(incident), "outcome": incident.outcome, "presses": incident.count,
    }  # fmt: skip
    event(f"incident_{incident.stage}", incident_id=incident.incident_id, data=data)


def tell_asked(event: Callable[..., None], incident: Incident) -> None:
    """A further control room is asked."""
    data = {"room": incident.asked[-1], "asked": ", ".join(incident.asked), "stage": incident.stage}
    event("incident_asked", incident_id=incident.incident_id, data=data)
