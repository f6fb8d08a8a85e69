"""What reaches one far end: a dial, and the stay there until it is lost."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from unitd.config import EndpointTable
from unitd.messages import duplex


@dataclass(frozen=True)
class Target:
    """An endpoint to dial. `token` goes before the file that the table names."""

    table: EndpointTable
    token: str = ""

    @property
    def name(self) -> str:
        return self.table.name


@dataclass(frozen=True)
class SessionNeeds:
    """How a session with this far end differs from one with an operator's console.

    `servers`: STUN and TURN besides the configured ones. `duplex` False: nothing but what WHIP takes, picture and voice
    one way (RFC 9725, 4.2). `listens`: the operator's voice alone (WHEP).
    """

    servers: tuple[duplex.IceServer, ...] = ()
    duplex: bool = True
    listens: bool = False


class Way(Protocol):
    """One dial of one target. Belongs to the loop.

    `run()` ends when it is lost, or never was; it says why.
    """

    most_at_once: int
    """Dials of one target side by side while nobody answers."""

    async def run(self) -> str: ...

    def send(self, message: duplex.FromUnit) -> None: ...

    def media(self, peer: str, connected: bool) -> None:
        """A session offered through this way has got its media, or lost it."""

    def needs(self, peer: str) -> SessionNeeds: ...

    def silent_s(self) -> float:
        """For how long nothing has been heard of what should be heard each second; 0 where nothing should."""

    def alive_s(self) -> float | None:
        """For how long the way has been heard without a gap; None where that cannot be told."""

    async def bye(self, reason: str) -> None:
        """End in order; takes a second at most."""


class WayEvents(Protocol):
    """What a way tells, on the loop."""

    def way_up(self, way: Way) -> None: ...

    def way_message(self, way: Way, message: duplex.ToUnit) -> None: ...


MakeWay = Callable[[Target, WayEvents], Way]
