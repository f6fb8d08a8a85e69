"""What operators have ordered of the live call, of watching and of pictures: plain frozen values in the state."""

import msgspec


class NamedEndpoint(msgspec.Struct, frozen=True):
    """A `whip_whep` endpoint of a control room's own choice; that its host is allowed was checked at the boundary."""

    url: str
    whep_url: str = ""
    token: str = ""


class TextLine(msgspec.Struct, frozen=True):
    """A line for the caller's display."""

    number: int
    by: str
    text: str


class Guard(msgspec.Struct, frozen=True):
    """The guard over a call's time. Instants are of the present boot, 0 = never.

    `on_line`: an operator's console is connected to the call; `left_mono_ns`: when the last one was gone.
    `counted_mono_ns`: from when the time on the line is counted afresh; `limit_told_ns`: the closing limit that the
    operator was told of; `told` counts the warnings, the last at `told_mono_ns`.
    """

    on_line: bool = False
    left_mono_ns: int = 0
    counted_mono_ns: int = 0
    limit_told_ns: int = 0
    told: int = 0
    told_mono_ns: int = 0


class CallOrders(msgspec.Struct, frozen=True):
    """What operators have ordered for one incident's call; it ends with the incident.

    `dial` rises when it is to be dialled at once; `named` endpoints go before the configured ones, the newest first;
    `texts` are the last lines, `text_number` the newest one's number. `sound_by` set the three levels of sound.
    """

    dial: int = 0
    named: tuple[NamedEndpoint, ...] = ()
    texts: tuple[TextLine, ...] = ()
    text_number: int = 0
    mute_microphone: bool = False
    mute_horn: bool = False
    quiet: bool = False
    sound_by: str = ""


class HandOver(msgspec.Struct, frozen=True):
    """The last hand-over of an incident; `number` counts them. `answered`: an operator of that room has answered."""

    number: int
    by: str
    room: str
    note: str
    mono_ns: int
    answered: bool = False
    told: bool = False
    """The control rooms were told that nobody there has answered."""


class WatchGoal(msgspec.Struct, frozen=True):
    """Somebody watches: picture alone, outside every incident. `announce`: and is heard on the horn.

    `boot` is the boot of its instants: it does not outlive that. `room` is the control room whose broker brought it.
    """

    watch_id: str
    by: str
    reason: str
    began_mono_ns: int
    until_mono_ns: int
    announce: bool = False
    room: str = ""
    boot: int = 0


class Watched(msgspec.Struct, frozen=True):
    """The watch that ended last: whose it was, who ended it and why. `seconds`: None when a restart cut it off."""

    watch_id: str
    watcher: str
    by: str
    reason: str
    seconds: int | None


class SnapshotGoal(msgspec.Struct, frozen=True):
    """A picture of each camera, ordered; `number` rises with each order."""

    number: int
    incident_id: str
    ordered_mono_ns: int
