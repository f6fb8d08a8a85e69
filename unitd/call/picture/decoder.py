"""A passed-through stream, decoded: for the low step's encoder and for stills."""

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from unitd.call.picture.low_libraries import DECODER, load
from unitd.call.picture.units import AccessUnit
from unitd.call.rtc.gst import Gst, buffer_of
from unitd.errors import DeviceError

MAX_WAITING_UNITS = 90
"""Of what has not been decoded yet; more, and the decoder skips to the next keyframe."""
MOST_IN_FLIGHT = 400
RELAY_NS = 2_000_000_000
STEP_NS = 1_000_000
MOST_SIDE = 2720
"""Larger pictures are not decoded: what a stream says of its size decides how much memory is taken, and a board could
not decode them in time anyway. A camera of more than five megapixels needs a sub stream for the low step."""

# One thread: more of them hold frames back. Corrupt frames (a group with a hole) are not shown.
PIPELINE = f"""
appsrc name=coded is-live=true format=time block=false max-bytes=0
    caps=video/x-h264,stream-format=(string)byte-stream,alignment=(string)au
  ! h264parse ! video/x-h264,width=(int)[16,{MOST_SIDE}],height=(int)[16,{MOST_SIDE}]
  ! {DECODER} max-threads=1 output-corrupt=false
  ! appsink name=raw emit-signals=true sync=false max-buffers=4 drop=true
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture: GStreamer's buffer (not to be written) and its raw caps as text. `pts_ns` always rises
    within one decoder."""

    buffer: Any
    caps: str
    width: int
    height: int
    pts_ns: int
    arrival_mono_ns: int


class Decoder:
    """`start` and `stop` block and belong on an executor; `push` is the loop's. `show` gets every picture on a
    GStreamer thread: it must be thread-safe and quick."""

    def __init__(self, show: Callable[[Picture], None]) -> None:
        self._show = show
        self._pipeline: Any = None
        self._source: Any = None
        self._handler = 0
        self._await_keyframe = True
        self._offset_ns: int | None = None
        self._last_ns = -STEP_NS
        self._arrivals: OrderedDict[int, int] = OrderedDict()
        self.dropped_units = 0

    def start(self) -> None:
        """Raises DeviceError when GStreamer has no such decoder."""
        load((DECODER,))
        try:
            pipeline = Gst.parse_launch(PIPELINE)
        except Exception as error:  # noqa: BLE001 - GLib.Error, whose type comes from gi
            raise DeviceError(f"no decoder: {error}") from None
        self._source = pipeline.get_by_name("coded")
        sink = pipeline.get_by_name("raw")
        arrivals, show = self._arrivals, self._show

        def on_sample(sink: Any) -> Any:
            sample = sink.emit("pull-sample")
            if sample is not None:
                picture = _picture(sample, arrivals)
                if picture is not None:
                    show(picture)
            return Gst.FlowReturn.OK

        self._handler = sink.connect("new-sample", on_sample)
        self._pipeline = pipeline
        pipeline.set_state(Gst.State.PLAYING)

    def push(self, unit: AccessUnit, shown: bool = True) -> None:
        """Decode one unit; with `shown` false it is only there for those that follow. A decoder that cannot keep up
        skips to the next keyframe (counted)."""
        source = self._source
        if source is None:
            return
        if source.get_property("current-level-buffers") > MAX_WAITING_UNITS:
            self._await_keyframe = True
        if self._await_keyframe and not unit.keyframe:
            self.dropped_units += 1
            return
        self._await_keyframe = False
        pts_ns = self._pts_ns(unit.source_ns)
        if shown:
            self._arrivals[pts_ns] = unit.arrival_mono_ns
            while len(self._arrivals) > MOST_IN_FLIGHT:
                self._arrivals.popitem(last=False)
        source.emit("push-buffer", buffer_of(unit.data, pts_ns))

    def _pts_ns(self, source_ns: int) -> int:
        """The source's own spacing; a source that begins anew is laid behind what was."""
        offset_ns = self._offset_ns
        if offset_ns is None or not -RELAY_NS < source_ns + offset_ns - self._last_ns < RELAY_NS:
            offset_ns = self._offset_ns = self._last_ns + STEP_NS - source_ns
        self._last_ns = max(source_ns + offset_ns, self._last_ns + STEP_NS)
        return self._last_ns

    def error(self) -> str | None:
        """What the pipeline complains of, once."""
        if self._pipeline is None:
            return None
        message = self._pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
        return None if message is None else str(message.parse_error()[0].message)

    def stop(self) -> None:
        """Free everything. May be called twice."""
        pipeline, self._pipeline, self._source = self._pipeline, None, None
        if pipeline is None:
            return
        pipeline.get_by_name("raw").disconnect(self._handler)
        end(pipeline)


def end(pipeline: Any) -> None:
    """Stop a pipeline and free its elements; blocks until its threads are gone."""
    pipeline.get_bus().set_flushing(True)
    pipeline.set_state(Gst.State.NULL)
    pipeline.get_state(2 * Gst.SECOND)
    for element in list(pipeline.children):
        pipeline.remove(element)


def _picture(sample: Any, arrivals: "OrderedDict[int, int]") -> Picture | None:
    """None for one that is not to be shown, or that has no size that we take."""
    buffer = sample.get_buffer()
    arrival_mono_ns = arrivals.pop(buffer.pts, None)
    if arrival_mono_ns is None:
        return None
    # As text: from GStreamer 1.26 on, Python gets another kind of structure than before.
    caps = str(sample.get_caps().to_string())
    sides = [re.search(rf"\b{side}=\(int\)(\d+)", caps) for side in ("width", "height")]
    width, height = (int(side[1]) if side is not None else 0 for side in sides)
    if not (16 <= width <= MOST_SIDE and 16 <= height <= MOST_SIDE):
        return None
    return Picture(buffer, caps, width, height, int(buffer.pts), arrival_mono_ns)
