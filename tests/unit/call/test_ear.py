"""What a far end says on its way to the card: whole, in order, bounded, and to nobody who has gone."""

from __future__ import annotations

import gc
import random
import time
import weakref
from typing import Any

from unitd.call.rtc.ear import ROOM_BYTES, Ear
from unitd.call.rtc.gst import Gst, buffer_of

DEADLINE_S = 5.0


class Stream:
    """A running pipeline to a watched sink."""

    def __init__(self) -> None:
        self.ear = Ear()
        self.pipeline: Any = Gst.parse_launch("appsrc name=source ! fakesink name=ear sync=false async=false")
        self.pad = self.pipeline.get_by_name("ear").get_static_pad("sink")
        self.ear.watch(self.pad)
        self.pipeline.set_state(Gst.State.PLAYING)

    def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.pipeline.get_by_name("source").emit("push-buffer", buffer_of(piece, 0))

    def heard(self, size: int) -> bytes:
        heard = b""
        deadline_s = time.monotonic() + DEADLINE_S
        while len(heard) < size:
            assert time.monotonic() < deadline_s, f"{len(heard)} of {size}"
            heard += self.ear.take()
            time.sleep(0.001)
        return heard

    def end(self) -> None:
        self.pipeline.set_state(Gst.State.NULL)


def test_all_of_it_comes_out_in_order() -> None:
    stream, seed = Stream(), random.Random(1)
    for _ in range(60):  # round the ring some times
        pieces = [seed.randbytes(2 * seed.randrange(1, 2000)) for _ in range(3)]
        stream.say(*pieces)
        said = b"".join(pieces)
        assert stream.heard(len(said)) == said
    assert stream.ear.take() == b""
    assert stream.ear.dropped_bytes == 0
    stream.end()


def test_what_nobody_takes_is_bounded_and_the_newest_is_kept() -> None:
    stream, seed = Stream(), random.Random(2)
    pieces = [seed.randbytes(1920) for _ in range(60)] + [seed.randbytes(2 * ROOM_BYTES)]
    stream.say(*pieces)
    said = b"".join(pieces)
    deadline_s = time.monotonic() + DEADLINE_S
    while stream.ear.dropped_bytes < len(said) - ROOM_BYTES:
        assert time.monotonic() < deadline_s
        time.sleep(0.001)
    assert stream.heard(ROOM_BYTES) == said[-ROOM_BYTES:]
    assert stream.ear.dropped_bytes == len(said) - ROOM_BYTES
    stream.end()


def test_half_a_sample_is_let_go() -> None:
    stream = Stream()
    stream.say(b"abc", b"de", b"f")
    assert stream.heard(4) == b"abde"
    stream.end()


def test_a_pad_may_outlive_who_listens() -> None:
    stream = Stream()
    gone = weakref.ref(stream.ear)
    del stream.ear
    gc.collect()
    assert gone() is None
    passed: list[int] = []
    before = stream.pipeline.get_by_name("source").get_static_pad("src")
    before.add_probe(Gst.PadProbeType.BUFFER, lambda *_: (passed.append(1), Gst.PadProbeReturn.OK)[1])
    stream.say(*[bytes(1920)] * 60)
    deadline_s = time.monotonic() + DEADLINE_S
    while len(passed) < 60:
        assert time.monotonic() < deadline_s
        time.sleep(0.001)
    stream.end()
