"""The wire of a duplex endpoint: JSON text messages on one WebSocket between a unit and the relay of a control room.

docs/design/seams.md, "A duplex endpoint", has the directions and the meanings. Readers ignore unknown fields; unknown
types are ignored and counted. A message is at most MAX_MESSAGE_BYTES, a session description MAX_SDP_BYTES.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from unitd.errors import WireError

VERSION = 1
MAX_MESSAGE_BYTES = 64 * 1024
MAX_SDP_BYTES = 32 * 1024
MAX_CANDIDATE_BYTES = 1024
MAX_PEERS = 3
MAX_TEXT = 1000
MAX_STILL_BYTES = 44 * 1024
"""With its base64 it fits a message."""

Step = Literal["main", "sub", "low", "stills", "voice"]
"""docs/design/live-call.md, "The ladder"."""

PeerId = Annotated[str, Meta(min_length=1, max_length=64)]
Sdp = Annotated[str, Meta(min_length=1, max_length=MAX_SDP_BYTES)]
Candidate = Annotated[str, Meta(max_length=MAX_CANDIDATE_BYTES)]


class Duplex(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of every message: frozen, by keyword, told apart by `type`."""


class Hello(Duplex, frozen=True, kw_only=True, tag="hello"):
    """The unit's first message of a call: the first on a connection, or after `standby`."""

    version: int = VERSION
    unit: str
    incident_id: str
    kind: str
    cameras: tuple[str, ...]
    watch: bool = False
    """Picture alone, outside an incident (its id is then the watch's)."""
    quick_answers: tuple[str, ...] = ()
    """What the caller's panel offers to press instead of typing."""


class Link(Duplex, frozen=True, kw_only=True, tag="link"):
    """Once a second to each connected console: what it is sent, and how the link does. For a person to read."""

    peer: PeerId
    step: Step
    camera: str = ""
    pip: str | None = None
    kbit_s: int = 0
    capacity_kbit_s: int = 0
    loss_percent: float = 0.0
    round_trip_ms: int = 0
    words: str = ""


class StillPart(Duplex, frozen=True, kw_only=True, tag="still"):
    """A still picture for a console without a data channel. `at_utc_us` by the unit's clock."""

    peer: PeerId
    camera: str
    at_utc_us: int
    jpeg: Annotated[bytes, Meta(max_length=MAX_STILL_BYTES)]


class Text(Duplex, frozen=True, kw_only=True, tag="text"):
    """Real-time text (ITU-T T.140: U+0008 takes a letter back, U+2028 ends a line) where there is no data channel.

    To the unit: from that console. From the unit: what the caller typed, or (with `by`) another console's.
    """

    peer: PeerId
    t140: Annotated[str, Meta(max_length=MAX_TEXT)]
    by: Annotated[str, Meta(max_length=64)] = ""


class Standby(Duplex, frozen=True, kw_only=True, tag="standby"):
    """The unit keeps this connection for a call to come. It pings every few minutes and wants an answer."""

    version: int = VERSION
    unit: str


class PeerJoined(Duplex, frozen=True, kw_only=True, tag="peer_joined"):
    """An operator's console is there; the unit offers it a session, afresh if it had one."""

    peer: PeerId


class PeerLeft(Duplex, frozen=True, kw_only=True, tag="peer_left"):
    """The console has gone."""

    peer: PeerId


class Offer(Duplex, frozen=True, kw_only=True, tag="offer"):
    """The unit's session description. Every offer starts a new session: the peer drops what it had."""

    peer: PeerId
    sdp: Sdp


class Answer(Duplex, frozen=True, kw_only=True, tag="answer"):
    """The console's description in answer to the last offer."""

    peer: PeerId
    sdp: Sdp


class Ice(Duplex, frozen=True, kw_only=True, tag="ice"):
    """A transport candidate, of the last offer's session; empty = there are no more."""

    peer: PeerId
    candidate: Candidate
    sdp_mline_index: Annotated[int, Meta(ge=0, le=15)] = 0


class View(Duplex, frozen=True, kw_only=True, tag="view"):
    """The console asks to see `camera`, and in a corner of it `pip` (None: nothing there). A name that is unknown
    changes nothing."""

    peer: PeerId
    camera: Annotated[str, Meta(max_length=32)]
    pip: Annotated[str, Meta(max_length=32)] | None = None


class IceServer(msgspec.Struct, frozen=True, kw_only=True):
    """As WebRTC's RTCIceServer: `stun:`, `turn:` and `turns:` URLs (RFC 7064, 7065)."""

    urls: Annotated[tuple[Annotated[str, Meta(max_length=512)], ...], Meta(max_length=8)]
    username: Annotated[str, Meta(max_length=512)] = ""
    credential: Annotated[str, Meta(max_length=512)] = ""


class IceServers(Duplex, frozen=True, kw_only=True, tag="ice_servers"):
    """The relay's servers, for every session from now on; besides those of the configuration."""

    servers: Annotated[tuple[IceServer, ...], Meta(max_length=8)]


class Restart(Duplex, frozen=True, kw_only=True, tag="restart"):
    """The console asks for a new offer, from the start."""

    peer: PeerId


class Bye(Duplex, frozen=True, kw_only=True, tag="bye"):
    """The unit ends the call in order."""

    reason: Annotated[str, Meta(max_length=200)] = ""


class Ping(Duplex, frozen=True, kw_only=True, tag="ping"):
    n: int = 0


class Pong(Duplex, frozen=True, kw_only=True, tag="pong"):
    n: int = 0


FromUnit = Hello | Standby | Offer | Ice | Link | StillPart | Text | Bye | Ping | Pong
ToUnit = PeerJoined | PeerLeft | Answer | Ice | IceServers | View | Text | Restart | Ping | Pong

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[ToUnit] = msgspec.json.Decoder(ToUnit)


def encode(message: FromUnit) -> str:
    """The text to send."""
    return _encoder.encode(message).decode()


def decode(text: str | bytes) -> ToUnit:
    """The message in `text`. Raises WireError, and nothing else, for anything that is not one (unknown types too)."""
    if len(text) > MAX_MESSAGE_BYTES:
        raise WireError(f"message of {len(text)} characters, {MAX_MESSAGE_BYTES} at most")
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise WireError(f"duplex message: {error}") from None
