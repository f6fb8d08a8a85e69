"""The policy of a dome on a one-way line: what to send when, so that it never turns longer than it may.

Pelco-D has no answer and frames get lost, so a stop is sent several times, a move is repeated while it is wanted and
bounded by time whatever else happens, and a preset is called twice. Pure: time comes in, orders come out.
"""

from dataclasses import dataclass

MS = 1_000_000
STOP_AFTER_MS = (0, 100, 300, 2000)
"""A stop goes out at once, twice more before a frame's loss could matter, and once late."""
PRESET_AFTER_MS = (0, 400)
MOVE_REPEAT_MS = 400
SETTLE_MS = 3000
"""Domes take up to about 3 s to a preset (180 degrees at 80-300 degrees a second); Pelco-D cannot tell."""


@dataclass(frozen=True)
class Goal:
    """What core wants. A new one is acted on when `number` rises within a `session`."""

    session: int = 0
    number: int = 0
    preset: int | None = None
    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0
    until_ns: int = 0

    @property
    def moves(self) -> bool:
        return self.preset is None and (self.pan, self.tilt, self.zoom) != (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Move:
    """Speeds in -1..1: right, up and tele are positive."""

    pan: float
    tilt: float
    zoom: float


@dataclass(frozen=True)
class Stop:
    pass


@dataclass(frozen=True)
class GoPreset:
    preset: int


@dataclass(frozen=True)
class Stopped:
    """To tell: a stop has gone out after a move."""


@dataclass(frozen=True)
class AtPreset:
    """To tell: a preset was called SETTLE_MS ago and nothing else since, so the dome is taken to be there."""

    preset: int


Order = Move | Stop | GoPreset | Stopped | AtPreset


class DomePolicy:
    """Guarantee: no Move comes out of `due` later than `move_limit_s` after its goal came in, nor after the goal's own
    end; and the first `due` after either, or after `core_lost` or `opened`, gives a Stop before anything else.

    Limit: while the line is lost nothing can be sent; the Stop then comes first when it is open again.
    Call `due` at `next_ns` at the latest. Not thread-safe.
    """

    def __init__(self, move_limit_s: float) -> None:
        self._limit_ns = int(move_limit_s * 1e9)
        self._goal: Goal | None = None
        self._move: Move | None = None
        self._end_ns = 0
        self._repeat_ns = 0
        self._stops: list[int] = []
        self._preset: int | None = None
        self._calls: list[int] = []
        self._arrives_ns: int | None = None
        self._tell_stopped = False

    @property
    def turning(self) -> bool:
        """Whether a move has been ordered and no stop since."""
        return self._move is not None

    def want(self, goal: Goal, now_ns: int) -> None:
        """Take note of core's goal; nothing happens unless it is a newer one."""
        last = self._goal
        if last is not None and goal.session == last.session and goal.number <= last.number:
            return
        self._goal = goal
        if goal.number == 0 or (last is not None and _same(goal, last)):
            return  # a restarted core that has ordered nothing yet, or that is where it was
        if goal.preset is not None:
            self._halt(now_ns)
            self._stops = [now_ns]  # later ones would end the way to the preset
            self._call(goal.preset, now_ns)
            return
        self._forget_preset()
        end_ns = min(goal.until_ns, now_ns + self._limit_ns)
        if not goal.moves or end_ns <= now_ns:
            self._halt(now_ns)
            return
        self._move = Move(goal.pan, goal.tilt, goal.zoom)
        self._end_ns, self._repeat_ns, self._stops = end_ns, now_ns, []

    def core_lost(self, now_ns: int) -> None:
        """Nobody watches the move any more: end it. A preset ends by itself."""
        if self._move is not None:
            self._halt(now_ns)

    def opened(self, now_ns: int) -> None:
        """The line is open (again): whatever the dome does from before, stop it; then call the wanted preset again."""
        self._halt(now_ns)
        if self._preset is not None:
            self._stops = [now_ns]
            self._call(self._preset, now_ns)

    def due(self, now_ns: int) -> list[Order]:
        """What to send and to tell now, in order."""
        out: list[Order] = []
        if self._move is not None and now_ns >= self._end_ns:
            self._halt(now_ns)
        if self._stops and self._stops[0] <= now_ns:
            self._stops = [at for at in self._stops if at > now_ns]
            out.append(Stop())
            if self._tell_stopped:
                self._tell_stopped = False
                out.append(Stopped())
        if self._move is not None and now_ns >= self._repeat_ns:
            self._repeat_ns = now_ns + MOVE_REPEAT_MS * MS
            out.append(self._move)
        if self._preset is not None:
            if self._calls and self._calls[0] <= now_ns:
                self._calls = [at for at in self._calls if at > now_ns]
                out.append(GoPreset(self._preset))
            if self._arrives_ns is not None and now_ns >= self._arrives_ns:
                self._arrives_ns = None
                out.append(AtPreset(self._preset))
        return out

    def next_ns(self) -> int | None:
        """When `due` must be called next, None when only a new goal can change anything."""
        times = [*self._stops[:1], *self._calls[:1]]
        if self._move is not None:
            times += [self._end_ns, self._repeat_ns]
        if self._arrives_ns is not None:
            times.append(self._arrives_ns)
        return min(times, default=None)

    def last_orders(self) -> list[Order]:
        """What to send before the line is closed on purpose: stops, unless the dome is on its way to a preset."""
        return [] if self._preset is not None else [Stop()] * 3

    def _halt(self, now_ns: int) -> None:
        self._tell_stopped = self._tell_stopped or self._move is not None
        self._move = None
        self._stops = [now_ns + after * MS for after in STOP_AFTER_MS]

    def _call(self, preset: int, now_ns: int) -> None:
        self._preset = preset
        self._calls = [now_ns + after * MS for after in PRESET_AFTER_MS]
        self._arrives_ns = now_ns + SETTLE_MS * MS

    def _forget_preset(self) -> None:
        self._preset, self._calls, self._arrives_ns = None, [], None


def _same(one: Goal, other: Goal) -> bool:
    """The same order of two sessions of core."""
    keys = ("number", "preset", "pan", "tilt", "zoom", "until_ns")
    return all(getattr(one, key) == getattr(other, key) for key in keys)
