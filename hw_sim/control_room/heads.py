"""The heads that the control room keeps of each unit's evidence: what `unitd verify --heads` is given."""

import json
import os
from pathlib import Path

from unitd.messages.control_room import Event

REMEMBERED = 512
_KINDS = (("checkpoint", int), ("body", str), ("signature", str))


class HeadBook:
    """`heads.jsonl`: a line for each checkpoint, with the control room's own time of arrival. Only grows.

    A checkpoint that comes by several brokers is kept once, as far as this process remembers.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._known: dict[tuple[str, object], None] = {}

    def keep(self, unit: str, event: Event, received_utc_us: int) -> None:
        """Durable when this returns. Raises ValueError when it is none, OSError. Blocks."""
        key = (unit, event.data.get("signature"))
        if key in self._known:
            return
        if not all(isinstance(event.data.get(name), kind) for name, kind in _KINDS):
            raise ValueError("a checkpoint that is none")
        line = {
            "unit": unit, "received_utc_us": received_utc_us,
            **{name: event.data.get(name) for name in ("checkpoint", "body", "signature")},
        }  # fmt: skip
        with self.file.open("a", encoding="utf-8") as out:
            if not self._ends_whole():  # what a full disk or a power cut has left must not spoil this one
                out.write("\n")
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
            out.flush()
            os.fsync(out.fileno())
        self._known[key] = None
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]

    def _ends_whole(self) -> bool:
        with self.file.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            return file.read(1) in (b"", b"\n")
