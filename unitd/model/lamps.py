"""The lamp table of PROTOCOL.md (EN 81-28's meanings): yellow = registered, and green = answered."""

from typing import Literal, NamedTuple

from unitd.model.incident import Settings, State

Level = Literal["off", "steady", "flashing"]


class Lamps(NamedTuple):
    yellow: Level
    green: Level
    locator: Level


def lamps(state: State, now_ns: int, settings: Settings) -> Lamps:
    """What each lamp should show now. The locator tells the truth when idle; in an incident it lights the place."""
    incident = state.served
    if incident is None:
        lit = state.armed and control_room_heard(state, now_ns, settings)
        return Lamps("off", "off", "steady" if lit else "off")
    if incident.stage == "answered":
        return Lamps("steady", "steady", "steady")
    return Lamps("steady" if incident.received_mono_ns is not None else "flashing", "off", "steady")


def control_room_heard(state: State, now_ns: int, settings: Settings) -> bool:
    """Whether the control room's system was heard within the limit (90 s)."""
    return state.heard_mono_ns is not None and now_ns - state.heard_mono_ns < settings.silent_after_ns
