"""GStreamer through gi, loaded and initialised once; the only place in `call` that imports it.

What comes from gi has no types: the names here are `Any` on purpose.
"""

import os
from typing import Any

# Orc would compile its loops into writable, executable memory, which the service may not have (MemoryDenyWriteExecute).
# What is left for it here, voice at 48 kHz, costs nothing without.
os.environ.setdefault("ORC_CODE", "backup")

import gi  # type: ignore[import-untyped,unused-ignore]

for _name in ("Gst", "GstApp", "GstSdp", "GstWebRTC"):
    gi.require_version(_name, "1.0")

from gi.repository import GLib as _GLib  # noqa: E402
from gi.repository import Gst as _Gst  # noqa: E402
from gi.repository import GstApp as _GstApp  # noqa: E402
from gi.repository import GstSdp as _GstSdp  # noqa: E402
from gi.repository import GstWebRTC as _GstWebRTC  # noqa: E402

GLib: Any = _GLib
Gst: Any = _Gst
GstApp: Any = _GstApp
GstSdp: Any = _GstSdp
GstWebRTC: Any = _GstWebRTC

Gst.init(None)


def buffer_of(data: bytes, pts_ns: int, duration_ns: int | None = None) -> Any:
    """A buffer with its own copy of `data`."""
    buffer = Gst.Buffer.new_wrapped(data)
    buffer.pts = buffer.dts = pts_ns
    if duration_ns is not None:
        buffer.duration = duration_ns
    return buffer


def bytes_of(buffer: Any) -> bytes:
    """A copy of what `buffer` holds; empty when it cannot be mapped."""
    data: bytes = buffer.extract_dup(0, buffer.get_size())
    return data


_warm: list[Any] = []


def warm_up() -> None:
    """Load the plugins of a call and let DTLS make the key that it insists on (RSA, 0.3 s of CPU and more on a Pi),
    so that the first call does not wait for it. Blocks; any thread."""
    if not _warm:
        _warm.extend(Gst.ElementFactory.make(name) for name in ("dtlsdec", "opusenc", "h264parse", "rtph264pay"))
