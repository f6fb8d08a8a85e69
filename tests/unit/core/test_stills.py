"""Stills go up behind every alarm, one at a time, and wait for a way in small numbers."""

import asyncio
import base64
from typing import Any

import msgspec
import pytest
from pytest_mock import MockerFixture

from unitd.core import stills as under_test
from unitd.core.stills import KEPT, TAKEN_WITHIN_NS, StillDesk
from unitd.messages import control_room as wire
from unitd.messages.workers import Event

INCIDENT = "11111111-2222-4333-8444-555555555555"


class Clock:
    now_ns = 1_000_000_000

    def mono_ns(self) -> int:
        return self.now_ns

    def stamp(self, mono_ns: int | None = None) -> wire.Stamp:
        return wire.Stamp(utc_us=5, clock="held", mono_ns=mono_ns or 0)


class Link:
    def __init__(self, connected: bool = True) -> None:
        self.name, self.connected = "main", connected
        self.sent: list[tuple[str, wire.Still, str]] = []

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False, token: str | None = None) -> bool:
        assert qos == 1
        assert not retain
        assert len(payload) < wire.MAX_PAYLOAD_BYTES
        if self.connected:
            self.sent.append((topic, msgspec.json.decode(payload, type=wire.Still), token or ""))
        return self.connected

    async def run(self) -> None: ...

    def cameras(self) -> list[str]:
        return [still.camera for _, still, _ in self.sent]


class Rig:
    def __init__(self, log: Any, *links: Link) -> None:
        self.clock, self.links, self.alarms_taken = Clock(), list(links), True
        self.desk = StillDesk("pole-0001", self.clock, log, lambda: self.alarms_taken)
        self.desk.send_on(list(links))

    def take(self, camera: str = "dome", number: int = 1, **changes: Any) -> None:
        self.desk.take(event(camera, number, **changes))

    def ack(self) -> None:
        assert self.desk.acked(self.links[0].sent[-1][2])

    def turn(self) -> None:
        """What `run` does once."""
        self.desk._send_next()


def event(camera: str = "dome", number: int = 1, **changes: Any) -> Event:
    data: dict[str, Any] = {
        "camera": camera,
        "at_mono_ns": 77,
        "jpeg_base64": base64.b64encode(b"\xff\xd8" + bytes([number])).decode(),
        "sha256": f"{camera}{number}",
        "width": 1280,
        "height": 720,
    }
    return Event(name="still", mono_ns=77, incident_id=INCIDENT, data=data | changes)


@pytest.fixture
def log(mocker: MockerFixture) -> Any:
    mocker.patch.object(under_test, "chain")
    return mocker.Mock()


def test_a_still_goes_to_every_broker_as_it_was_taken(log: Any) -> None:
    rig = Rig(log, Link(), Link())
    rig.take()
    rig.turn()
    for link in rig.links:
        ((topic, still, _),) = link.sent
        assert topic == "hp/1/pole-0001/up/still"
        assert (still.incident_id, still.camera, still.jpeg) == (INCIDENT, "dome", b"\xff\xd8\x01")
        assert (still.at.mono_ns, still.width, still.height, still.sha256) == (77, 1280, 720, "dome1")


def test_no_still_goes_before_the_alarm_has_reached_a_broker(log: Any) -> None:
    rig = Rig(log, Link())
    rig.alarms_taken = False
    rig.take()
    rig.turn()
    assert rig.links[0].sent == []
    rig.alarms_taken = True
    assert not rig.desk.acked("a press"), "an alarm's token is not ours"
    rig.turn()
    assert rig.links[0].cameras() == ["dome"]


def test_the_next_goes_when_the_one_before_was_taken(log: Any) -> None:
    rig = Rig(log, Link())
    rig.take("dome")
    rig.take("side")
    rig.turn()
    rig.turn()
    assert rig.links[0].cameras() == ["dome"]
    rig.ack()
    rig.turn()
    assert rig.links[0].cameras() == ["dome", "side"]
    rig.ack()
    rig.turn()
    assert rig.links[0].cameras() == ["dome", "side"]


def test_one_that_nobody_acknowledges_is_never_sent_behind_itself_and_given_up(log: Any) -> None:
    """On a slow link each copy would keep the next alarm waiting."""
    rig = Rig(log, Link())
    rig.take("dome")
    rig.take("side")
    for _ in range(4):
        rig.turn()
        rig.clock.now_ns += TAKEN_WITHIN_NS // 4
        assert rig.links[0].cameras() == ["dome"]
    rig.turn()
    assert rig.links[0].cameras() == ["dome", "side"]
    assert rig.desk.dropped == 1


def test_a_lost_connection_costs_no_still_but_not_for_ever(log: Any) -> None:
    rig = Rig(log, Link())
    link = rig.links[0]
    rig.take("dome")
    for count in range(under_test.TRIES):
        rig.turn()
        assert link.cameras() == ["dome"] * (count + 1)
        link.connected = False
        rig.turn()
        rig.alarms_taken = False
        link.connected = True
        rig.turn()
        assert len(link.sent) == count + 1, "the alarm goes first here too"
        rig.alarms_taken = True
    rig.turn()
    assert len(link.sent) == under_test.TRIES
    assert rig.desk.dropped == 1


def test_without_a_way_the_newest_of_each_camera_waits(log: Any) -> None:
    rig = Rig(log, Link(connected=False))
    for number in (1, 2, 3):
        rig.take("dome", number)
        rig.take("side", number)
    rig.turn()
    rig.links[0].connected = True
    rig.turn()
    rig.ack()
    rig.turn()
    rig.ack()
    rig.turn()
    assert [still.sha256 for _, still, _ in rig.links[0].sent] == ["dome3", "side3"]


def test_the_queue_is_bounded_and_what_is_under_way_stays(log: Any) -> None:
    rig = Rig(log, Link())
    rig.take("first")
    rig.turn()
    for number in range(KEPT + 4):
        rig.take("dome", number)
    assert rig.desk.dropped == 5
    rig.ack()
    rig.turn()
    assert rig.links[0].sent[-1][1].sha256 == "dome5"


def test_the_same_still_told_twice_goes_once(log: Any) -> None:
    rig = Rig(log, Link())
    rig.take()
    rig.take()
    rig.turn()
    rig.ack()
    rig.turn()
    assert len(rig.links[0].sent) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"jpeg_base64": "not base64!"},
        {"jpeg_base64": ""},
        {"jpeg_base64": base64.b64encode(bytes(40_000)).decode()},
        {"width": "wide"},
        {"camera": None},
        {"sha256": "x" * 30_000},
    ],
)
def test_what_is_no_still_is_counted(log: Any, changes: dict[str, Any]) -> None:
    rig = Rig(log, Link())
    rig.take(**changes)
    rig.turn()
    assert rig.desk.malformed == 1
    assert rig.links[0].sent == []


def test_run_sends_at_once_when_a_still_comes(log: Any) -> None:
    async def run() -> None:
        rig = Rig(log, Link())
        running = asyncio.create_task(rig.desk.run())
        await asyncio.sleep(0)
        rig.take()
        for _ in range(5):
            await asyncio.sleep(0)
        assert rig.links[0].cameras() == ["dome"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())
