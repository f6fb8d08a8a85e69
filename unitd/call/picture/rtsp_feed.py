"""Pictures from the camera itself, for when `record` is gone: our own RTSP session, copied, never decoded."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from unitd.call.picture.units import MAX_UNIT_BYTES, AccessUnit, Profile
from unitd.call.rtc.gst import Gst, bytes_of
from unitd.config import CameraTable
from unitd.errors import DeviceError

WAITING_UNITS = 90
ERROR_POLL_S = 0.5

PIPELINE = """
rtspsrc name=camera latency=0 is-live=true timeout=5000000 tcp-timeout=5000000 teardown-timeout=200000000
  ! rtph264depay ! h264parse config-interval=-1
  ! video/x-h264,stream-format=(string)byte-stream,alignment=(string)au
  ! appsink name=out emit-signals=true sync=false max-buffers=8 drop=false
"""


class _Reader:
    """One RTSP session. The appsink's handler runs on a GStreamer thread and hands each picture to the loop."""

    def __init__(self, url: str, transport: str, username: str | None, password: str | None) -> None:
        self._loop = asyncio.get_running_loop()
        self.units: asyncio.Queue[AccessUnit] = asyncio.Queue(WAITING_UNITS)
        self.dropped = 0
        self._pipeline = Gst.parse_launch(PIPELINE)
        camera = self._pipeline.get_by_name("camera")
        camera.set_property("location", url)
        camera.set_property("protocols", 4 if transport == "tcp" else 1)  # GstRTSPLowerTrans flags
        if username is not None:
            camera.set_property("user-id", username)
            camera.set_property("user-pw", password or "")
        self._out = self._pipeline.get_by_name("out")
        self._await_keyframe = True
        loop, deliver = self._loop, self._deliver

        def on_sample(sink: Any) -> Any:
            buffer = sink.emit("pull-sample").get_buffer()
            if buffer.get_size() <= MAX_UNIT_BYTES:
                keyframe = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
                now_ns = time.monotonic_ns()
                source_ns = buffer.pts if buffer.pts != Gst.CLOCK_TIME_NONE else now_ns
                loop.call_soon_threadsafe(deliver, AccessUnit(bytes_of(buffer), keyframe, source_ns, now_ns))
            return Gst.FlowReturn.OK

        self._handler = self._out.connect("new-sample", on_sample)

    def _deliver(self, unit: AccessUnit) -> None:
        if self._await_keyframe and not unit.keyframe:
            self.dropped += 1
            return
        self._await_keyframe = False
        if self.units.full():
            self._await_keyframe = True
            self.dropped += self.units.qsize() + 1
            while not self.units.empty():
                self.units.get_nowait()
            return
        self.units.put_nowait(unit)

    def play(self) -> None:
        self._pipeline.set_state(Gst.State.PLAYING)

    def error(self) -> str | None:
        message = self._pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR | Gst.MessageType.EOS)
        if message is None:
            return None
        return "end of stream" if message.type == Gst.MessageType.EOS else str(message.parse_error()[0].message)

    def stop(self) -> None:
        self._out.disconnect(self._handler)
        self._pipeline.get_bus().set_flushing(True)
        self._pipeline.set_state(Gst.State.NULL)
        for element in list(self._pipeline.children):
            self._pipeline.remove(element)


async def rtsp_units(camera: CameraTable, profile: Profile, executor: Executor) -> AsyncIterator[AccessUnit]:
    """Every picture from the next keyframe on. Raises DeviceError when there is no such stream, it fails or ends.

    State changes of the pipeline block and run on `executor`.
    """
    url = camera.main_url if profile == "main" else camera.sub_url
    if url is None:
        raise DeviceError(f"{camera.name} has no {profile} stream")
    loop = asyncio.get_running_loop()
    password = None
    if camera.password_file is not None:
        try:
            password = (await asyncio.to_thread(Path(camera.password_file).read_text)).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise DeviceError(f"{camera.password_file} cannot be read: {error!r}") from None
    reader = _Reader(url, camera.transport, camera.username, password)
    try:
        await loop.run_in_executor(executor, reader.play)
        while True:
            try:
                async with asyncio.timeout(ERROR_POLL_S):
                    unit = await reader.units.get()
            except TimeoutError:
                if (trouble := reader.error()) is not None:
                    raise DeviceError(f"{camera.name}: {trouble}") from None
                continue
            yield unit
    finally:
        await loop.run_in_executor(executor, reader.stop)
