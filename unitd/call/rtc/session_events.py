"""What a media session tells its owner, and how it refuses a second answer."""

from typing import TYPE_CHECKING, Protocol

from unitd.errors import WireError

if TYPE_CHECKING:
    from unitd.call.rtc.session import PeerSession


class AnsweredTwiceError(WireError):
    """An answer has been taken already."""


class SessionEvents(Protocol):
    """What a session tells its owner, on the loop. `state` is webrtcbin's connection state, or `error`."""

    def session_offers(self, session: "PeerSession", sdp: str) -> None: ...

    def session_candidate(self, session: "PeerSession", mline: int, candidate: str) -> None: ...

    def session_state(self, session: "PeerSession", state: str, detail: str) -> None: ...

    def session_wants_keyframe(self, session: "PeerSession") -> None: ...

    def session_feedback(self, session: "PeerSession", fci: bytes, at_s: float) -> None:
        """Transport-wide feedback as it came."""
