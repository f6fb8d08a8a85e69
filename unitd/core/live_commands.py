"""Commands about the live call, sound and watching: what the configuration has against one, and which event it is."""

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from unitd.config import Config
from unitd.messages import control_room as wire
from unitd.model import events as ev

SECOND_NS = 1_000_000_000
DEFAULT_PORT = 443

LiveCommand = (
    wire.DialBack
    | wire.HandOver
    | wire.SetSound
    | wire.SendText
    | wire.Speak
    | wire.Watch
    | wire.EndWatch
    | wire.Announce
    | wire.Snapshot
)


class Fitted(NamedTuple):
    """What the unit has for these commands, from the configuration."""

    hosts: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    sound: bool = True
    cameras: bool = True
    endpoints: bool = True
    unseeing: tuple[str, ...] = ()
    """Control rooms that no endpoint would show a watch to: what is left would show it to others alone."""


LEAST_REASON = 3


def fitted(config: Config) -> Fitted:
    owned = {name for room in config.control_rooms for name in room.endpoints}
    shared = any(each.name not in owned for each in config.endpoints)
    return Fitted(
        hosts=tuple(each.lower() for each in config.call.hosts),
        rooms=tuple(each.name for each in config.control_rooms),
        sound=config.sound is not None,
        cameras=bool(config.cameras),
        endpoints=bool(config.endpoints),
        unseeing=tuple(each.name for each in config.control_rooms if not shared and not each.endpoints),
    )


def objection(command: wire.Command, unit: Fitted, room: str = "") -> str:
    """Why the unit as it is configured cannot do it for `room`, in words for the operator; "" when it can. Pure."""
    match command:
        case wire.HandOver() if command.room not in unit.rooms:
            return f"no such control room: {command.room} (configured: {', '.join(unit.rooms) or 'none'})"
        case wire.Speak() | wire.Announce() | wire.PlayWarning() if not unit.sound:
            return "no sound card is fitted"
        case wire.Watch() | wire.Announce() | wire.DialBack() if not unit.endpoints:
            return "no endpoint is configured"
        case wire.DialBack():
            if command.whep_url and not command.url:
                return "whep_url comes with a url"
            return next((why for url in (command.url, command.whep_url) if url and (why := _url(url, unit.hosts))), "")
        case wire.Watch() | wire.Announce() if room in unit.unseeing:
            return f"no endpoint belongs to {room}"
        case wire.Watch() | wire.Announce() if len(command.reason.strip()) < LEAST_REASON:
            return "say why"
        case wire.Snapshot() if not unit.cameras:
            return "no camera is fitted"
        case wire.SendText() | wire.Speak() if not command.text.strip():
            return "the text is empty"
    return ""


def event_of(command: LiveCommand, room: str, new_id: Callable[[], str]) -> ev.Event:
    """The event that carries it out; `room` is the control room whose broker brought it. Pure but for `new_id`."""
    match command:
        case wire.DialBack():
            return ev.DialledBack(command.incident_id, command.url, command.whep_url, command.token)
        case wire.HandOver():
            return ev.HandedOver(command.incident_id, command.by, command.room, command.note)
        case wire.SetSound():
            levels = command.mute_microphone, command.mute_horn, command.quiet
            return ev.SoundSet(command.incident_id, command.by, *levels)
        case wire.SendText():
            return ev.TextSent(command.incident_id, command.by, command.text)
        case wire.Speak():
            return ev.SpeechOrdered(command.text, command.language)
        case wire.Watch():
            return ev.WatchOrdered(new_id(), command.by, command.reason, command.for_s * SECOND_NS, False, room)
        case wire.Announce():
            return ev.WatchOrdered(new_id(), command.by, command.reason, command.for_s * SECOND_NS, True, room)
        case wire.EndWatch():
            return ev.WatchEnded(command.by)
        case wire.Snapshot():
            return ev.SnapshotOrdered(command.incident_id)


def _url(url: str, hosts: tuple[str, ...]) -> str:
    """Why the unit must not call `url`; "" when it may. The control room names it, the site's configuration allows."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORT  # .port raises on nonsense
    except ValueError as error:
        return f"this is no URL: {error}"[:200]
    if parts.scheme != "https" or not host:
        return "the URL must be https:// and a host"
    if "@" in parts.netloc:
        return "a password does not belong in the URL: send a token"
    if host not in hosts and f"{host}:{port}" not in hosts:
        return f"host {host[:100]} is not in the unit's call.hosts"
    return ""
