"""The low step's encoder: decoded pictures in, H.264 of a rate that is set live out.

x264 through GStreamer; where it is missing or fails, the board's own encoder if the kernel has one (v4l2h264enc:
Raspberry Pi 4 and before, a Pi 5 has none; the service's sandbox has to allow char-video4linux then). In this order
because x264 costs little at these sizes (some 3 s of CPU a minute, decoding and scaling included) and can be measured
everywhere. No B-frames, no look-ahead, one thread: a picture comes out before the next goes in. Keyframes come when
they are asked for, and every KEYFRAME_EVERY_S: browsers ask for one when they have lost their picture, so that periodic
ones would only take bits from what is seen.
"""

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from unitd.call.picture.decoder import Picture, end
from unitd.call.picture.low_libraries import DECODER, load
from unitd.call.picture.low_plan import FrameGate, LowPlan, bounded, plan_for, scaled
from unitd.call.picture.units import AccessUnit
from unitd.call.rtc.gst import Gst, bytes_of
from unitd.errors import DeviceError

KEYFRAME_EVERY_S = 10
VBV_MS = 400
"""A keyframe is as long as this at most on a link that just carries the rate."""
MOST_IN_FLIGHT = 50

ENCODERS = {
    "x264enc": (
        "x264enc name=encoder tune=zerolatency speed-preset=superfast threads=1 bframes=0 rc-lookahead=0"
        " sliced-threads=false mb-tree=false cabac=false dct8x8=false aud=false byte-stream=true"
        " vbv-buf-capacity={vbv} bitrate={kbit_s}"
        " key-int-max={every} option-string=scenecut=0"
        " ! video/x-h264,profile=(string)constrained-baseline,stream-format=(string)byte-stream,alignment=(string)au"
    ),
    "v4l2h264enc": (
        'v4l2h264enc name=encoder extra-controls="controls,video_bitrate={bit_s},video_bitrate_mode=1,'
        'repeat_sequence_header=1,h264_i_frame_period={every},video_b_frames=0"'
        " ! video/x-h264,level=(string)4,profile=(string)constrained-baseline ! h264parse config-interval=-1"
        " ! video/x-h264,stream-format=(string)byte-stream,alignment=(string)au"
    ),
}
"""In order of preference; an element that is not there is passed over."""

PIPELINE = """
appsrc name=raw is-live=true format=time block=false max-buffers=2 max-bytes=0 leaky-type=downstream
  ! videoscale n-threads=1 add-borders=false ! videoconvert n-threads=1
  ! capsfilter name=size caps=video/x-raw,format=(string)I420
  ! {encoder}
  ! appsink name=coded emit-signals=true sync=false max-buffers=8 drop=false
"""


def encoders() -> tuple[str, ...]:
    """Those that this machine has, best first."""
    return tuple(name for name in ENCODERS if Gst.ElementFactory.find(name) is not None)


def warm_up_low() -> None:
    """Load decoder and encoder, so that the small picture comes at once. Blocks; any thread."""
    load((DECODER, *encoders()[:1]))


