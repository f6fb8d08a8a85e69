"""Whether an operator is on the line, as a level: what the call process says of its consoles, for the guard's limit."""

import asyncio
from collections.abc import Callable
from typing import Any

from unitd.model import events as ev
from unitd.model.incident import State
from unitd.ports import Clock

LEFT_AFTER_NS = 30_000_000_000
"""A console counts as gone when none was connected for so long: a link that flaps makes no events, and a call process
that starts again is no hanging up."""


class LineDesk:
    """Lives on the loop. `call_facts()` is what the call process tells of itself; `apply` takes events to the unit."""

    def __init__(
        self,
        call_facts: Callable[[], dict[str, Any]],
        state: Callable[[], State],
        apply: Callable[[ev.Event], None],
        clock: Clock,
    ) -> None:
        self._call_facts, self._state, self._apply, self._clock = call_facts, state, apply, clock
        self._seen_ns: dict[str, int] = {}

    def look(self) -> None:
        """Bring the state to what is seen now."""
        facts, now_ns = self._call_facts(), self._clock.mono_ns()
        peers, here = facts.get("peers"), facts.get("incident")
        if isinstance(peers, int) and peers > 0 and isinstance(here, str):
            self._seen_ns[here] = now_ns
        active = [each for each in self._state().incidents if each.active]
        kept = {each.incident_id for each in active}
        self._seen_ns = {key: at_ns for key, at_ns in self._seen_ns.items() if key in kept}
        for incident in active:
            seen_ns = self._seen_ns.get(incident.incident_id)
            on_line = seen_ns is not None and now_ns - seen_ns < LEFT_AFTER_NS
            if on_line != incident.guard.on_line:
                self._apply(ev.OnLine(incident.incident_id, on_line))

    async def run(self, look_s: float) -> None:
        while True:
            self.look()
            await asyncio.sleep(look_s)
