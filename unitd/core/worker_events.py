"""What workers tell core: whose it is, what goes on to the control room, and what of it goes on the record."""

from collections.abc import Callable
from typing import Protocol

from unitd.messages import workers as wire
from unitd.model import events as ev
from unitd.model.pace import Pace
from unitd.ports import Clock

TEXT_PACE = Pace(burst=60, every_ns=500_000_000)
"""Lines of a conversation in letters: far more than people type, and no more than a line of the chain each."""
LONGEST_WORDS = 1000
LONGEST_NAME = 64
SAID = ("warning_played", "spoken", "speak_failed")
"""What came out of the horn by an operator's order, or did not: the order is on the record as his command."""
LONGEST_ID = 64
LARGEST = 2**53
"""As far as every reader of JSON takes a whole number for what it is."""


class Record(Protocol):
    """Core's chain, as far as this needs it."""

    def add(self, kind: str, *, once: object = None, **fields: str | int | float | bool | None) -> None: ...

    def count_lost(self) -> None: ...


class WorkerEvents:
    """Lives on the loop; `take` never raises for what a worker says. `event` tells the control room, `worker_event` at
    the pace of devices. `texts_dropped` counts lines beyond TEXT_PACE; the chain counts them as well."""

    def __init__(
        self,
        apply: Callable[[ev.Event], None],
        still: Callable[[wire.Event], None],
        event: Callable[..., None],
        worker_event: Callable[..., None],
        record: Record,
        clock: Clock,
    ) -> None:
        self._apply, self._still = apply, still
        self._event, self._worker_event = event, worker_event
        self._record, self._clock = record, clock
        self._pace = self._said_pace = TEXT_PACE
        self.texts_dropped = 0

    def take(self, worker: str, event: wire.Event) -> None:
        match event.name:
            case "segment_closed":
                return
            case "still":
                self._still(event)
                return
            case "text":
                self._text(event)
                return
            case "upload_done":
                self._apply(ev.UploadEnded(str(event.data.get("upload_id"))))
            case "sms_sent":
                self._apply(ev.SmsSent(str(event.data.get("sms_id"))))
            case name if name in SAID and worker == "call":
                self._said(event)
        self._worker_event(event.name, event.incident_id, event.mono_ns, {**event.data, "worker": worker})

    def _text(self, event: wire.Event) -> None:
        """A line that somebody has typed: the caller, or an operator at a console."""
        data = {
            "from": "caller" if event.data.get("from") == "caller" else "operator",
            "by": str(event.data.get("by") or "")[:LONGEST_NAME],
            "words": str(event.data.get("words") or "")[:LONGEST_WORDS],
        }
        self._pace, may = self._pace.take(self._clock.mono_ns())
        if not may:
            self.texts_dropped += 1
            self._record.count_lost()
            return
        self._event("text", incident_id=event.incident_id, mono_ns=event.mono_ns, data=data)
        self._record.add("call", event="text", **_of_what(event), **data)

    def _said(self, event: wire.Event) -> None:
        self._said_pace, may = self._said_pace.take(self._clock.mono_ns())
        if not may:
            self._record.count_lost()
            return
        said = {
            name: str(event.data[name])[:LONGEST_WORDS] for name in ("name", "language", "error") if name in event.data
        }
        words = str(event.data.get("words") or "")[:LONGEST_WORDS]
        number = _whole(event.data.get("number"))
        self._record.add("call", event=event.name, **_of_what(event), words=words, number=number, **said)


def _of_what(event: wire.Event) -> dict[str, str | int | float | bool | None]:
    """The incident and the instant, as a line of the chain can hold them."""
    incident_id = event.incident_id
    return {
        "incident_id": None if incident_id is None else incident_id[:LONGEST_ID],
        "at_mono_ns": _whole(event.mono_ns),
    }


def _whole(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value <= LARGEST else 0