class LowEncoder:
    """`start` and `stop` block and belong on an executor; `show` may be called on any one thread, `set_rate` and
    `ask_keyframe` on any. `deliver` gets every access unit on a GStreamer thread."""

    def __init__(self, name: str, bit_s: float, deliver: Callable[[AccessUnit], None]) -> None:
        self.name = name
        self._bit_s = bounded(bit_s)
        self._deliver = deliver
        self._plan = plan_for(self._bit_s)
        self._gate = FrameGate()
        self._pipeline: Any = None
        self._source: Any = None
        self._encoder: Any = None
        self._handler = 0
        self._shape = ("", LowPlan(0, 0, 0))
        self._arrivals: OrderedDict[int, int] = OrderedDict()
        self.taken = 0
        self.made = 0
        self.last_made_s = 0.0

    @property
    def plan(self) -> LowPlan:
        """Size and pictures a second of now."""
        return self._plan

    def start(self) -> None:
        """Raises DeviceError when GStreamer cannot make this encoder."""
        load((self.name,))
        line = ENCODERS[self.name].format(
            bit_s=self._bit_s, kbit_s=self._bit_s // 1000, vbv=VBV_MS, every=15 * KEYFRAME_EVERY_S
        )
        try:
            pipeline = Gst.parse_launch(PIPELINE.format(encoder=line))
        except Exception as error:  # noqa: BLE001 - GLib.Error, whose type comes from gi
            raise DeviceError(f"no encoder {self.name}: {error}") from None
        self._encoder = pipeline.get_by_name("encoder")
        self._size = pipeline.get_by_name("size")
        sink = pipeline.get_by_name("coded")
        arrivals, deliver = self._arrivals, self._deliver

        def on_sample(sink: Any) -> Any:
            sample = sink.emit("pull-sample")
            if sample is not None:
                buffer = sample.get_buffer()
                # x264enc lays its times 1000 hours up, with a segment that takes them down again.
                pts_ns = int(sample.get_segment().to_running_time(Gst.Format.TIME, buffer.pts))
                self.made += 1
                self.last_made_s = time.monotonic()
                keyframe = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
                deliver(AccessUnit(bytes_of(buffer), keyframe, pts_ns, arrivals.pop(pts_ns, time.monotonic_ns())))
            return Gst.FlowReturn.OK

        self._handler = sink.connect("new-sample", on_sample)
        self._pipeline = pipeline
        pipeline.set_state(Gst.State.PLAYING)
        self.last_made_s = time.monotonic()
        self._source = pipeline.get_by_name("raw")

    def set_rate(self, bit_s: float) -> None:
        """From the next picture on; size and pictures a second follow. No restart, and a keyframe only where the size
        changes."""
        bit_s = bounded(bit_s)
        encoder = self._encoder
        if bit_s == self._bit_s or encoder is None:
            return
        self._bit_s = bit_s
        self._plan = plan_for(bit_s, self._plan)
        if self.name == "x264enc":
            encoder.set_property("bitrate", self._bit_s // 1000)
        else:
            controls = Gst.Structure.new_from_string(f"controls,video_bitrate=(int){self._bit_s}")
            encoder.set_property("extra-controls", controls)

    def ask_keyframe(self) -> None:
        """Make the next picture a keyframe, its parameter sets before it."""
        source = self._source
        if source is not None:
            structure = Gst.Structure.new_from_string("GstForceKeyUnit,all-headers=(boolean)true")
            source.send_event(Gst.Event.new_custom(Gst.EventType.CUSTOM_DOWNSTREAM, structure))

    def show(self, picture: Picture) -> None:
        """Take one decoded picture; those above the plan's rate are passed over. What waits is never more than two
        pictures: an encoder that cannot keep up shows fewer."""
        source, plan = self._source, self._plan
        if source is None or not self._gate.passes(picture.pts_ns, plan.fps):
            return
        self._shape_for(picture, plan, source)
        self._arrivals[picture.pts_ns] = picture.arrival_mono_ns
        while len(self._arrivals) > MOST_IN_FLIGHT:
            self._arrivals.popitem(last=False)
        self.taken += 1
        source.emit("push-buffer", picture.buffer.copy())

    def _shape_for(self, picture: Picture, plan: LowPlan, source: Any) -> None:
        if self._shape == (picture.caps, plan):
            return
        self._shape = (picture.caps, plan)
        width, height = scaled(picture.width, picture.height, plan.short_side)
        self._size.set_property(
            "caps", Gst.Caps.from_string(f"video/x-raw,format=(string)I420,width=(int){width},height=(int){height}")
        )
        # The rate of what is let through: x264 counts its bits by it.
        caps = re.sub(r", framerate=\(fraction\)[0-9/]+", "", picture.caps)
        source.set_property("caps", Gst.Caps.from_string(f"{caps}, framerate=(fraction){plan.fps}/1"))

    def error(self) -> str | None:
        """What the pipeline complains of, once."""
        if self._pipeline is None:
            return None
        message = self._pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
        return None if message is None else str(message.parse_error()[0].message)

    def stop(self) -> None:
        """Free everything. May be called twice."""
        pipeline, self._pipeline, self._source, self._encoder = self._pipeline, None, None, None
        if pipeline is None:
            return
        pipeline.get_by_name("coded").disconnect(self._handler)
        end(pipeline)
