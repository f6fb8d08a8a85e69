"""A decoded picture as a JPEG of a given size and quality, by GStreamer."""

from typing import Any

from unitd.call.picture.decoder import Picture, end
from unitd.call.picture.low_plan import scaled
from unitd.call.rtc.gst import Gst, bytes_of
from unitd.errors import DeviceError

MADE_WITHIN_NS = 500_000_000

PIPELINE = """
appsrc name=raw format=time block=false max-buffers=1 max-bytes=0 leaky-type=downstream
  ! videoscale n-threads=1 add-borders=false ! videoconvert n-threads=1
  ! capsfilter name=size caps=video/x-raw,format=(string)I420
  ! jpegenc name=coder ! appsink name=coded sync=false max-buffers=1 drop=true
"""


class StillMaker:
    """All of it blocks and belongs on an executor, one call at a time."""

    def __init__(self) -> None:
        self._pipeline: Any = None
        self._number = 0

    def make(self, picture: Picture, short_side: int, quality: int) -> tuple[bytes, int, int]:
        """(JPEG, width, height). Raises DeviceError when GStreamer makes none within half a second."""
        if self._pipeline is None:
            self._start()
        width, height = scaled(picture.width, picture.height, short_side)
        self._coder.set_property("quality", quality)
        self._size.set_property(
            "caps", Gst.Caps.from_string(f"video/x-raw,format=(string)I420,width=(int){width},height=(int){height}")
        )
        self._source.set_property("caps", Gst.Caps.from_string(picture.caps))
        buffer = picture.buffer.copy()
        self._number += 1
        buffer.pts = self._number * 1_000_000
        self._source.emit("push-buffer", buffer)
        sample = self._sink.emit("try-pull-sample", MADE_WITHIN_NS)
        if sample is None:
            self.stop()
            raise DeviceError("no JPEG was made")
        return bytes_of(sample.get_buffer()), width, height

    def _start(self) -> None:
        try:
            pipeline = Gst.parse_launch(PIPELINE)
        except Exception as error:  # noqa: BLE001 - GLib.Error, whose type comes from gi
            raise DeviceError(f"no JPEG encoder: {error}") from None
        self._source, self._sink = pipeline.get_by_name("raw"), pipeline.get_by_name("coded")
        self._size, self._coder = pipeline.get_by_name("size"), pipeline.get_by_name("coder")
        self._pipeline = pipeline
        pipeline.set_state(Gst.State.PLAYING)

    def stop(self) -> None:
        """Free everything. May be called twice."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            self._source = self._sink = self._size = self._coder = None
            end(pipeline)
