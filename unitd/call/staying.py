"""When a session goes on, and when another would do better. Pure; times in seconds of one monotonic clock.

In an outage a new session does no better: its offer is lost with everything else, and the old one goes on by itself
when the link is back. So what counts is silence of the media *while the signalling is heard*.
"""

DISCONNECTED_FOR_S = 5.0
DEAD_AFTER_S = 4.0
"""Without a packet of media while the signalling is heard. Feedback comes ten times a second."""
DEAD_WITHOUT_FEEDBACK_S = 12.0
"""Reports of voice alone may be 5 s apart (RFC 3550, 6.2), and one may be lost."""
ALIVE_FOR_S = 1.0
"""After an outage the media gets so long to come back with the signalling."""
UNTOLD_AFTER_S = 8.0
"""Where there is no signalling to be heard (WHIP); without feedback twice as much."""
SILENT_AFTER_S = 60.0
"""And while nothing is heard at all: a link that comes back sooner goes on as it was, without a round trip lost."""
PROVE_S = 0.8
PROVE_BY_REPORTS_S = 3.0
"""On a new link a session that is heard within this goes on; far ends without feedback are heard once a second."""
GIVEN_UP_S = 12.0
"""A browser holds a session for failed some 15 s after the last packet: in a longer outage it is not waited for."""


class Staying:
    """What one session has shown of itself. `heard_s` is the last packet of the far end, 0.0 before the first."""

    def __init__(self) -> None:
        self.heard_s = 0.0
        self.reported = False
        """Feedback has come. A far end that agreed to it and sends none is judged as one without."""
        self._bad_since_s: float | None = None
        self._doubt_s: float | None = None

    def connected(self, now_s: float) -> None:
        """It has (again) a pair of addresses that works."""
        self._bad_since_s = None
        self.heard_s = now_s

    def disconnected(self, now_s: float) -> None:
        """ICE has lost the pair."""
        self._bad_since_s = now_s

    def prove(self, now_s: float) -> bool:
        """The far end is there on a new link. False: this session is not worth waiting for."""
        if now_s - self.heard_s > GIVEN_UP_S:
            return False
        self._doubt_s = now_s
        return True

    def lost(self, now_s: float, is_connected: bool, has_feedback: bool, signalling_s: float | None) -> str:
        """Why another session is to be made, empty while it is not. `signalling_s`: for how long the signalling has
        been heard without a gap, None where that cannot be told."""
        has_feedback = has_feedback and self.reported
        if self._doubt_s is not None and self.heard_s > self._doubt_s:
            self._doubt_s = None
        if self._doubt_s is not None and now_s - self._doubt_s > (PROVE_S if has_feedback else PROVE_BY_REPORTS_S):
            return "it did not outlive its link"
        is_told = signalling_s is None or signalling_s > ALIVE_FOR_S
        if self._bad_since_s is not None and now_s - self._bad_since_s > DISCONNECTED_FOR_S and is_told:
            return "disconnected"
        if signalling_s is None:
            limit_s = UNTOLD_AFTER_S if has_feedback else 2 * UNTOLD_AFTER_S
        elif is_told:
            limit_s = DEAD_AFTER_S if has_feedback else DEAD_WITHOUT_FEEDBACK_S
        else:
            limit_s = SILENT_AFTER_S
        silent_s = now_s - self.heard_s
        return f"silent for {silent_s:.1f} s" if is_connected and silent_s > limit_s else ""
