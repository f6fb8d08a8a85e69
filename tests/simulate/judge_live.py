"""The live call: who is muted is not heard, who watches hears nothing, and nobody watches unless it was ordered."""

from typing import TYPE_CHECKING

from tests.simulate.live_orders import MEDIA
from unitd.messages import control_room as wire
from unitd.messages import workers as worker_wire

if TYPE_CHECKING:
    from tests.simulate.book import Book

SECOND_NS = 1_000_000_000
ORDER_NS = 120 * SECOND_NS
"""An order that is sent again and again, and obeyed at last."""


class LiveJudge:
    def __init__(self, book: "Book") -> None:
        self._book = book
        self._watch_until_ns = -1
        self._sound: dict[str, tuple[int, bool]] = {}
        """By incident the `seq` of the newest order about its sound, and whether it is to mute the microphone."""
        self._obeyed: dict[str, int] = {}
        self.quiet: set[str] = set()
        """Incidents that an operator wanted quiet at any time: silence in them is right."""
        self.handed: set[str] = set()

    def ordered(self, command: wire.Command) -> None:
        now_ns = self._book.now_ns
        if isinstance(command, wire.Watch | wire.Announce):
            self._watch_until_ns = max(self._watch_until_ns, now_ns + ORDER_NS + command.for_s * SECOND_NS)
        elif isinstance(command, wire.SetSound):
            self._sound[command.incident_id] = (command.seq, command.mute_microphone)
            self._obeyed.pop(command.incident_id, None)
            if command.quiet:
                self.quiet.add(command.incident_id)
        elif isinstance(command, wire.HandOver):
            self.handed.add(command.incident_id)

    def done(self, command: wire.Command) -> None:
        """An order was carried out."""
        self._book.counts[f"live: {command.__struct_config__.tag}"] += 1
        if isinstance(command, wire.SetSound) and self._sound.get(command.incident_id, (-1, False))[0] == command.seq:
            self._obeyed[command.incident_id] = command.seq
        if isinstance(command, wire.DialBack) and command.url and MEDIA not in command.url:
            self._book.finding("the unit dials a host that nobody allowed", command.url)

    def desired(self, desired: worker_wire.Desired) -> None:
        call = desired.call
        if call is None:
            return
        if call.watch:
            self._watch(desired, call)
            return
        incident = self._book.incidents.get(call.incident_id)
        _, mute = self._sound.get(call.incident_id, (-1, False))
        if incident is None or incident.doubtful or incident.shaken or call.incident_id not in self._obeyed:
            return
        if mute and call.microphone:
            self._book.finding("the microphone is open though an operator has muted it", str(incident))

    def _watch(self, desired: worker_wire.Desired, call: worker_wire.CallWanted) -> None:
        self._book.counts["times a watch was wanted"] += 1
        if call.microphone:
            self._book.finding("the microphone is open in a watch", call.incident_id)
        if desired.incident is not None:
            self._book.finding("a watch is wanted inside an incident", desired.incident.incident_id)
        if call.voices != desired.sound.announce:
            self._book.finding("the horn is open in a watch that is no announcement", call.incident_id)
        if self._book.now_ns > self._watch_until_ns:
            self._book.finding("somebody watches whom nobody has ordered to", call.incident_id)
