"""The control room's API as data: which struct travels on which topic, how, and in which direction."""

from dataclasses import dataclass
from typing import Any, Literal

from unitd.messages import control_room as wire
from unitd.messages import duplex


@dataclass(frozen=True)
class Channel:
    """One topic below `hp/1/<unit>/`. `unit_sends` is seen from the unit; the control room does the opposite."""

    name: str
    topic: str
    payload: Any
    unit_sends: bool
    qos: Literal[0, 1]
    retain: bool
    words: str


CHANNELS = (
    Channel(
        "state",
        "up/state",
        wire.State,
        True,
        1,
        True,
        "The unit's state as a level: at birth, at every change, and as the last will with `online` false.",
    ),
    Channel(
        "alarm",
        "up/alarm",
        wire.Alarm,
        True,
        1,
        False,
        "One for each accepted press, to every broker, again and again until `down/received` names it.",
    ),
    Channel("event", "up/event", wire.Event, True, 1, False, "Something that happened once."),
    Channel("beat", "up/beat", wire.Beat, True, 0, False, "The heartbeat."),
    Channel(
        "still", "up/still", wire.Still, True, 1, False, "A picture of the press from each camera, after the alarm."
    ),
    Channel("reply", "up/reply", wire.Reply, True, 1, False, "The answer to one command."),
    Channel(
        "received",
        "down/received",
        wire.Received,
        False,
        1,
        False,
        "The control room's system holds these alarms durably; without names, that it is there.",
    ),
    Channel(
        "operator-command",
        "down/operator/cmd",
        wire.OperatorCommand,
        False,
        1,
        False,
        "What an operator may order. The broker's access list says who may publish here.",
    ),
    Channel(
        "maintainer-command",
        "down/maintainer/cmd",
        wire.MaintainerCommand,
        False,
        1,
        False,
        "What a maintainer may order. The broker's access list says who may publish here.",
    ),
)

DUPLEX = {"duplex-from-unit": duplex.FromUnit, "duplex-to-unit": duplex.ToUnit}
"""The messages of a duplex endpoint, as they are named among the schemas."""
