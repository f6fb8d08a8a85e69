"""What webrtcbin knows of a link: read out of its statistics structure."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LinkStats:
    """One reading, as the far end reports it. `None`: not reported yet. `loss` is the fraction since its last
    report."""

    picture_loss: float | None = None
    voice_loss: float | None = None
    round_trip_s: float | None = None


def read_stats(reply: Any) -> LinkStats | None:
    """The figures in webrtcbin's `get-stats` reply (GStreamer 1.22); None when there is none."""
    if reply is None:
        return None
    losses: dict[str, float] = {}
    round_trip_s: float | None = None
    for index in range(reply.n_fields()):
        entry = reply.get_value(reply.nth_field_name(index))
        if not hasattr(entry, "get_name") or "remote-inbound" not in entry.get_name():
            continue
        kind = entry.get_string("kind") or ""
        found, loss = entry.get_double("fraction-lost")
        if found:
            losses[kind] = loss
        found, seconds = entry.get_double("round-trip-time")
        if found and seconds > 0:
            round_trip_s = max(seconds, round_trip_s or 0.0)
    return LinkStats(losses.get("video"), losses.get("audio"), round_trip_s)
