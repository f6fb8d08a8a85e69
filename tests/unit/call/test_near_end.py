"""The thread between the card and the call: what happens when the canceller fails, hangs, or the gate is shut."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from unitd.call.voice.canceller import Canceller
from unitd.call.voice.gain import Loudness
from unitd.call.voice.near_end import DISCARDED_FRAMES, LATE_FRAMES, PASSED_BY_FRAMES, NearEnd
from unitd.call.voice.pcm import FRAME_BYTES, SILENCE

LOUDNESS = Loudness(100.0, 90.0, 80.0, 55.0)
VOICE = (np.arange(960) % 50 * 400).astype("<i2").tobytes()


class Fake:
    """A canceller that gives back what it gets, fails or hangs as it is told."""

    def __init__(self) -> None:
        self.trouble = ""
        self.echo_taken_db, self.drift_ppm = None, 0.0
        self.fails = False
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.played: list[bytes] = []
        self.opened: list[bool] = []

    def far(self, pcm: bytes, _at_ns: int) -> None:
        self.played.append(pcm)

    def near(self, pcm: bytes, _at_ns: int) -> list[bytes]:
        self.goes_on.wait(10)
        if self.fails:
            raise ValueError("broken")
        return [pcm]

    def opened_anew(self, *, microphone: bool) -> None:
        self.opened.append(microphone)


class Rig:
    def __init__(self) -> None:
        self.fake = Fake()
        self.made = 0
        self.out: list[bytes] = []
        self.horn = VOICE
        self.near_end = NearEnd(lambda: self.horn, self.out.append, self._make, LOUDNESS, 115.0)
        self.near_end.start()

    def _make(self) -> Canceller:
        self.made += 1
        return self.fake  # type: ignore[return-value]

    def hear(self, frames: int) -> None:
        """One after the other, as a card gives them."""
        for _ in range(frames):
            before = len(self.out)
            self.near_end.heard(VOICE)
            until(lambda before=before: len(self.out) > before or self.near_end._discard > 0, 2)

    def open(self) -> None:
        self.near_end.gate(True)
        for _ in range(DISCARDED_FRAMES):
            left = self.near_end._discard
            self.near_end.heard(VOICE)
            until(lambda left=left: self.near_end._discard < left, 2)


def until(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.fake.goes_on.set()
    made.near_end.close()


def test_the_microphone_goes_through_the_canceller_while_the_gate_is_open(rig: Rig) -> None:
    rig.near_end.heard(VOICE)
    assert rig.made == 0
    rig.open()
    rig.hear(5)
    assert rig.out == [VOICE] * 5
    assert rig.near_end.trouble == ""


def test_the_canceller_gets_what_the_horn_really_plays(rig: Rig) -> None:
    rig.near_end.aim(talk=True, quiet=False)
    played = [rig.near_end.next_output() for _ in range(10)]
    rig.open()
    until(lambda: len(rig.fake.played) == 10, 2)
    assert rig.fake.played == played
    assert played[0] != VOICE, "levelled and limited"
    rig.horn = SILENCE
    assert rig.near_end.next_output() == SILENCE


def test_a_canceller_that_fails_is_passed_by_and_told(rig: Rig) -> None:
    rig.open()
    rig.fake.fails = True
    rig.hear(20)
    assert rig.out == [VOICE] * 20
    assert "broken" in rig.near_end.trouble
    assert rig.made == 1, "not made again at once"


def test_a_canceller_that_hangs_holds_up_neither_the_card_nor_the_voice(rig: Rig) -> None:
    rig.open()
    rig.fake.goes_on.clear()
    began = time.monotonic()
    for _ in range(200):
        rig.near_end.next_output()
        rig.near_end.heard(VOICE)
    assert time.monotonic() - began < 1
    assert len(rig.out) == 200 - LATE_FRAMES
    assert rig.near_end.passed_by_frames == 200 - LATE_FRAMES
    assert "late or hangs" in rig.near_end.trouble
    rig.fake.goes_on.set()
    until(lambda: len(rig.out) == 200, 2)


def test_a_canceller_that_is_late_for_a_moment_is_no_fault(rig: Rig) -> None:
    rig.open()
    rig.fake.goes_on.clear()
    for _ in range(LATE_FRAMES + PASSED_BY_FRAMES - 1):
        rig.near_end.heard(VOICE)
    assert rig.near_end.passed_by_frames == PASSED_BY_FRAMES - 1
    assert rig.near_end.trouble == ""
    rig.near_end.heard(VOICE)
    assert "late or hangs" in rig.near_end.trouble


def test_nothing_from_before_the_gate_was_shut_comes_out_after_it_is_open(rig: Rig) -> None:
    rig.open()
    rig.fake.goes_on.clear()
    for _ in range(3):
        rig.near_end.heard(VOICE)
    rig.near_end.gate(False)
    rig.near_end.gate(True)
    rig.fake.goes_on.set()
    until(lambda: not rig.near_end._waiting and rig.near_end._near_in == rig.near_end._near_out, 2)
    assert rig.out == []
    other = bytes(FRAME_BYTES - 2) + b"\1\0"
    for _ in range(DISCARDED_FRAMES + 2):
        rig.near_end.heard(other)
        until(lambda: rig.near_end._near_in == rig.near_end._near_out, 2)
    assert rig.out == [other, other], "what the chain itself still held is thrown away too"


def test_a_card_that_is_opened_again_is_told_to_the_canceller(rig: Rig) -> None:
    rig.open()
    rig.near_end.opened_anew(microphone=False)
    rig.near_end.opened_anew(microphone=True)
    rig.hear(1)
    assert rig.fake.opened == [False, True]


def test_without_a_canceller_the_voice_passes_as_it_is() -> None:
    out: list[bytes] = []
    near_end = NearEnd(lambda: SILENCE, out.append, None, LOUDNESS, 115.0)
    near_end.start()
    near_end.gate(True)
    near_end.heard(VOICE)
    assert out == [VOICE] and near_end.trouble == ""
    near_end.close()
