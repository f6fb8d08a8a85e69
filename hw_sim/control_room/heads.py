"""The heads that the control room keeps of each unit's evidence: what `unitd verify --heads` is given."""

import json
import os
from pathlib import Path

from unitd.messages.control_room import Event

REMEMBERED = 512


class HeadBook:
    """`heads.jsonl`: a line for each checkpoint, with the control room's own time of arrival. Only grows.

    A checkpoint that comes by several brokers is kept once, as far as this process remembers.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._known: dict[tuple[str, object], None] = {}

    def keep(self, unit: str, event: Event, received_utc_us: int) -> None:
        """Durable when this returns. Raises OSError. Blocks."""
        key = (unit, event.data.get("signature"))
        if key in self._known:
            return
        line = {
            "unit": unit, "received_utc_us": received_utc_us,
            **{name: event.data.get(name) for name in ("checkpoint", "body", "signature")},
        }  # fmt: skip
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
            out.flush()
            os.fsync(out.fileno())
        self._known[key] = None
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
