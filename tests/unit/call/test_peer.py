"""One far end's sessions: when the next one is made, and what of the last one is not heard any more."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from unitd.call import conversation as conversation_module
from unitd.call import peer as peer_module
from unitd.call.link.ice_servers import NO_SERVERS, UsableServers
from unitd.call.peer import Peer
from unitd.call.picture.feeds import Feeds
from unitd.call.rtc.session_events import AnsweredTwiceError
from unitd.call.voice.playout import Playout
from unitd.messages import duplex

LOG = structlog.get_logger()


async def until(condition: Callable[[], Any], seconds: float = 2.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.005)


class FakeSession:
    """A session that does what the test says."""

    made: list["FakeSession"]
    hangs_at_its_start = hangs_at_its_end = False

    def __init__(self, _peer: str, events: Peer, *_: Any, **__: Any) -> None:
        self.events = events
        self.connected = self.has_feedback = False
        self.answers: list[str] = []
        self.closed = asyncio.Event()
        self.on_pip_keyframe: Callable[[], None] = lambda: None
        self.pip = None
        FakeSession.made.append(self)

    async def start(self) -> None:
        if self.hangs_at_its_start:
            await asyncio.Event().wait()

    def set_answer(self, sdp: str) -> None:
        self.answers.append(sdp)
        if len(self.answers) > 1:
            raise AnsweredTwiceError("answered twice")

    def poll(self, _on_stats: Any) -> None: ...

    def deaf(self) -> str:
        return self.is_deaf

    is_deaf = ""

    async def close(self) -> None:
        self.closed.set()
        if self.hangs_at_its_end:
            await asyncio.Event().wait()


class Port:
    def __init__(self, executor: ThreadPoolExecutor, run_dir: Path) -> None:
        self.executor: Executor = executor
        self.feeds = Feeds((), run_dir, lambda *_: None, executor, LOG)  # type: ignore[arg-type]
        self.told: list[str] = []

    async def turn(self) -> None: ...

    def send(self, message: duplex.FromUnit) -> None:
        self.told.append(type(message).__name__)

    def is_duplex(self, _peer: str) -> bool:
        return True

    def alive_s(self, _peer: str) -> float | None:
        return 10.0

    def session_servers(self, _peer: str) -> UsableServers:
        return NO_SERVERS

    def voice_of(self, _peer: str) -> Playout:
        return Playout()

    def hear_letters(self, peer: str, letters: str) -> None: ...

    def forget_voice(self, peer: str, voice: Playout) -> None: ...

    def report(self, name: str, _peer: str) -> None:
        self.told.append(name)


Story = Callable[[Peer, Port, list[FakeSession]], Any]


def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, story: Story) -> None:
    FakeSession.made = []
    monkeypatch.setattr(peer_module, "PeerSession", FakeSession)

    async def run() -> None:
        with ThreadPoolExecutor(1) as executor:
            port = Port(executor, tmp_path)
            peer = Peer("console", port, LOG)
            life = asyncio.create_task(peer.run())
            try:
                await until(lambda: FakeSession.made)
                await story(peer, port, FakeSession.made)
            finally:
                life.cancel()
                await asyncio.wait({life})

    asyncio.run(run())


def test_a_far_end_that_is_back_does_not_wait_for_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "FIRST_PAUSE_S", 60.0)
    monkeypatch.setattr(peer_module, "LONGEST_PAUSE_S", 60.0)

    async def story(peer: Peer, _port: Port, made: list[FakeSession]) -> None:
        peer.restart()
        await until(lambda: made[0].closed.is_set())
        await asyncio.sleep(0)
        peer.prove()
        await until(lambda: len(made) == 2)
        peer.restart()
        await until(lambda: made[1].closed.is_set())
        peer.again()
        await until(lambda: len(made) == 3)

    play(tmp_path, monkeypatch, story)


def test_a_session_whose_end_hangs_does_not_end_the_far_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "CLOSE_WITHIN_S", 0.02)
    monkeypatch.setattr(peer_module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(FakeSession, "hangs_at_its_end", True)

    async def story(peer: Peer, _port: Port, made: list[FakeSession]) -> None:
        peer.restart()
        await until(lambda: len(made) == 2)
        peer.again()
        await until(lambda: len(made) == 3)
        peer.again()
        await until(lambda: len(made) == 4)

    play(tmp_path, monkeypatch, story)


def test_the_answer_to_an_offer_of_before_costs_a_new_offer_and_no_time_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_module, "FIRST_PAUSE_S", 0.01)

    async def story(peer: Peer, _port: Port, made: list[FakeSession]) -> None:
        peer.answer("to the offer before")
        peer.answer("to the offer before")  # a relay that says it twice
        await asyncio.sleep(0.05)
        assert len(made) == 1
        peer.answer("to this one")
        await until(lambda: len(made) == 2)
        made[1].connected = True
        peer.answer("one")
        peer.answer("another")  # connected: whatever this is, the session is good
        await asyncio.sleep(0.05)
        assert len(made) == 2

    play(tmp_path, monkeypatch, story)


def test_the_last_words_of_a_session_that_was_given_up_do_not_reach_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_module, "FIRST_PAUSE_S", 0.01)

    async def story(peer: Peer, port: Port, made: list[FakeSession]) -> None:
        peer.again()
        await until(lambda: len(made) == 2)
        old: Any = made[0]
        old.feedback = SimpleNamespace(sent=list)
        peer.session_state(old, "failed", "")
        peer.session_offers(old, "v=0")
        peer.session_candidate(old, 0, "candidate")
        peer.session_feedback(old, b"", 0.0)
        await asyncio.sleep(0.05)
        assert len(made) == 2
        assert port.told == []

    play(tmp_path, monkeypatch, story)


def test_a_failure_inside_a_peer_does_not_cost_the_console_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_module, "PEER_AGAIN_S", 0.01)

    class Failing:
        peer = "console"
        runs = 0

        async def run(self) -> None:
            self.runs += 1
            raise RuntimeError("an element is missing")

    async def run() -> None:
        failing: Any = Failing()
        call: Any = SimpleNamespace(_log=LOG, _peers={})
        life = asyncio.create_task(conversation_module.Conversation._keep(call, failing))
        await until(lambda: failing.runs == 3)
        life.cancel()
        await asyncio.wait({life})
        assert life.cancelled()

    asyncio.run(run())


def test_a_session_whose_voice_is_not_heard_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(_peer: Peer, _port: Port, made: list[FakeSession]) -> None:
        made[0].is_deaf = "no sound of 40 packets"
        await until(lambda: len(made) == 2 and made[0].closed.is_set())

    play(tmp_path, monkeypatch, story)


def test_a_session_that_does_not_start_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "START_WITHIN_S", 0.02)
    monkeypatch.setattr(peer_module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(FakeSession, "hangs_at_its_start", True)

    async def story(_peer: Peer, _port: Port, made: list[FakeSession]) -> None:
        await until(lambda: len(made) == 3)

    play(tmp_path, monkeypatch, story)
