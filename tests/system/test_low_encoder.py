"""The low step's encoder, with the real GStreamer: rate, size and keyframes as they are asked for, live."""

import gc
import os
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from tests.system.low_bench import FPS, Bench, decoded, filmed, wait_for
from unitd.call.picture.decoder import Decoder, Picture
from unitd.call.picture.low_encoder import VBV_MS, encoders
from unitd.call.picture.units import AccessUnit

pytestmark = pytest.mark.system

SPS, PPS, IDR = 7, 8, 5


def kinds(unit: AccessUnit) -> list[int]:
    return [part[0] & 31 for part in unit.data.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01")[1:]]


def count(what: str) -> int:
    return len(list(Path(f"/proc/self/{what}").iterdir()))


def bit_s(units: list[AccessUnit], seconds: float) -> float:
    return sum(len(unit.data) for unit in units) * 8 / seconds


@pytest.mark.parametrize("kbit_s", [80, 200, 400])
def test_the_rate_is_obeyed_within_a_fifth_and_a_keyframe_is_bounded(kbit_s: int) -> None:
    pictures = decoded(filmed(6))
    bench = Bench(encoders()[0], kbit_s * 1000)
    try:
        units = bench.encode(pictures)
    finally:
        bench.encoder.stop()
    assert bit_s(units[1:], 6 - 1 / FPS) == pytest.approx(kbit_s * 1000, rel=0.2)
    assert [unit.keyframe for unit in units] == [True] + [False] * (len(units) - 1)
    assert len(units[0].data) * 8 <= 1.3 * kbit_s * VBV_MS
    assert abs(len(units) - 6 * bench.encoder.plan.fps) <= 1


def test_rate_size_and_keyframes_change_live() -> None:
    pictures = decoded(filmed(6))
    bench = Bench(encoders()[0], 400_000)
    try:
        high = bench.encode(pictures[:30])
        bench.encoder.set_rate(300_000)
        same = bench.encode(pictures[30:40])
        assert not any(unit.keyframe for unit in same)
        bench.encoder.ask_keyframe()
        asked = bench.encode(pictures[40:43])
        assert [unit.keyframe for unit in asked] == [True, False, False]
        bench.encoder.set_rate(80_000)
        low = bench.encode(pictures[43:])
        assert low[0].keyframe
        assert bit_s(low[1:], (90 - 44) / FPS) < 100_000
        for unit in (high[0], asked[0], low[0]):
            assert kinds(unit)[:2] == [SPS, PPS]
            assert IDR in kinds(unit)
        decoder = av.CodecContext.create("h264", "r")
        sizes = []
        for unit in bench.out:
            sizes += [(frame.width, frame.height) for frame in decoder.decode(av.Packet(unit.data))]
        assert set(sizes) == {(640, 360), (320, 180)}
        assert sizes == sorted(sizes, reverse=True)
        profile = high[0].data[high[0].data.index(b"\x67") + 1]
        assert profile == 66, "baseline: what the offer says"
    finally:
        bench.encoder.stop()


def test_the_source_may_change_its_size_at_any_picture() -> None:
    wide, narrow = decoded(filmed(1)), decoded(filmed(1, 320, 240))
    bench = Bench(encoders()[0], 200_000)
    try:
        bench.encode(wide)
        late = [
            type(each)(each.buffer, each.caps, each.width, each.height, each.pts_ns + 2_000_000_000, 0)
            for each in narrow
        ]
        units = bench.encode(late)
        assert units[0].keyframe
        assert len(units) >= FPS - 1
        assert bench.encoder.error() is None
    finally:
        bench.encoder.stop()


def test_an_encoder_that_is_not_there_is_an_error_and_no_crash() -> None:
    from unitd.call.picture import low_encoder
    from unitd.errors import DeviceError

    low_encoder.ENCODERS["no-such-encoder"] = "nosuchelement name=encoder"
    try:
        assert "no-such-encoder" not in encoders()
        with pytest.raises(DeviceError, match="no-such-encoder"):
            Bench("no-such-encoder", 100_000)
    finally:
        del low_encoder.ENCODERS["no-such-encoder"]


SPARE_THREADS = 2
"""GLib keeps so many of a pool that has nothing to do."""


def test_many_starts_leave_no_thread_and_no_descriptor() -> None:
    pictures = decoded(filmed(1))[:3]

    def once() -> None:
        bench = Bench(encoders()[0], 200_000)
        bench.encode(pictures)
        bench.encoder.stop()

    for _ in range(3):
        once()
    gc.collect()
    fds, threads, of_python = count("fd"), count("task"), threading.active_count()
    for _ in range(50 if os.environ.get("UNITD_TEST_LONG") else 12):
        once()
    gc.collect()
    assert count("fd") <= fds
    wait_for(lambda: count("task") <= threads + SPARE_THREADS, 5.0, "the threads have ended")
    assert threading.active_count() <= of_python


@pytest.mark.parametrize(("width", "height"), [(3840, 2160), (8, 8)])
def test_a_stream_of_a_size_that_is_not_decoded_is_an_error_and_takes_no_memory(width: int, height: int) -> None:
    coder: Any = av.CodecContext.create("libx264", "w")
    coder.width, coder.height, coder.pix_fmt, coder.time_base = width, height, "yuv420p", Fraction(1, 15)
    coder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "annexb=1:repeat-headers=1"}
    frame = av.VideoFrame(width, height, "yuv420p")
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in [*coder.encode(frame), *coder.encode(None)])
    pictures: list[Picture] = []
    decoder = Decoder(pictures.append)
    decoder.start()
    try:
        decoder.push(AccessUnit(data, True, 0, 0))
        decoder.push(AccessUnit(data, True, 66_000_000, 0))
        errors: list[str] = []

        def complains() -> bool:
            error = decoder.error()
            errors.extend([error] if error else [])
            return bool(errors)

        wait_for(complains, 5, "an error")
        assert pictures == []
    finally:
        decoder.stop()
