"""The microphone gate of PROTOCOL.md: audio is recorded and sent only inside an incident that a person started."""

from unitd.model.incident import State

OPEN_IN = ("panic", "voice", "test")


def microphone_open(state: State) -> bool:
    """Open only while a panic, voice or test incident is served, from raised to closed, and no operator has muted it.

    An intrusion's or tamper's call never has the microphone, whatever else is closing meanwhile; nor has a watch, which
    is no incident. A test that the unit has raised by itself has it once an operator has answered: before that nobody
    has asked for the street's sound.
    """
    served = state.served
    if served is None or served.kind not in OPEN_IN or served.orders.mute_microphone:
        return False
    return served.origin != "periodic" or served.stage == "answered"
