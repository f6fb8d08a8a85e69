"""When a link's room is tried although the picture does not fill what is known of it. Pure; seconds of one clock."""

UNUSED_FOR_S, TRY_S = 10.0, 4.0
"""A train is felt on a thin link: the picture stands for half a second. So one in half a minute."""


class UnusedRoom:
    """The re-encoder's rate grows with what comes through. Of a picture that needs little, too little comes through for
    that: then only a train can tell that the link is better than before."""

    def __init__(self, now_s: float) -> None:
        self._used_s = now_s

    def may_try(self, is_unused: bool, now_s: float) -> bool:
        """Whether a train may be ordered now, or judged. To be asked some ten times a second."""
        if not is_unused:
            self._used_s = max(self._used_s, now_s)
        unused_s = now_s - self._used_s
        if unused_s > UNUSED_FOR_S + TRY_S:
            self._used_s = now_s + UNUSED_FOR_S
        return UNUSED_FOR_S < unused_s < UNUSED_FOR_S + TRY_S
