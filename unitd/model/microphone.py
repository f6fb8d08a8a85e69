"""The microphone gate of PROTOCOL.md: audio is recorded and sent only inside an incident that a person started."""

from unitd.model.incident import State

OPEN_IN = ("panic", "voice", "test")


def microphone_open(state: State) -> bool:
    """Open only in panic, voice and test incidents, from raised to closed. In intrusion and tamper it stays shut, and
    while an operator has muted the incident that is served. A watch is no incident: it opens nothing."""
    served = state.served
    if served is not None and served.orders.mute_microphone:
        return False
    return any(incident.kind in OPEN_IN and incident.open for incident in state.incidents)
