"""Which text message is tried next, and when again: the policy of sending, as pure bookkeeping.

Messages are wanted as a level. Numbers take turns, so that a number that fails does not hold up the others; each has
its own back-off. What was sent is remembered by id, so that a message is not sent again while its owner has not heard.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

MOST_WANTED = 64
KEEP_SENT = 256
"""Ids remembered: more than can be wanted at once."""
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0
TELL_AGAIN_S = 2.0
"""A message that was sent and is still wanted: its owner did not hear it."""
REFUSED_AFTER_S = 600.0


class Message(NamedTuple):
    sms_id: str
    number: str
    text: str


class Told(NamedTuple):
    """A message to report as sent."""

    message: Message
    reference: int | None


@dataclass(slots=True)
class _Number:
    due_s: float
    failures: int = 0
    last_turn: int = 0
    refused_since_s: float | None = None
    refusal: str = ""
    unsure: bool = False


@dataclass(slots=True)
class _Sent:
    reference: int | None
    told_s: float | None = None


@dataclass(slots=True)
class _Waiting:
    message: Message
    last_turn: int = 0
    failure_told: bool = False


class SmsQueue:
    """At most MOST_WANTED messages and KEEP_SENT ids; `now_s` is monotonic. What is beyond MOST_WANTED waits its turn
    outside (the level brings it again) and is counted in `left_out`."""

    def __init__(self, sent: Iterable[tuple[str, int | None]] = ()) -> None:
        self._sent = {sms_id: _Sent(reference) for sms_id, reference in sent}
        self._wanted: dict[str, Message] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._numbers: dict[str, _Number] = {}
        self._turn = 0
        self.left_out = 0
        self._forget()

    # What is wanted.

    def want(self, messages: Iterable[Message], now_s: float) -> None:
        """Take the whole level: new messages are due at once, those no longer in it are forgotten."""
        wanted: dict[str, Message] = {}
        self.left_out = 0
        for message in messages:
            if message.sms_id in wanted or len(wanted) < MOST_WANTED:
                wanted.setdefault(message.sms_id, message)
            else:
                self.left_out += 1
        self._wanted = wanted
        before, self._waiting = self._waiting, {}
        for sms_id, message in wanted.items():
            if sms_id in self._sent:
                self._sent[sms_id] = self._sent.pop(sms_id)  # the last to be forgotten
                continue
            number = self._numbers.setdefault(message.number, _Number(now_s))
            if sms_id not in before:
                number.due_s = min(number.due_s, now_s)
            self._waiting[sms_id] = waiting = before.get(sms_id) or _Waiting(message)
            waiting.message = message
        served = {message.number for message in wanted.values()}
        self._numbers = {name: number for name, number in self._numbers.items() if name in served}

    @property
    def waiting(self) -> int:
        """Messages wanted and not sent."""
        return len(self._waiting)

    @property
    def sent_ids(self) -> tuple[tuple[str, int | None], ...]:
        """What to give to the next SmsQueue after a restart."""
        return tuple((sms_id, sent.reference) for sms_id, sent in self._sent.items())

    # What to do.

    def due(self, now_s: float) -> Message | None:
        """The message to try now. The number whose turn is longest ago comes first, and of its messages likewise."""
        ready = [one for one in self._waiting.values() if self._numbers[one.message.number].due_s <= now_s]
        best = min(ready, key=lambda one: (self._numbers[one.message.number].last_turn, one.last_turn), default=None)
        return None if best is None else best.message

    def next_s(self) -> float | None:
        """When there is something to try or to tell again; None while nothing is wanted."""
        times = [self._numbers[one.message.number].due_s for one in self._waiting.values()]
        times += [
            sent.told_s + TELL_AGAIN_S
            for sms_id in self._wanted
            if (sent := self._sent.get(sms_id)) is not None and sent.told_s is not None
        ]
        return min(times, default=None)

    def hurry(self, now_s: float) -> None:
        """Network or SIM are back: everything is due, but for what may have gone. That keeps its pause: a modem that
        restarts at each attempt, for want of power, is back on the network after each."""
        for number in self._numbers.values():
            if not number.unsure:
                number.due_s = min(number.due_s, now_s)

    def to_tell(self, now_s: float) -> list[Told]:
        """Messages that were sent and are wanted still; each again after TELL_AGAIN_S."""
        told = []
        for sms_id, message in self._wanted.items():
            sent = self._sent.get(sms_id)
            if sent is not None and (sent.told_s is None or now_s - sent.told_s >= TELL_AGAIN_S):
                sent.told_s = now_s
                told.append(Told(message, sent.reference))
        return told

    # What came of it.

    def sent(self, message: Message, reference: int | None) -> None:
        """The network took it; `to_tell` gives it next."""
        self._take_turn(message)
        self._waiting.pop(message.sms_id, None)
        self._sent[message.sms_id] = _Sent(reference)
        self._forget()
        if (number := self._numbers.get(message.number)) is not None:
            number.failures, number.refused_since_s, number.unsure = 0, None, False

    def failed(self, message: Message, now_s: float, *, refusal: str | None = None, unsure: bool = False) -> bool:
        """It did not go, or nobody knows; True the first time for this message: then it is told.

        `refusal` are the words of a refusal that counts against the number; `unsure`: it may have gone.
        """
        self._take_turn(message)
        number = self._numbers.get(message.number)
        if number is not None:
            number.due_s = now_s + min(FIRST_PAUSE_S * 2.0 ** min(number.failures, 10), LONGEST_PAUSE_S)
            number.failures += 1
            number.unsure = unsure
            if refusal is not None:
                number.refusal = refusal
                number.refused_since_s = now_s if number.refused_since_s is None else number.refused_since_s
        return self._first_failure(message.sms_id)

    def unreachable(self) -> list[Message]:
        """There is no modem to try with: the messages that are told to have failed, each once."""
        return [one.message for one in list(self._waiting.values()) if self._first_failure(one.message.sms_id)]

    def refused(self, now_s: float) -> list[tuple[str, str]]:
        """Numbers refused for REFUSED_AFTER_S without a success, with the last words."""
        return [
            (name, number.refusal)
            for name, number in self._numbers.items()
            if number.refused_since_s is not None and now_s - number.refused_since_s >= REFUSED_AFTER_S
        ]

    def _take_turn(self, message: Message) -> None:
        self._turn += 1
        if (number := self._numbers.get(message.number)) is not None:
            number.last_turn = self._turn
        if (waiting := self._waiting.get(message.sms_id)) is not None:
            waiting.last_turn = self._turn

    def _first_failure(self, sms_id: str) -> bool:
        waiting = self._waiting.get(sms_id)
        if waiting is None or waiting.failure_told:
            return False
        waiting.failure_told = True
        return True

    def _forget(self) -> None:
        while len(self._sent) > KEEP_SENT:
            del self._sent[next(iter(self._sent))]
