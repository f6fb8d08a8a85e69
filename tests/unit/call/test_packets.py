"""The probes in C: what left is told once and in order, and a picture's packets wait no longer than they must."""

from __future__ import annotations

import gc
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitd.call.rtc.gst import Gst, buffer_of, bytes_of
from unitd.call.rtc.packets import Pacer, PacketNotes

SENT = bytes.fromhex("90607f20bdfeb896bbf45548bede0001110005007c8500f0")
"""As webrtcbin 1.22 sent it: version 2 with an extension, 0xBEDE, one word, id 1 of two bytes."""
DEADLINE_S = 5.0


def noted(header: bytes) -> int | None:
    """The number for feedback that is read out of a packet."""
    log = PacketNotes()
    log.note(header, 1000, 1.0)
    notes = log.take()
    return notes[0].number if notes and notes[0].is_numbered else None


def test_what_is_noted_of_a_packet() -> None:
    log = PacketNotes()
    log.note(SENT, 1234, 5.5)
    assert log.take() == [(5.5, 1234, 0xBBF45548, 0xBDFEB896, 5, 0x7F20, 96, 1)]
    assert log.take() == []


def test_the_number_is_found_where_it_stands_and_nowhere_else() -> None:
    assert noted(SENT) == 5
    assert noted(SENT[:18]) is None, "cut short"
    assert noted(b"\x80" + SENT[1:]) is None, "without an extension"
    assert noted(SENT.replace(b"\x11\x00\x05", b"\x21\x00\x05")) is None, "another's extension"
    assert noted(SENT.replace(b"\x11\x00\x05", b"\x12\x00\x05")) is None, "of another length"
    assert noted(SENT[:12] + bytes.fromhex("bede0002 00 21aabb 110007 00")) == 7, "behind padding and another one"
    assert noted(SENT[:12] + bytes.fromhex("bede0001 f0000000")) is None
    sourced = bytes([0x91]) + SENT[1:12] + bytes(4) + SENT[12:]
    assert noted(sourced) == 5, "behind a contributing source"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64))
def test_no_bytes_harm(header: bytes) -> None:
    number = noted(header)
    assert number is None or 0 <= number < 1 << 16


def test_a_log_that_nobody_reads_is_bounded_and_keeps_the_newest() -> None:
    log = PacketNotes()
    for at in range(5000):
        log.note(SENT, 100, float(at))
    notes = log.take()
    assert [note.at_s for note in notes] == [float(at) for at in range(5000 - 4096, 5000)]
    assert log.dropped == 5000 - 4096


def test_notes_of_several_threads_are_all_there() -> None:
    log, each = PacketNotes(), 900

    def fill() -> None:
        for _ in range(each):
            log.note(SENT, 1, 0.0)

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    taken = 0
    deadline_s = time.monotonic() + DEADLINE_S
    while taken < 4 * each and time.monotonic() < deadline_s:
        taken += len(log.take())
    for thread in threads:
        thread.join()
    assert taken == 4 * each
    assert log.dropped == 0


@contextmanager
def stream(text: str) -> Iterator[tuple[Any, list[tuple[float, int]]]]:
    """A running pipeline with `source`, and what came out of `out`: when, and its time stamp."""
    came: list[tuple[float, int]] = []
    pipeline = Gst.parse_launch(text)

    def arrived(_pad: Any, info: Any) -> Any:
        came.append((time.monotonic(), info.get_buffer().pts))
        return Gst.PadProbeReturn.OK

    pipeline.get_by_name("out").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, arrived)
    try:
        yield pipeline, came
    finally:
        pipeline.set_state(Gst.State.NULL)


def until(said: Any) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not said():
        assert time.monotonic() < deadline_s, "never came"
        time.sleep(0.002)


PACED = "appsrc name=source is-live=true format=time ! identity name=pace silent=true ! fakesink name=out async=false"


def paced(pipeline: Any, pacer: Pacer) -> Any:
    source = pipeline.get_by_name("source")
    packets, onwards = (
        pipeline.get_by_name(name).get_static_pad(pad) for name, pad in (("pace", "src"), ("out", "sink"))
    )
    pacer.watch(source.get_static_pad("src"), packets, onwards)
    pipeline.set_state(Gst.State.PLAYING)
    return source


def test_packets_leave_at_the_pace_and_stale_ones_not_at_all() -> None:
    with stream(PACED) as (pipeline, came):
        pacer = Pacer(1_000_000)
        pacer.open(True)
        pacer.drop_before(500)
        source = paced(pipeline, pacer)
        for at in range(20):
            source.emit("push-buffer", buffer_of(bytes(1250), 400 + 10 * at))
        until(lambda: len(came) == 10)
        assert [pts for _, pts in came] == list(range(500, 600, 10))
        # 10 ms each; the first waits for nothing, and a burst of BURST_S is free.
        assert came[-1][0] - came[0][0] > 0.07
        assert pacer.sent == 10


