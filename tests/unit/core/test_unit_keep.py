"""A restarted core owes the disk what only the tmpfs holds: its predecessor's last word may have been refused."""

import pytest
from msgspec.structs import replace

from unitd.core.unit import Unit
from unitd.model.incident import Incident, Settings, State

INCIDENT = Incident("i", "panic", "received", 1, 0, "synced", 1, 1, 1)
OPEN = State(incidents=(INCIDENT,), boot=1)


@pytest.mark.parametrize(
    ("on_disk", "saved"),
    [(None, 1), (State(boot=1), 1), (OPEN, 0), (replace(OPEN, heard_mono_ns=5), 0)],
    ids=["nothing on disk", "an older state", "the same", "the same but for what only this moment knows"],
)
def test_keep_saves_what_the_disk_does_not_hold(
    on_disk: State | None, saved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = Unit(Settings(), None, None, None)  # type: ignore[arg-type]
    unit.state = OPEN
    calls: list[None] = []
    monkeypatch.setattr(unit, "_save_durable", lambda: calls.append(None))
    unit.keep(on_disk)
    assert len(calls) == saved
