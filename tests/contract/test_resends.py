"""What a far end asks for again, through GStreamer's own element that resends: once, twice, or not at all."""

from __future__ import annotations

import struct
import time
from typing import Any

import pytest

from unitd.call.rtc.feedback import RESEND_REQUEST, TransportFeedback, _uint
from unitd.call.rtc.gst import Gst, buffer_of

SOURCE, FIRST, PACKETS = 0x1234, 100, 10
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
        self.pipeline.set_state(Gst.State.PLAYING)
        for number in range(FIRST, FIRST + PACKETS):
            packet = struct.pack(">BBHII", 0x80, PICTURE, number, 0, SOURCE) + bytes(1000)
            self.pipeline.get_by_name("source").emit("push-buffer", buffer_of(packet, 0))
        self.until(lambda: self.sent == PACKETS)

    def _passed(self, _pad: Any, info: Any) -> Any:
        buffer = info.get_buffer()
        header = bytes(buffer.extract_dup(0, 14))
        if header[1] & 0x7F == RESENT:
            self.resent.append(struct.unpack(">H", header[12:])[0])
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


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_asked_for_goes_as_often_as_was_decided(times: int) -> None:
    way = Way()
    way.feedback.resends_twice = times == 2
    for number in (103, 107):
        way.ask(number)
    way.ask(100)  # the last to be seen: what was asked for before it is through then
    way.until(lambda: way.resent[-times:] == [100] * times)
    assert way.resent == [103] * times + [107] * times + [100] * times
    way.end()


def test_two_of_each_are_no_more_than_the_budget() -> None:
    way = Way()
    way.feedback.resends_twice = True
    way.feedback.budget.rate_bit_s = 1.0
    budget = way.feedback.budget
    for number in range(FIRST, FIRST + PACKETS):
        way.ask(number)
    way.until(lambda: len(way.resent) == budget.granted)
    assert 0 < budget.granted <= 4 and budget.refused > 0
    way.end()