@pytest.mark.parametrize("change", ["shut", "faster", "stale"])
def test_a_change_ends_a_wait_at_once(change: str) -> None:
    with stream(PACED) as (pipeline, came):
        pacer = Pacer(1_000)
        pacer.open(True)
        source = paced(pipeline, pacer)
        for at in range(2):  # the second waits for 10 s
            source.emit("push-buffer", buffer_of(bytes(1250), 10 * at))
        until(lambda: pacer.sent == 2)
        if change == "shut":
            pacer.open(False)
        elif change == "stale":
            pacer.drop_before(100)
            pacer.rate_bit_s = 1e9
            source.emit("push-buffer", buffer_of(bytes(1), 200))
        else:
            pacer.rate_bit_s = 1e9
        until(lambda: len(came) == 2)
        assert [pts for _, pts in came] == [0, 200 if change == "stale" else 10]


def test_packets_of_a_list_leave_at_the_pace_in_order_and_together_where_they_may() -> None:
    """As the payloader gives them."""
    pipeline = Gst.parse_launch("appsrc name=source is-live=true format=time ! fakesink name=out async=false")
    groups: list[tuple[float, list[int]]] = []

    def arrived(_pad: Any, info: Any) -> Any:
        if info.type & Gst.PadProbeType.BUFFER_LIST:
            came = info.get_buffer_list()
            numbers = [came.get(at).pts for at in range(came.length())]
        else:
            numbers = [info.get_buffer().pts]
        groups.append((time.monotonic(), numbers))
        return Gst.PadProbeReturn.OK

    source, out = pipeline.get_by_name("source"), pipeline.get_by_name("out").get_static_pad("sink")
    out.add_probe(Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST, arrived)
    pacer = Pacer(4_000_000)
    pacer.open(True)
    pacer.drop_before(105)
    pacer.watch(source.get_static_pad("src"), source.get_static_pad("src"), out)
    pipeline.set_state(Gst.State.PLAYING)
    packets = Gst.BufferList.new()
    for at in range(45):
        packets.insert(-1, buffer_of(bytes(1250), 100 + at))  # 2.5 ms each
    source.emit("push-buffer-list", packets)
    until(lambda: sum(len(numbers) for _, numbers in groups) == 40)
    pipeline.set_state(Gst.State.NULL)
    assert [number for _, numbers in groups for number in numbers] == list(range(105, 145))
    assert groups[-1][0] - groups[0][0] > 0.08, "40 of them take 100 ms, a burst of BURST_S is free"
    assert len(groups[0][1]) > 1, "the burst goes in one piece"
    assert pacer.sent == 40


def test_what_is_watched_outlives_who_watched_it() -> None:
    with stream(PACED) as (pipeline, came):
        pacer, log = Pacer(1e9), PacketNotes()
        pacer.open(True)
        log.watch(pipeline.get_by_name("out").get_static_pad("sink"))
        source = paced(pipeline, pacer)
        seed = random.Random(7)
        source.emit("push-buffer", buffer_of(seed.randbytes(1200), 1))
        until(lambda: came)
        del pacer, log
        gc.collect()
        for at in range(50):
            source.emit("push-buffer", buffer_of(seed.randbytes(1200), at))
        until(lambda: len(came) == 51)


def test_what_passes_a_pad_is_noted_with_its_size() -> None:
    with stream("appsrc name=source ! fakesink name=out async=false") as (pipeline, came):
        log = PacketNotes()
        log.watch(pipeline.get_by_name("out").get_static_pad("sink"))
        pipeline.set_state(Gst.State.PLAYING)
        before_s = time.monotonic()
        pipeline.get_by_name("source").emit("push-buffer", buffer_of(SENT + bytes(1000), 0))
        pipeline.get_by_name("source").emit("push-buffer", buffer_of(b"short", 0))
        until(lambda: len(came) == 2)
        (note,) = log.take()
        assert (note.size_bytes, note.number, note.source) == (len(SENT) + 1000, 5, 0xBBF45548)
        assert before_s <= note.at_s <= time.monotonic()


def test_the_first_packet_of_each_picture_is_marked_once_it_is_asked_for() -> None:
    with stream(PACED) as (pipeline, came):
        pacer, marks = Pacer(1e9), []
        pacer.open(True)
        source = paced(pipeline, pacer)
        out = pipeline.get_by_name("out").get_static_pad("sink")

        def look(_pad: Any, info: Any) -> Any:
            marks.append(bytes_of(info.get_buffer()))
            return Gst.PadProbeReturn.OK

        out.add_probe(Gst.PadProbeType.BUFFER, look)
        plain = b"\x80\x60" + bytes(10) + b"picture"
        numbered = SENT + b"picture"
        source.emit("push-buffer", buffer_of(plain, 10))
        until(lambda: len(came) == 1)
        pacer.mark(9, b"\x00\x00\x0a")
        for packet, pts in ((plain, 20), (plain, 20), (numbered, 30), (numbered, 30)):
            source.emit("push-buffer", buffer_of(packet, pts))
        until(lambda: len(marks) == 5)
        extension = bytes.fromhex("bede00019200000a")
        assert marks[:3] == [plain, b"\x90\x60" + bytes(10) + extension + b"picture", plain]
        assert b"\x92\x00\x00\x0a" in marks[3]
        assert noted(marks[3]) == 5, "the number is there beside it"
        assert marks[4] == numbered
        with pytest.raises(ValueError, match="3"):
            pacer.mark(9, b"")
