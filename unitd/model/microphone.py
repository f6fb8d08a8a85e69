"""The microphone gate of PROTOCOL.md: audio is recorded and sent only inside an incident that a person started."""

from unitd.model.incident import State

OPEN_IN = ("panic", "voice", "test")


def microphone_open(state: State) -> bool:
    """Open only while a panic, voice or test incident is served, from raised to closed, and no operator has muted it.

    An intrusion's or tamper's call never has the microphone, whatever else is closing meanwhile; nor has a watch, which
    is no incident.
    """
    served = state.served
    return served is not None and served.kind in OPEN_IN and not served.orders.mute_microphone
