"""What is pushed into an appsrc arrives as it was, with its times."""

from __future__ import annotations

import gc
import random

from unitd.call.rtc.gst import Gst, bytes_of
from unitd.call.rtc.source import Source


def test_bytes_and_times_arrive() -> None:
    pipeline = Gst.parse_launch("appsrc name=source format=time ! appsink name=out sync=false")
    pipeline.set_state(Gst.State.PLAYING)
    source, seed = Source(pipeline.get_by_name("source")), random.Random(3)
    said = [(seed.randbytes(seed.randrange(1, 60_000)), 20_000_000 * at) for at in range(50)]
    for data, pts_ns in said:
        source.push(data, pts_ns, 20_000_000)
    source.push(b"\x00last", 7)
    for data, pts_ns in said:
        buffer = pipeline.get_by_name("out").emit("pull-sample").get_buffer()
        assert (bytes_of(buffer), buffer.pts, buffer.dts, buffer.duration) == (data, pts_ns, pts_ns, 20_000_000)
    buffer = pipeline.get_by_name("out").emit("pull-sample").get_buffer()
    assert (bytes_of(buffer), buffer.pts) == (b"\x00last", 7)
    assert buffer.duration == Gst.CLOCK_TIME_NONE
    pipeline.set_state(Gst.State.NULL)


def test_what_waits_is_told_and_an_ended_pipeline_takes_nothing() -> None:
    pipeline = Gst.parse_launch("appsrc name=source format=time ! fakesink")
    source = Source(pipeline.get_by_name("source"))
    source.push(bytes(1000), 0)
    assert source.waiting_bytes == 1000
    pipeline.set_state(Gst.State.READY)
    pipeline.set_state(Gst.State.NULL)
    del pipeline
    gc.collect()
    source.push(bytes(1000), 0)  # the element is held: no memory of another's is written
