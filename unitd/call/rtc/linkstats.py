"""What webrtcbin knows of a link: read out of its statistics structure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LinkStats:
    """One reading, as the far end reports it. `None`: not reported yet.

    A loss is the fraction of packets since the far end's last report.
    """

    picture_loss: float | None = None
    voice_loss: float | None = None
    round_trip_s: float | None = None
    heard: int = 0
    """Rises with every packet of the far end's voice and every report of what it has got of ours; the same twice:
    nothing came in between. A console without a microphone sends no voice at all, so voice alone would not do."""
    picture_received: int = 0
    voice_received: int = 0
    """The highest sequence number (extended) that the far end has reported of each: a new one is a new report, and the
    difference is how many packets it covers."""


def read_stats(reply: Any) -> LinkStats | None:
    """The figures in webrtcbin's `get-stats` reply (GStreamer 1.22); None when there is none.

    Streams are told apart by SSRC: in a bundle, `kind` is that of the last codec for every entry.
    """
    if reply is None:
        return None
    entries = list(_entries(reply))
    kinds: dict[int, str] = {}
    for entry in entries:
        if entry.get_name() == "codec" and entry.get_string("codec-type") == "encode":
            kinds[entry.get_uint("ssrc")[1]] = (entry.get_string("mime-type") or "").split("/")[0]
    losses: dict[str, float] = {}
    received: dict[str, int] = {}
    round_trip_s: float | None = None
    heard = 0
    for entry in entries:
        if entry.get_name() == "inbound-rtp":
            heard += entry.get_uint64("packets-received")[1]
        if entry.get_name() != "remote-inbound-rtp":
            continue
        kind = kinds.get(entry.get_uint("ssrc")[1], "")
        report = entry.get_value("gst-rtpsource-stats") if entry.has_field("gst-rtpsource-stats") else None
        if report is not None:
            received[kind] = report.get_uint("rb-exthighestseq")[1]
            heard += received[kind]
        found, loss = entry.get_double("fraction-lost")
        if found:
            losses[kind] = loss
        found, seconds = entry.get_double("round-trip-time")
        if found and seconds > 0:
            round_trip_s = max(seconds, round_trip_s or 0.0)
    return LinkStats(
        losses.get("video"),
        losses.get("audio"),
        round_trip_s,
        heard,
        received.get("video", 0),
        received.get("audio", 0),
    )


def _entries(reply: Any) -> Iterator[Any]:
    for index in range(reply.n_fields()):
        entry = reply.get_value(reply.nth_field_name(index))
        if hasattr(entry, "get_name"):
            yield entry
