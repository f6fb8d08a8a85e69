"""What a far end asks for again, and what it tells lost, through GStreamer's own element that resends."""

from __future__ import annotations

import struct
import time
from typing import Any

import pytest

from unitd.call.congestion.twcc import EXTENSION_ID
from unitd.call.rtc.feedback import RESEND_REQUEST, TransportFeedback, _uint
from unitd.call.rtc.gst import Gst, buffer_of

SOURCE, FIRST, PACKETS = 0x1234, 100, 10
NUMBERED = 65_530
"""The transport-wide number of the first: it wraps within them."""
PICTURE, RESENT = 96, 99
DEADLINE_S = 5.0
CAPS = "application/x-rtp,media=(string)video,clock-rate=90000,encoding-name=(string)H264"
TEXT = f"""
appsrc name=source format=time caps={CAPS},payload={PICTURE},ssrc=(uint){SOURCE}
  ! rtprtxsend name=resender max-size-packets=100 ! fakesink name=out sync=false async=false
"""


class Way:
    """Ten packets of a picture have left; `resent` has the number of each that left again."""

    def __init__(self) -> None:
        self.pipeline: Any = Gst.parse_launch(TEXT)
        resender = self.pipeline.get_by_name("resender")
        payloads = Gst.Structure.new_empty("application/x-rtp-pt-map")
        payloads.set_value(str(PICTURE), _uint(RESENT))
        resender.set_property("payload-type-map", payloads)
        self.feedback = TransportFeedback(lambda _fci, _at_s: None)
        self.feedback.take_resender(resender)
        self.sent = 0
        self.resent: list[int] = []
        self.out = self.pipeline.get_by_name("out").get_static_pad("sink")
        self.out.add_probe(Gst.PadProbeType.BUFFER, self._passed)
        self.feedback._log.watch(self.out)
        self.pipeline.set_state(Gst.State.PLAYING)
        for at in range(PACKETS):
            extension = struct.pack(">HHBHx", 0xBEDE, 1, EXTENSION_ID << 4 | 1, (NUMBERED + at) % 2**16)
            packet = struct.pack(">BBHII", 0x90, PICTURE, FIRST + at, 0, SOURCE) + extension + bytes(1000)
            self.pipeline.get_by_name("source").emit("push-buffer", buffer_of(packet, 0))
        self.until(lambda: self.sent == PACKETS)

    def _passed(self, _pad: Any, info: Any) -> Any:
        buffer = info.get_buffer()
        header = bytes(buffer.extract_dup(0, 22))
        if header[1] & 0x7F == RESENT:
            self.resent.append(struct.unpack(">H", header[20:])[0])
        else:
            self.sent += 1
        return Gst.PadProbeReturn.OK

    def ask(self, number: int) -> None:
        request = Gst.Structure.new_empty(RESEND_REQUEST)
        request.set_value("seqnum", _uint(number))
        request.set_value("ssrc", _uint(SOURCE))
        self.out.push_event(Gst.Event.new_custom(Gst.EventType.CUSTOM_UPSTREAM, request))

    def until(self, said: Any) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while not said():
            assert time.monotonic() < deadline_s, f"{self.sent} sent, {self.resent} again"
            time.sleep(0.002)

    def end(self) -> None:
        self.pipeline.set_state(Gst.State.NULL)


def test_what_is_asked_for_goes_again_once() -> None:
    way = Way()
    for number in (103, 107, 100):
        way.ask(number)
    way.until(lambda: len(way.resent) == 3)
    assert way.resent == [103, 107, 100]
    way.end()


def test_what_is_told_lost_goes_again_unasked_and_what_is_not_known_does_not() -> None:
    way = Way()
    assert way.feedback.resend([5]) == 0, "not yet looked at"
    assert len(way.feedback.sent()) == PACKETS
    assert way.feedback.resend([NUMBERED + 1, 1, 2000, NUMBERED - 1]) == 2
    way.ask(100)
    way.until(lambda: len(way.resent) == 3)
    assert way.resent == [101, 107, 100]
    way.end()
    way.feedback.detach()
    assert way.feedback.resend([1]) == 0


@pytest.mark.parametrize("asked", [True, False])
def test_no_more_goes_than_the_budget_lasts_for(asked: bool) -> None:
    way = Way()
    way.feedback.sent()
    way.feedback.budget.rate_bit_s = 1.0
    budget = way.feedback.budget
    for at in range(PACKETS):
        if asked:
            way.ask(FIRST + at)
        else:
            way.feedback.resend([(NUMBERED + at) % 2**16])
    way.until(lambda: len(way.resent) == budget.granted)
    assert 0 < budget.granted <= 4 and budget.refused > 0
    way.end()
