"""What goes up is never larger than the protocol allows: a broker ends the connection of who sends more, each time.

Sizes come from outside: a worker passes on what a camera, a modem or an upload's server said.
"""

import msgspec

from unitd.messages import control_room as wire

LONGEST_NAME = 64
MOST_FAULTS = 32
LONGEST_TEXT = 100
"""A character is six bytes at most in JSON, so that all faults together need 44 kB at most."""


def event_payload(event: wire.Event) -> bytes:
    """The payload; without its data, and with `too_large_bytes` instead, when it would be too large. Pure."""
    payload = msgspec.json.encode(event)
    if len(payload) <= wire.MAX_PAYLOAD_BYTES:
        return payload
    incident_id = event.incident_id[:LONGEST_NAME] if event.incident_id is not None else None
    said: dict[str, wire.Fact] = {"too_large_bytes": len(payload)}
    short = msgspec.structs.replace(event, name=event.name[:LONGEST_NAME], incident_id=incident_id, data=said)
    return msgspec.json.encode(short)


def state_payload(state: wire.State) -> bytes:
    """The payload; without its facts, and then with short faults and reasons, when it would be too large. Pure.

    Open incidents stay: they are bounded by the model.
    """
    payload = msgspec.json.encode(state)
    if len(payload) <= wire.MAX_PAYLOAD_BYTES:
        return payload
    payload = msgspec.json.encode(msgspec.structs.replace(state, facts={}))
    if len(payload) <= wire.MAX_PAYLOAD_BYTES:
        return payload
    faults = tuple(
        wire.FaultReport(
            code=each.code[:LONGEST_NAME], subject=each.subject[:LONGEST_NAME], text=each.text[:LONGEST_TEXT]
        )
        for each in state.faults[:MOST_FAULTS]
    )
    isolation, watch = state.isolation, state.watch
    if isolation is not None:
        isolation = msgspec.structs.replace(isolation, reason=isolation.reason[:LONGEST_TEXT])
    if watch is not None:
        watch = msgspec.structs.replace(watch, reason=watch.reason[:LONGEST_TEXT])
    short = msgspec.structs.replace(state, facts={}, faults=faults, isolation=isolation, watch=watch)
    return msgspec.json.encode(short)
