"""One control room behind two brokers: nothing is lost with one of them, and one's last will is not the unit's."""

import asyncio
from collections.abc import Callable

from hw_sim.control_room.mqtt import Message
from hw_sim.control_room.several_brokers import SeveralBrokers
from tests.unit.control_room.fake_transport import FakeTransport
from unitd.messages.control_room import State

UNIT = "pole-0001"


def state(online: bool) -> State:
    return State(unit=UNIT, online=online, session=1, armed=online, clock="synced", uptime_ms=1, site=None)


def play(test: Callable[[SeveralBrokers, FakeTransport, FakeTransport, list[Message], list[bool]], None]) -> None:
    async def run() -> None:
        first, second = FakeTransport(), FakeTransport()
        both = SeveralBrokers([first, second])
        messages: list[Message] = []
        connections: list[bool] = []
        both.start(messages.append, connections.append)
        test(both, first, second, messages, connections)

    asyncio.run(run())


def test_what_comes_by_any_comes_and_what_goes_goes_by_all_that_are_there() -> None:
    def test(
        both: SeveralBrokers,
        first: FakeTransport,
        second: FakeTransport,
        messages: list[Message],
        connections: list[bool],
    ) -> None:
        first.say(UNIT, "alarm", b"a")
        second.say(UNIT, "alarm", b"a")
        assert [each.payload for each in messages] == [b"a", b"a"]
        both.publish("t", b"1", 1)
        first.on_connection(False)
        both.publish("t", b"2", 1)
        assert [payload for _, payload in first.published] == [b"1"]
        assert [payload for _, payload in second.published] == [b"1", b"2"]
        assert connections == [True, True]
        second.on_connection(False)
        assert connections == [True, True, False]
        first.on_connection(True)
        assert connections == [True, True, False, True]

    play(test)


def test_a_last_will_counts_when_no_other_broker_hears_the_unit() -> None:
    def test(
        _both: SeveralBrokers,
        first: FakeTransport,
        second: FakeTransport,
        messages: list[Message],
        _connections: list[bool],
    ) -> None:
        for transport in (first, second):
            transport.say(UNIT, "state", state(online=True))
        first.say(UNIT, "state", state(online=False))
        assert len(messages) == 2
        second.say(UNIT, "state", state(online=False))
        assert len(messages) == 3

    play(test)


def test_a_broker_that_we_have_lost_keeps_no_unit_alive() -> None:
    def test(
        _both: SeveralBrokers,
        first: FakeTransport,
        second: FakeTransport,
        messages: list[Message],
        _connections: list[bool],
    ) -> None:
        first.say(UNIT, "state", state(online=True))
        first.on_connection(False)
        second.say(UNIT, "state", state(online=False))
        second.say(UNIT, "state", b"rubbish")
        assert len(messages) == 3

    play(test)
