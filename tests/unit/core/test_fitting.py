"""Nothing goes up that a broker would end the connection for, whatever a camera or a server said."""

from __future__ import annotations

import msgspec
import pytest

from unitd.core.fitting import event_payload, state_payload
from unitd.messages import control_room as wire

AT = wire.Stamp(utc_us=0, clock="unknown", mono_ns=1)


def event(**changed: object) -> wire.Event:
    return msgspec.structs.replace(wire.Event(name="upload_done", at=AT, session=1, data={"ok": False}), **changed)


def test_what_fits_goes_as_it_is() -> None:
    assert event_payload(event()) == msgspec.json.encode(event())
    state = wire.State(unit="u", online=True, session=1, facts={"field": {"modem.model": "EC25"}})
    assert state_payload(state) == msgspec.json.encode(state)


@pytest.mark.parametrize(
    "changed",
    [{"data": {"error": "\x01" * 30_000}}, {"name": "n" * 70_000}, {"incident_id": "é" * 70_000}],
)
def test_a_large_event_says_at_least_that_it_was(changed: dict[str, object]) -> None:
    payload = event_payload(event(**changed))
    assert len(payload) < wire.MAX_PAYLOAD_BYTES
    told = msgspec.json.decode(payload, type=wire.Event)
    assert (told.at, told.session) == (AT, 1)
    size = told.data["too_large_bytes"]
    assert isinstance(size, int)
    assert size > wire.MAX_PAYLOAD_BYTES


def test_a_large_state_keeps_its_incidents_and_its_faults_codes() -> None:
    incident = wire.OpenIncident(incident_id="1" * 36, kind="panic", stage="sent", raised=AT, presses=1)
    fault = wire.FaultReport(code="camera_lost", subject="dome", text="x")
    state = wire.State(
        unit="u", online=True, session=1, armed=True, open_incidents=(incident,), faults=(fault,) * 3,
        facts={"record": {"dome.state": "y" * 70_000}},
    )  # fmt: skip
    told = msgspec.json.decode(state_payload(state), type=wire.State)
    assert told == msgspec.structs.replace(state, facts={})
    state = msgspec.structs.replace(state, faults=(msgspec.structs.replace(fault, text="\x00" * 70_000),) * 500)
    payload = state_payload(state)
    assert len(payload) <= wire.MAX_PAYLOAD_BYTES
    told = msgspec.json.decode(payload, type=wire.State)
    assert told.open_incidents == (incident,)
    assert {each.code for each in told.faults} == {"camera_lost"}


def test_reasons_as_long_as_they_may_be_and_every_fault_fit_together() -> None:
    bad = "\x00" * 2000
    fault = wire.FaultReport(code=bad, subject=bad, text=bad)
    state = wire.State(
        unit="u", online=True, session=1, faults=(fault,) * 40,
        watch=wire.Watching(watch_id="w", by=bad[:128], reason=bad, until_uptime_ms=1),
        isolation=wire.Isolation(by=bad[:128], reason=bad, until_uptime_ms=1),
    )  # fmt: skip
    payload = state_payload(state)
    assert len(payload) <= wire.MAX_PAYLOAD_BYTES
    assert msgspec.json.decode(payload, type=wire.State).watch is not None
