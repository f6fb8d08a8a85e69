"""A foreign thread's Python state lives from callback to callback while it is kept, and not longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from unitd.call.rtc.gst import Gst
from unitd.drivers.thread_state import LET_GO_S, ThreadState

DEADLINE_S = 5.0


class Foreign:
    """A thread of GStreamer's that calls Python some hundred times a second; `kept` says of each call whether what the
    call before left in the thread's own variables was there."""

    def __init__(self, during: Callable[[], None]) -> None:
        self.kept: list[bool] = []
        own = threading.local()

        def called(_pad: Any, _info: Any) -> Any:
            self.kept.append(getattr(own, "was_here", False))
            own.was_here = True
            during()
            return Gst.PadProbeReturn.OK

        self._pipeline: Any = Gst.parse_launch(
            "audiotestsrc is-live=true samplesperbuffer=160 ! audio/x-raw,rate=16000,channels=1 ! fakesink name=out"
        )
        pad = self._pipeline.get_by_name("out").get_static_pad("sink")
        pad.add_probe(Gst.PadProbeType.BUFFER, called)
        self._pipeline.set_state(Gst.State.PLAYING)

    def calls(self, number: int) -> list[bool]:
        first, deadline_s = len(self.kept), time.monotonic() + DEADLINE_S
        while len(self.kept) < first + number:
            assert time.monotonic() < deadline_s, "the thread does not call"
            time.sleep(0.005)
        return self.kept[first : first + number]

    def end(self) -> None:
        self._pipeline.set_state(Gst.State.NULL)


def test_without_it_each_call_begins_anew() -> None:
    foreign = Foreign(lambda: None)
    assert not any(foreign.calls(5))
    foreign.end()


def test_kept_until_it_is_let_go() -> None:
    state = ThreadState()
    foreign = Foreign(state.keep)
    foreign.calls(2)
    assert all(foreign.calls(10))
    state.let_go()
    foreign.calls(2)
    assert not any(foreign.calls(5))
    foreign.end()


def test_a_thread_that_calls_no_more_is_not_waited_for() -> None:
    state = ThreadState()
    foreign = Foreign(state.keep)
    foreign.calls(2)
    foreign.end()
    began_s = time.monotonic()
    state.let_go()
    assert time.monotonic() - began_s < LET_GO_S + 1.0


def test_one_that_never_called_is_not_waited_for() -> None:
    began_s = time.monotonic()
    ThreadState().let_go()
    assert time.monotonic() - began_s < LET_GO_S
