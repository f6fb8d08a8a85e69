"""What the recorder makes of core's wishes, and of their absence."""

from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest

from unitd.messages.workers import Desired, OpenIncident, RecordWanted
from unitd.record.recorder import Recorder

INCIDENT = OpenIncident(incident_id="i", kind="panic", stage="raised", raised_mono_ns=1)
IN_INCIDENT = Desired(session=1, number=1, incident=INCIDENT, record=RecordWanted(sync_s=1.0))
IDLE = Desired(session=1, number=2, record=RecordWanted(sync_s=10.0))


@pytest.mark.parametrize(
    ("wishes", "sync_s", "incident"),
    [
        ([None], 10.0, False),
        ([IN_INCIDENT], 1.0, True),
        ([IN_INCIDENT, None], 1.0, True),
        ([IN_INCIDENT, None, IDLE, None], 10.0, False),
    ],
)
def test_without_core_an_incident_is_recorded_as_one_to_its_end(
    wishes: list[Desired | None], sync_s: float, incident: bool
) -> None:
    camera = SimpleNamespace(writer=Mock(), main=Mock(), sub=Mock())
    rig = SimpleNamespace(_cameras={"dome": camera}, _incident=False, _sync_s=10.0)
    for wish in wishes:
        Recorder._apply(cast(Recorder, rig), wish)
    assert camera.writer.set_sync.call_args.args == (sync_s,)
    assert camera.writer.set_incident.call_args.args == (incident,)
    assert camera.main.hearing is incident
