"""The guard over a call's time: when the configured limit closes an incident, and when operators are told before. Pure.

An incident ends because an operator closed it, or because its limit passed with nobody on the line: while an operator
has answered and a console is connected, the limit waits; it closes AWAY_NS after the last console was gone.
"""

from msgspec.structs import replace

from unitd.model.incident import Incident, Settings

AWAY_NS = 300_000_000_000
"""A link that breaks, and an operator who dials in again, must not find the incident closed meanwhile."""


def limit_ns(incident: Incident, settings: Settings) -> int | None:
    """The configured limit: so long after the last press or step of an operator, and not before the end of an
    operator's extension. None without a limit. A broken link does not come into it."""
    if settings.close_after_ns is None or not incident.active:
        return None
    last_ns = max(incident.since_mono_ns, incident.last_press_mono_ns, incident.stage_mono_ns)
    return max(last_ns + settings.close_after_ns, incident.extended_mono_ns)


def closes_ns(incident: Incident, settings: Settings) -> int | None:
    """When the limit closes it as things are; None without a limit, and while an answered operator is on the line."""
    at_ns = limit_ns(incident, settings)
    if at_ns is None or settings.alone or incident.stage != "answered":
        return at_ns
    if incident.guard.on_line:
        return None
    return max(at_ns, incident.guard.left_mono_ns + AWAY_NS) if incident.guard.left_mono_ns else at_ns


def tells_ns(incident: Incident, settings: Settings) -> int | None:
    """When operators are told next how long the call has gone on, and when it would close; it may be past."""
    instants = [each for each in (_long_ns(incident, settings), _limit_told_ns(incident, settings)) if each is not None]
    return min(instants, default=None)


def told(incident: Incident, now_ns: int, settings: Settings) -> Incident:
    """The incident with whatever has to be told at `now_ns` told."""
    at_ns = tells_ns(incident, settings)
    if at_ns is None or now_ns < at_ns:
        return incident
    guard = replace(incident.guard, told=incident.guard.told + 1, told_mono_ns=now_ns)
    long_ns, before_ns = _long_ns(incident, settings), _limit_told_ns(incident, settings)
    if long_ns is not None and now_ns >= long_ns:
        guard = replace(guard, counted_mono_ns=now_ns)
    if before_ns is not None and now_ns >= before_ns:
        guard = replace(guard, limit_told_ns=limit_ns(incident, settings) or 0)
    return replace(incident, guard=guard)


def on_line(incident: Incident, connected: bool, now_ns: int) -> Incident:
    """A console is connected to the incident's call, or none is any more."""
    if incident.guard.on_line == connected:
        return incident
    left_ns = incident.guard.left_mono_ns if connected else now_ns
    return replace(incident, guard=replace(incident.guard, on_line=connected, left_mono_ns=left_ns))


def extended(incident: Incident, until_ns: int, now_ns: int) -> Incident:
    """An operator wants more time: the count of the time on the line begins afresh."""
    return replace(incident, extended_mono_ns=until_ns, guard=replace(incident.guard, counted_mono_ns=now_ns))


def _long_ns(incident: Incident, settings: Settings) -> int | None:
    """The next word about a long call."""
    if settings.warn_after_ns is None or incident.stage != "answered" or incident.origin == "periodic":
        return None
    return max(incident.stage_mono_ns, incident.guard.counted_mono_ns) + settings.warn_after_ns


def _limit_told_ns(incident: Incident, settings: Settings) -> int | None:
    """The word before the limit, once for each instant that it is moved to."""
    at_ns = limit_ns(incident, settings)
    if at_ns is None or settings.alone or at_ns == incident.guard.limit_told_ns:
        return None
    return max(0, at_ns - settings.warn_before_close_ns)
