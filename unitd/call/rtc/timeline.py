"""Presentation times of one outgoing picture: from a source's clock to a pipeline's, always rising. Pure."""

STEP_NS = 1_000_000
"""Between the frames of a backlog: they are shown as fast as they can be decoded, so that the last one is now."""

REBASE_NS = 500_000_000
"""A source whose times have wandered this far from the instants of arrival is laid on them anew."""


class Timeline:
    """Maps source times to output times. Not thread-safe; one per session.

    The source's own spacing is kept (it is the camera's, without the jitter of the way here) until it disagrees with
    the arrival by more than REBASE_NS or goes backwards: then the frame gets the time of its arrival.
    """

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._last_ns = -STEP_NS

    def live(self, source_ns: int, now_ns: int) -> int:
        """The output time of a frame that has just arrived; `now_ns` is the pipeline's running time."""
        if self._offset_ns is None or abs(source_ns + self._offset_ns - now_ns) > REBASE_NS:
            self._offset_ns = now_ns - source_ns
        self._last_ns = max(source_ns + self._offset_ns, self._last_ns + STEP_NS)
        return self._last_ns

    def anew(self) -> None:
        """Another source begins, whose times say nothing beside those of the one before: its next frame has the time
        of its arrival. Less than REBASE_NS of difference would else be delay that a browser adds for good."""
        self._offset_ns = None

    @property
    def next_ns(self) -> int:
        """No frame so far has this output time or a later one."""
        return max(0, self._last_ns + 1)

    def backlog(self, count: int, now_ns: int) -> list[int]:
        """Output times of the `count` frames of a group of pictures sent at once, the last of them not before
        `now_ns`."""
        first_ns = max(self._last_ns + STEP_NS, now_ns - (count - 1) * STEP_NS)
        times = [first_ns + index * STEP_NS for index in range(count)]
        if times:
            self._last_ns = times[-1]
        self._offset_ns = None
        return times
