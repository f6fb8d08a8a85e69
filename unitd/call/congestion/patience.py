"""When a link that carries the small picture is tried although that has not grown to where the next step is near.
Pure; seconds of one clock.

The re-encoder's rate grows with what comes through. Of a picture that needs little, too little comes through for that:
then only a train of packets can tell that the link is better than before.
"""

FIRST_S, AGAIN_S, LONGEST_S = 20.0, 40.0, 240.0
TRY_S = 4.0
"""A train is felt on a thin link: the picture stands for half a second. So they are few, and fewer with each."""
LEAST_FIRST_S = 60.0
"""Where hardly the least rate fits, it costs the picture for some seconds."""


class Patience:
    """Of one call; `is_over` for some seconds after 20 s in the low step (60 s at its least rate), then after 40, 80
    and so on."""

    def __init__(self) -> None:
        self._low_s: float | None = None
        self._next_s = 0.0
        self._wait_s = AGAIN_S

    def is_over(self, is_low: bool, now_s: float, *, is_least: bool = False) -> bool:
        """Whether a train may be ordered now, or judged. To be asked some ten times a second; `is_least`: the rate is
        the least of the step."""
        if not is_low:
            self._low_s = None
            return False
        if self._low_s is None:
            self._low_s, self._next_s, self._wait_s = now_s, now_s + FIRST_S, AGAIN_S
        if is_least and now_s < self._low_s + LEAST_FIRST_S:
            self._next_s = max(self._next_s, now_s)
            return False
        if now_s > self._next_s + TRY_S:
            self._next_s = now_s + self._wait_s
            self._wait_s = min(2 * self._wait_s, LONGEST_S)
        return now_s >= self._next_s
