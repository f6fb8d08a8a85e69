"""The periodic test alarm (EN 81-28 asks for one every three days): when it is due, and how it ends. Pure.

The whole way is tried, up to a person: the control room must accept or answer it. It is put off while an incident is
open or the unit is isolated, and ends by itself; it makes no sound on the street before somebody answers. A press
meanwhile is a panic of its own and comes before it.
"""

import msgspec

from unitd.model.incident import TEST_HOURS, Incident, Settings, State

BY = "unit"
AFTER_BOOT_NS = 24 * 3_600_000_000_000
"""After a start of the machine whose date is not known, the next test comes at most this much later."""
ENDS_AFTER_NS = 60_000_000_000
"""An accepted test that no operator closes closes itself."""


def due_ns(state: State, settings: Settings) -> int | None:
    """The instant of this boot from which a test is owed; None when the unit makes none."""
    every_ns = settings.test_every_ns
    if every_ns is None:
        return None
    if state.tested_mono_ns is not None:
        return state.tested_mono_ns + every_ns
    if state.tested_utc_us is not None and state.utc_offset_us is not None:
        # never further ahead than a whole period: the clock may have been set back since
        return min((state.tested_utc_us - state.utc_offset_us) * 1000 + every_ns, AFTER_BOOT_NS + every_ns)
    return min(every_ns, AFTER_BOOT_NS)


def is_due(state: State, now_ns: int, settings: Settings) -> bool:
    """Whether a test is to be raised now."""
    at_ns = due_ns(state, settings)
    if settings.test_hours and state.on_duty is not None and TEST_HOURS not in state.on_duty:
        return False
    return at_ns is not None and now_ns >= at_ns and not state.incidents and state.isolation is None


def ends_ns(incident: Incident, settings: Settings) -> int | None:
    """When a periodic test ends by itself; None for every other incident."""
    if incident.origin != "periodic" or not incident.active:
        return None
    if incident.reached("accepted"):
        return incident.stage_mono_ns + ENDS_AFTER_NS
    return incident.since_mono_ns + settings.test_answer_within_ns


def raised(state: State, now_ns: int) -> State:
    """The state that remembers when it was tested last."""
    offset_us = state.utc_offset_us
    utc_us = None if offset_us is None else now_ns // 1000 + offset_us
    return msgspec.structs.replace(state, tested_mono_ns=now_ns, tested_utc_us=utc_us)
