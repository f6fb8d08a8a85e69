"""What operators order of a live call, and who watches when nobody has called: by a random stream of its own, so that
days without it are the days they were."""

import random
from typing import TYPE_CHECKING, Any

from unitd.messages import control_room as wire

if TYPE_CHECKING:
    from tests.simulate.control_room import ControlRoom
    from tests.simulate.day import Day

MEDIA = "media.example"
"""The host that the simulated unit's `call.hosts` names."""


class LiveOrders:
    def __init__(self, day: "Day") -> None:
        self.day = day
        self._chance = random.Random(f"live {day.seed}")

    def of_incident(self, room: "ControlRoom", incident_id: str, at_s: float) -> None:
        """Some orders of a call that begins in `at_s`."""
        chance = self._chance
        if chance.random() < 0.5:
            return
        for _ in range(chance.randint(1, 5)):
            kind, fields = self._one(incident_id)
            after_s = at_s + chance.uniform(0, 90)
            self.day.timeline.after(
                after_s, lambda kind=kind, fields=fields: self.day.operators.order(room, kind, fields)
            )

    def somebody_watches(self, within_s: float) -> None:
        """In one episode of two somebody looks at the place, or speaks to it, whatever happens there."""
        chance, after = self._chance, self.day.timeline.after
        if chance.random() < 0.5:
            return
        room, at_s = chance.choice(self.day.rooms), chance.uniform(0, within_s)
        for _ in range(chance.randint(1, 3)):
            kind = chance.choice((wire.Watch, wire.Watch, wire.Announce))
            fields = {"for_s": chance.choice((20, 120, 600)), "reason": "a report"}
            after(at_s, lambda kind=kind, fields=fields: self.day.operators.order(room, kind, fields))
            at_s += chance.uniform(5, 100)
            if chance.random() < 0.4:
                after(at_s, lambda: self.day.operators.order(room, wire.EndWatch, {}))

    def _one(self, incident_id: str) -> tuple[Any, dict[str, Any]]:
        chance, of = self._chance, {"incident_id": incident_id}
        rooms = tuple(self.day.duty.rooms) or ("nowhere",)
        return chance.choice(
            (
                (wire.SetSound, {**of, "mute_microphone": chance.random() < 0.7, "quiet": chance.random() < 0.5}),
                (wire.SetSound, {**of, "mute_horn": True}),
                (wire.SendText, {**of, "text": "I can see you."}),
                (wire.DialBack, of),
                (wire.DialBack, {**of, "url": f"https://{chance.choice((MEDIA, 'evil.example'))}/whip"}),
                (wire.HandOver, {**of, "room": chance.choice(rooms)}),
                (wire.Snapshot, of),
                (wire.Speak, {"text": "Stay where you are.", "language": chance.choice(("", "pl"))}),
            )
        )
