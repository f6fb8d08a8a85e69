"""A far end's voice that comes and is not heard is noticed, and silence that is none of the unit's is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.test_voice_on_bad_links import FRAME, OPERATOR, Link, far_end, near_end, sentences
from unitd.call.rtc.gst import Gst, buffer_of
from unitd.call.rtc.pipeline import FRAME_NS
from unitd.call.rtc.voice_in import STUCK_S, VoiceIn

DEADLINE_S = 10.0


class Call:
    """A voice over a socket into a VoiceIn, and a card that takes it, until `end`. `dams`: nothing leaves the jitter
    buffer any more."""

    def __init__(self) -> None:
        self.link = Link()
        self.pipeline: Any = near_end()
        self.voice = VoiceIn(self.link.playout)
        self.voice.take_buffer(self.pipeline.get_by_name("buffer"))
        out = self.pipeline.get_by_name("out")
        self.voice.take_pad(self.pipeline, out.get_static_pad("src"))
        self.dams = self.speaks = False
        self.heard_s = 0.0
        out.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, self._pass)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.sender: Any = far_end(self.link, self.pipeline.get_by_name("socket").get_property("port"))
        self.sender.set_state(Gst.State.PLAYING)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _pass(self, _pad: Any, _info: Any) -> Any:
        return Gst.PadProbeReturn.DROP if self.dams else Gst.PadProbeReturn.OK

    def _run(self) -> None:
        words, source, index = sentences(OPERATOR[:1]), self.sender.get_by_name("voice"), 0
        pieces = len(words) // FRAME
        start_s = time.monotonic()
        while not self._ended.wait(max(0.0, start_s + 0.02 * index - time.monotonic())):
            if self.speaks:
                at = index % pieces * FRAME
                source.emit("push-buffer", buffer_of(words[at : at + FRAME].tobytes(), index * FRAME_NS, FRAME_NS))
            if self.link.playout.take() is not None:
                self.heard_s = time.monotonic()
            index += 1

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        for pipeline in (self.sender, self.pipeline):
            pipeline.set_state(Gst.State.NULL)


@pytest.fixture
def call() -> Iterator[Call]:
    made = Call()
    yield made
    made.end()


def until(said: Any, what: str) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not said():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.02)


def test_packets_without_sound_are_noticed_and_the_figures_are_told(call: Call) -> None:
    call.speaks = True
    until(lambda: call.heard_s > 0, "no sound at all")
    assert call.voice.stuck() == ""
    call.dams, since_s = True, time.monotonic()
    until(call.voice.stuck, "not noticed")
    assert time.monotonic() - since_s >= STUCK_S - 0.5
    assert "num-lost" in call.voice.stuck()
    call.dams = False
    until(lambda: not call.voice.stuck(), "still deaf although sound comes")


def test_a_far_end_that_says_nothing_is_not_taken_for_one_that_is_not_heard(call: Call) -> None:
    call.speaks = True
    until(lambda: call.heard_s > 0, "no sound at all")
    call.speaks = False
    since_s = time.monotonic()
    until(lambda: time.monotonic() - since_s > 2 * STUCK_S, "")
    assert call.voice.stuck() == ""
