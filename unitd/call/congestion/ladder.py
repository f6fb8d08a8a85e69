"""Which step of the ladder, and when the next is tried. Pure; times are seconds of one monotonic clock.

Down at once, as far as the capacity says; up one step at a time, after a train of packets has shown that the next fits.
A step up that did not hold makes the next try wait longer.
"""

from dataclasses import dataclass, replace

from unitd.messages.duplex import Step

ORDER: tuple[Step, ...] = ("main", "sub", "low", "stills", "voice")
LEAST_BIT_S: dict[Step, float] = {"low": 80_000.0, "stills": 30_000.0, "voice": 0.0}
"""What a step whose rate is ours needs at least."""
USABLE = 0.95
"""Of the capacity: a queue that has built must have room to drain."""
HEADROOM_UP = 1.04
"""A step up must fit with this much to spare."""
SKIP = 0.8
HOLD_AFTER_DOWN_S = 4.0
HOLD_AFTER_UP_S = 1.5
"""Between two steps up at the start of a call; the last one's keyframe is still on its way."""
START_TRAIN_S = 2.0
FIRST_TRAIN_S = 4.0
LONGEST_TRAIN_S = 15.0
TRAIN_ANSWER_S = 1.5
CONFIRM_S = 0.4
TRAIN_GROWTH = 1.5
FIRST_RETRY_S = 30.0
LONGEST_RETRY_S = 240.0
FAILED_WITHIN_S = 12.0
PATIENT_S = 30.0
START_S = 6.0
"""A call's first seconds: one train is enough for a step up."""


@dataclass(slots=True)
class Fit:
    """What the ladder is asked with. `need_bit_s` of each step there is; `capacity_bit_s` None: not known yet."""

    need_bit_s: dict[Step, float]
    voice_cost_bit_s: float
    capacity_bit_s: float | None
    is_clean: bool
    """No queue, no loss beyond the link's own."""
    acked_bit_s: float = 0.0


class Ladder:
    """The step in force, and the ordered trains (`trains` counts them)."""

    def __init__(self, steps: tuple[Step, ...], first: Step, now_s: float, trains: int = 0) -> None:
        self.steps = steps
        self.step: Step = first
        self.trains = trains
        self.failed_tries = 0
        self._began_s = now_s
        self._up_s: float | None = None
        self._not_before_s = now_s
        self._retry_s = now_s
        self._train_s = now_s
        self._interval_s = START_TRAIN_S
        self._proved_s = -1e9

    # --- down -------------------------------------------------------------------------------------------------------

    def down(self, fit: Fit, now_s: float, *, at_least_one: bool = False) -> bool:
        """Step down as far as the capacity says (one step at least, if told so); whether it did."""
        at = self.steps.index(self.step)
        to = at + 1 if at_least_one or not fits(self.step, fit) else at
        # More than one at once only on clear evidence: the capacity that others' traffic leaves for a moment is less.
        while to < len(self.steps) - 1 and not fits(self.steps[to], fit, SKIP):
            to += 1
        to = min(to, len(self.steps) - 1)
        if to == at:
            return False
        if self._up_s is not None and now_s - self._up_s < FAILED_WITHIN_S:
            self.failed_tries = min(self.failed_tries + 1, 8)
            self._retry_s = now_s + min(FIRST_RETRY_S * 2.0 ** (self.failed_tries - 1), LONGEST_RETRY_S)
        self._up_s = None
        self.step = self.steps[to]
        self._not_before_s = now_s + HOLD_AFTER_DOWN_S
        self._interval_s = FIRST_TRAIN_S
        self._train_s = now_s + FIRST_TRAIN_S
        return True

    # --- up ---------------------------------------------------------------------------------------------------------

    def proved(self, now_s: float) -> None:
        """A train has just been answered."""
        self._proved_s = now_s

    def is_new(self, now_s: float) -> bool:
        """A call's first seconds: one train is enough."""
        return now_s - self._began_s < START_S

    def is_patient(self, now_s: float) -> bool:
        """Long enough on a small step for a try that may fail."""
        return now_s - max(self._not_before_s, self._retry_s) > PATIENT_S

    def up(self, fit: Fit, now_s: float, last_bit_s: float | None = None) -> bool:
        """Step up if the next step is known to fit, or order a train when that has to be learnt; whether it did
        step. `last_bit_s` is what the last train alone said: if only that is enough, another is ordered at once."""
        if self._up_s is not None and now_s - self._up_s > FAILED_WITHIN_S:
            self._up_s, self.failed_tries = None, 0
        at = self.steps.index(self.step)
        if at == 0 or not fit.is_clean or now_s < self._not_before_s or now_s < self._retry_s:
            return False
        step = self.steps[at - 1]
        is_proved = now_s - self._proved_s < TRAIN_ANSWER_S
        if fits(step, fit, HEADROOM_UP) and (is_proved or step in LEAST_BIT_S):
            self._proved_s = -1e9
            return self._go(step, now_s)
        if is_proved:
            self._proved_s = -1e9
            if last_bit_s is not None and fits(step, replace(fit, capacity_bit_s=last_bit_s), HEADROOM_UP):
                self._train_s = min(self._train_s, now_s + CONFIRM_S)
            else:
                self._interval_s = min(self._interval_s * TRAIN_GROWTH, LONGEST_TRAIN_S)
        if now_s >= self._train_s and step not in LEAST_BIT_S:
            self.trains += 1
            self._train_s = now_s + self._interval_s
        return False

    def _go(self, step: Step, now_s: float) -> bool:
        self.step = step
        self._up_s = now_s
        self._not_before_s = now_s + HOLD_AFTER_UP_S
        self._train_s = now_s + HOLD_AFTER_UP_S
        return True


def fits(step: Step, fit: Fit, headroom: float = 1.0) -> bool:
    """Whether the link carries this step; yes where its capacity is not known."""
    if fit.capacity_bit_s is None:
        return True
    need_bit_s = max(fit.need_bit_s.get(step, 0.0), LEAST_BIT_S.get(step, 0.0))
    return need_bit_s * headroom <= USABLE * fit.capacity_bit_s - fit.voice_cost_bit_s
