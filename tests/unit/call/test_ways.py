"""Which of several ways to the control rooms is dialled, has the call, and is let go."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import structlog

from unitd.call.link import line as line_module
from unitd.call.link import ways as ways_module
from unitd.call.link.way import SessionNeeds, Target, WayEvents
from unitd.call.link.ways import Ways
from unitd.config import EndpointTable
from unitd.messages import duplex


class FakeWay:
    """A way that does what the test says. `up()` and `lose()` are its far end."""

    most_at_once = 2

    def __init__(self, target: Target, events: WayEvents) -> None:
        self.name = target.name
        self.sent: list[duplex.FromUnit] = []
        self.said: list[str] = []
        self.media_of: list[tuple[str, bool]] = []
        self.silent = 0.0
        self._events = events
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self) -> str:
        return await self._end

    def up(self) -> None:
        self._events.way_up(self)

    def say(self, message: duplex.ToUnit) -> None:
        self._events.way_message(self, message)

    def join(self, peer: str) -> None:
        self.say(duplex.PeerJoined(peer=peer))

    def lose(self) -> None:
        self._end.set_result("lost")

    def send(self, message: duplex.FromUnit) -> None:
        self.sent.append(message)

    def media(self, peer: str, connected: bool) -> None:
        self.media_of.append((peer, connected))

    def needs(self, peer: str) -> SessionNeeds:
        return SessionNeeds(listens=peer == "talk")

    def silent_s(self) -> float:
        return self.silent

    def alive_s(self) -> float | None:
        return 1.0

    async def bye(self, reason: str) -> None:
        self.said.append(reason)


class Bench:
    """Ways over fakes; `told` is what the call hears of them."""

    def __init__(self, *names: str) -> None:
        self.dialled: list[FakeWay] = []
        self.told: list[str] = []
        tables = tuple(Target(EndpointTable(name=name, url=f"wss://{name}/")) for name in names)
        self.ways = Ways(tables, self._make, self, structlog.get_logger())

    def _make(self, target: Target, events: WayEvents) -> FakeWay:
        way = FakeWay(target, events)
        self.dialled.append(way)
        return way

    def link_up(self, endpoint: str) -> None:
        self.told.append(f"up {endpoint}")

    def link_down(self, endpoint: str, reason: str) -> None:
        self.told.append(f"down {endpoint}")

    def link_again(self, peer: str) -> None:
        self.told.append(f"again {peer}")

    def link_message(self, message: duplex.ToUnit) -> None:
        self.told.append(f"{type(message).__name__} {getattr(message, 'peer', '')}".strip())

    def names(self) -> list[str]:
        return [way.name for way in self.dialled]

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - the ways act by themselves
                await asyncio.sleep(0.002)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways_module, "HEAD_START_S", 0.05)
    monkeypatch.setattr(ways_module, "HAND_OVER_S", 0.1)
    monkeypatch.setattr(ways_module, "CONFIRM_S", 0.1)
    monkeypatch.setattr(line_module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(line_module, "LONGEST_PAUSE_S", 0.02)
    monkeypatch.setattr(line_module, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(line_module, "DIAL_AGAIN_S", 0.05)


def played(test: Callable[[Bench], Coroutine[Any, Any, None]], *names: str) -> None:
    async def run() -> None:
        bench = Bench(*names)
        task = asyncio.create_task(bench.ways.run())
        try:
            await test(bench)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_the_first_has_a_head_start_and_the_first_that_answers_has_the_call() -> None:
    async def test(bench: Bench) -> None:
        await bench.until(lambda: bench.dialled)
        assert bench.names() == ["a"]
        await bench.until(lambda: "b" in bench.names())
        next(way for way in bench.dialled if way.name == "b").up()
        assert bench.ways.up == "b"
        await bench.until(lambda: len(bench.ways._lines) == 1)
        assert list(bench.ways._lines) == ["b"]

    played(test, "a", "b")


def test_a_first_that_refuses_costs_no_head_start() -> None:
    async def test(bench: Bench) -> None:
        ways_module.HEAD_START_S = 60.0
        await bench.until(lambda: bench.dialled)
        bench.dialled[0].lose()
        await bench.until(lambda: "b" in bench.names())
        assert bench.names().count("a") >= 1

    played(test, "a", "b")


def test_a_way_that_is_lost_is_dialled_again_for_ever() -> None:
    async def test(bench: Bench) -> None:
        for count in range(1, 30):
            await bench.until(lambda wanted=count: len(bench.dialled) >= wanted)
            bench.dialled[-1].up()
            bench.dialled[-1].lose()
        assert bench.told[:4] == ["up a", "down a", "up a", "down a"]

    played(test, "a")


def test_a_silent_way_gets_company_and_its_sessions_are_proved_not_ended() -> None:
    async def test(bench: Bench) -> None:
        await bench.until(lambda: bench.dialled)
        first = bench.dialled[0]
        first.up()
        first.join("p")
        first.silent = 5.0
        await bench.until(lambda: len(bench.dialled) == 2)
        bench.dialled[1].up()
        bench.dialled[1].join("p")
        bench.dialled[1].join("p")  # named twice on one link: afresh
        assert bench.told == ["up a", "PeerJoined p", "up a", "again p", "PeerJoined p"]
        bench.ways.send(duplex.Offer(peer="p", sdp="x"))
        assert bench.dialled[1].sent
        assert not first.sent

    played(test, "a")


def test_peers_that_a_new_link_does_not_name_are_gone() -> None:
    async def test(bench: Bench) -> None:
        await bench.until(lambda: bench.dialled)
        bench.dialled[0].up()
        for peer in ("p", "q"):
            bench.dialled[0].join(peer)
        bench.dialled[0].lose()
        await bench.until(lambda: len(bench.dialled) > 1)
        bench.dialled[-1].up()
        bench.dialled[-1].join("q")
        await bench.until(lambda: "PeerLeft p" in bench.told)
        assert "PeerLeft q" not in bench.told

    played(test, "a")


def test_a_hand_over_is_connected_before_the_old_one_is_let_go() -> None:
    async def test(bench: Bench) -> None:
        await bench.until(lambda: bench.dialled)
        old = bench.dialled[0]
        old.up()
        old.join("p")
        bench.ways.prefer(("b", "a"))
        await bench.until(lambda: "b" in bench.names())
        new = next(way for way in bench.dialled if way.name == "b")
        new.up()
        assert bench.ways.up == "a"
        assert bench.ways.most_peers == duplex.MAX_PEERS
        new.join("p")  # another console of that name, at another relay
        assert bench.told[-1] == "PeerJoined p@b"
        assert bench.ways.most_peers == 2 * duplex.MAX_PEERS
        bench.ways.send(duplex.Offer(peer="p@b", sdp="x"))
        assert new.sent == [duplex.Offer(peer="p", sdp="x")]
        assert not old.said
        bench.ways.media("p@b", True)
        assert new.media_of == [("p", True)]
        assert bench.ways.up == "b"
        assert bench.told[-1] == "PeerLeft p"
        await bench.until(lambda: old.said)

    played(test, "a", "b")


def test_a_hand_over_to_a_room_where_nobody_is_waits_only_so_long() -> None:
    async def test(bench: Bench) -> None:
        await bench.until(lambda: bench.dialled)
        bench.dialled[0].up()
        bench.ways.prefer(("b",))
        await bench.until(lambda: "b" in bench.names())
        next(way for way in bench.dialled if way.name == "b").up()
        await bench.until(lambda: bench.ways.up == "b")

    played(test, "a", "b")


def test_named_endpoints_go_before_the_configured_ones_and_go_again() -> None:
    async def test(bench: Bench) -> None:
        await bench.until(lambda: bench.dialled)
        bench.dialled[0].up()
        bench.ways.name((Target(EndpointTable(name="named-1", kind="whip_whep", url="https://m/"), "t"),))
        await bench.until(lambda: "named-1" in bench.names())
        next(way for way in bench.dialled if way.name == "named-1").up()
        await bench.until(lambda: bench.ways.up == "named-1")
        bench.ways.name(())
        await bench.until(lambda: bench.names().count("a") == 2)
        bench.dialled[-1].up()
        await bench.until(lambda: bench.ways.up == "a")

    played(test, "a")


def test_dial_now_dials_beside_a_way_that_is_up() -> None:
    async def test(bench: Bench) -> None:
        await bench.until(lambda: bench.dialled)
        bench.dialled[0].up()
        bench.ways.dial_now()
        await bench.until(lambda: len(bench.dialled) == 2)
        assert bench.ways.up == "a"
        bench.dialled[1].up()
        assert bench.told == ["up a", "up a"]

    played(test, "a")


def test_a_flood_of_names_is_bounded() -> None:
    async def test(bench: Bench) -> None:
        await bench.until(lambda: bench.dialled)
        bench.dialled[0].up()
        for number in range(1000):
            bench.dialled[0].join(f"p{number}")
            bench.dialled[0].say(duplex.Answer(peer=f"x{number}", sdp="x"))
        assert len(bench.told) == 1 + ways_module.ROUTES
        assert bench.ways.ignored == 2000 - ways_module.ROUTES

    played(test, "a")


def test_a_far_end_cannot_take_the_name_that_another_relays_peer_has_here() -> None:
    async def test(bench: Bench) -> None:
        await bench.until(lambda: "b" in bench.names())
        clever = next(way for way in bench.dialled if way.name == "b")
        clever.up()
        for name in ("p", "p@a", "p"):
            clever.join(name)
        await bench.until(lambda: list(bench.ways._lines) == ["b"])
        before = len(bench.dialled)
        bench.ways.prefer(("a",))
        await bench.until(lambda: len(bench.dialled) > before)
        honest = bench.dialled[-1]
        honest.up()
        honest.join("p")
        joined = [each for each in bench.told if each.startswith("PeerJoined")]
        assert joined == ["PeerJoined p", "PeerJoined p@a", "PeerJoined p", "PeerJoined p#0"]
        assert not [each for each in bench.told if each.startswith("again")]
        assert honest.name == "a"

    played(test, "a", "b")


def test_a_goodbye_ends_in_time_and_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways_module, "BYE_WITHIN_S", 0.05)

    async def test(bench: Bench) -> None:
        await bench.until(lambda: {"a", "b"} <= set(bench.names()))
        first, second = (next(way for way in bench.dialled if way.name == name) for name in "ab")

        async def fails(_reason: str) -> None:
            raise ValueError("its words")

        async def hangs(_reason: str) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(first, "bye", fails)
        monkeypatch.setattr(second, "bye", hangs)
        first.join("p")
        second.join("q")
        async with asyncio.timeout(2):
            await bench.ways.say_bye("over")

    played(test, "a", "b")


def test_a_way_whose_goodbye_fails_is_let_go_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bench: Bench) -> None:
        await bench.until(lambda: bench.dialled)
        way = bench.dialled[0]
        way.up()

        async def fails(_reason: str) -> None:
            raise ValueError("its words")

        monkeypatch.setattr(way, "bye", fails)
        bench.ways._let_go("a", "over")
        await bench.until(lambda: way._end.cancelled())

    played(test, "a")
