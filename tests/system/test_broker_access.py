"""The access list of `unitd broker-acl` in a real Mosquitto, tried with the certificates of thieves and of insiders."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hw_sim.control_room.broker import Broker
from hw_sim.pki import Pki
from tests.system.broker_client import WITHIN_S, Client, client, delivered, shut_out
from unitd.messages.control_room import MAX_PAYLOAD_BYTES
from unitd.tools.broker_acl import Access

pytestmark = pytest.mark.system

SYSTEM, ANN, MEG, OTTO = "system@hub", "ann@hub", "meg@hub", "otto@hub"
PEOPLE = {"system": (SYSTEM,), "operator": (ANN,), "maintainer": (MEG,), "observer": (OTTO,)}
EVERY_TOPIC_OF_ANOTHER = [
    *(f"hp/1/pole-1/up/{each}" for each in ("alarm", "state", "event", "beat", "reply", "anything/else")),
    *(f"hp/1/pole-1/down/{each}" for each in ("received", "operator/cmd", "maintainer/cmd", "operator/x/y")),
]
FOREIGN_TOPICS = [
    "hp/1/pole-1",
    "hp/2/pole-1/up/alarm",
    "hp/1/up/alarm",
    "hp/1//up/alarm",
    "elsewhere",
    "$SYS/broker/load",
]
NAMED = ("pole-1", "pole-2")


class World:
    """A broker and the certificates of one control room."""

    def __init__(self, directory: Path) -> None:
        self.pki = Pki(directory / "pki")
        self.people = {name: self.pki.person(name) for names in PEOPLE.values() for name in names}
        self.broker = Broker(directory / "broker", self.pki.broker)

    @property
    def port(self) -> int:
        return self.broker.port

    @contextmanager
    def __call__(self, name: str, **more: object) -> Iterator[Client]:
        with client(self.port, self.people.get(name) or self.pki.unit(name), **more) as made:  # type: ignore[arg-type]
            yield made


@contextmanager
def world(directory: Path, access: Access, revoked: str | None = None) -> Iterator[World]:
    made = World(directory)
    made.broker.access = access
    if revoked is not None:
        made.broker.crl_file = made.pki.revoke(made.pki.unit(revoked))
    with asyncio.Runner() as runner:
        runner.run(made.broker.start())
        try:
            yield made
        finally:
            runner.run(made.broker.stop())


@pytest.fixture(params=[None, NAMED], ids=["any unit", "named units"])
def w(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, Access(PEOPLE, request.param)) as made:
        yield made


def test_a_unit_and_its_control_room_can_do_their_work(w: World) -> None:
    with w(SYSTEM) as system, w("pole-1") as unit:
        system.subscribe("hp/1/+/up/#")
        unit.subscribe("hp/1/pole-1/down/#")
        assert unit.publish("hp/1/pole-1/up/alarm", "help") == "Success"
        assert delivered(unit, system, "hp/1/pole-1/up/event") == [("hp/1/pole-1/up/alarm", "help")]
        with w(ANN) as ann, w(MEG) as meg:
            assert ann.publish("hp/1/pole-1/down/operator/cmd", "accept") == "Success"
            assert meg.publish("hp/1/pole-1/down/maintainer/cmd", "raise_test") == "Success"
        assert delivered(system, unit, "hp/1/pole-1/down/received")[-2:] == [
            ("hp/1/pole-1/down/operator/cmd", "accept"),
            ("hp/1/pole-1/down/maintainer/cmd", "raise_test"),
        ]


def test_another_units_certificate_writes_nothing_of_this_unit(w: World) -> None:
    with w(SYSTEM) as system, w("pole-1") as unit, w("pole-2") as thief:
        system.subscribe("hp/1/+/up/#")
        unit.subscribe("hp/1/pole-1/down/#")
        for topic in [*EVERY_TOPIC_OF_ANOTHER, *FOREIGN_TOPICS, "hp/1/pole-2/down/received"]:
            for retain in (False, True):
                assert thief.publish(topic, "forged", retain) == "Not authorized", topic
        assert delivered(system, unit, "hp/1/pole-1/down/received") == []
        assert delivered(unit, system, "hp/1/pole-1/up/event") == []


def test_another_units_certificate_reads_nothing_of_this_unit(w: World) -> None:
    """Mosquitto grants a forbidden SUBSCRIBE and then delivers nothing: not even what is retained."""
    with w(SYSTEM) as system, w("pole-1") as unit, w("pole-2") as thief:
        assert unit.publish("hp/1/pole-1/up/state", "retained", retain=True) in ("Success", "No matching subscribers")
        for topic in (
            "#",
            "hp/#",
            "hp/1/+/up/#",
            "hp/1/pole-1/#",
            "hp/1/pole-1/up/state",
            "$share/g/hp/1/+/up/#",
            "$SYS/#",
        ):
            thief.subscribe(topic)
        system.subscribe("hp/1/+/up/#")
        assert unit.publish("hp/1/pole-1/up/alarm", "help") == "Success"
        system.publish("hp/1/pole-1/down/received", "secret")
        with w(ANN) as ann:
            ann.publish("hp/1/pole-1/down/operator/cmd", "secret")
        assert delivered(system, thief, "hp/1/pole-2/down/received") == []
        assert ("hp/1/pole-1/up/state", "retained") in delivered(unit, system, "hp/1/pole-1/up/event")


def test_a_last_will_is_held_to_the_same_list(w: World) -> None:
    with w(SYSTEM) as system, w("pole-1") as unit:
        system.subscribe("hp/1/+/up/#")
        thief = Client(w.port, w.pki.unit("pole-2"), will=("hp/1/pole-1/up/state", "offline"))
        thief.vanish()
        other = Client(w.port, w.people[OTTO], will=("hp/1/pole-1/down/received", "forged"))
        other.vanish()
        own = Client(w.port, w.pki.unit("pole-2"), will=("hp/1/pole-2/up/state", "offline"))
        own.vanish()
        deadline_s = time.monotonic() + WITHIN_S
        while ("hp/1/pole-2/up/state", "offline") not in system.heard:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        assert delivered(unit, system, "hp/1/pole-1/up/event") == [("hp/1/pole-2/up/state", "offline")]


def test_nobody_takes_over_another_ones_connection(w: World) -> None:
    """By naming its client id: the broker would end the first connection and hand over its session."""
    with w("pole-1", client_id="pole-1") as unit, w("pole-2", client_id="pole-1") as thief:
        assert thief.publish("hp/1/pole-2/up/event") != "Not authorized"
        assert unit.publish("hp/1/pole-1/up/event") != "Not authorized"
        assert not unit.lost


@pytest.mark.parametrize(
    ("name", "may"),
    [
        (SYSTEM, "received"),
        (ANN, "operator/cmd"),
        (MEG, "maintainer/cmd"),
        (OTTO, None),
    ],
)
def test_each_role_writes_its_own_topic_only(w: World, name: str, may: str | None) -> None:
    with w("pole-1") as unit, w(name) as person, w(SYSTEM if name != SYSTEM else ANN) as other:
        unit.subscribe("hp/1/pole-1/down/#")
        other.subscribe("hp/1/+/up/#")
        own = f"hp/1/{name}/up/alarm"
        for topic in [
            *EVERY_TOPIC_OF_ANOTHER,
            *FOREIGN_TOPICS,
            own,
            f"hp/1/{name}/down/received",
            "hp/1/pole-1/down/system",
        ]:
            allowed = may is not None and topic.startswith(f"hp/1/pole-1/down/{may.split('/')[0]}")
            said = person.publish(topic, "from " + name)
            assert (said != "Not authorized") == allowed, topic
        person.subscribe("#")
        person.subscribe(f"hp/1/{name}/down/#")
        unit.publish("hp/1/pole-1/up/state", "for all", retain=True)
        assert ("hp/1/pole-1/up/state", "for all") in delivered(unit, person, "hp/1/pole-1/up/event")
        if name != SYSTEM:
            assert delivered(other, unit, "hp/1/pole-1/down/received") == [
                (
                    "hp/1/pole-1/down/operator/x/y" if topic.endswith("x/y") else f"hp/1/pole-1/down/{may}",
                    f"from {name}",
                )
                for topic in EVERY_TOPIC_OF_ANOTHER
                if may is not None and f"/down/{may.split('/')[0]}" in topic
            ]
            assert [each for each in person.heard if "/down/" in each[0]] == []


def test_a_certificate_of_another_authority_or_none_does_not_get_in(w: World) -> None:
    thief = w.pki.thief("pole-1")
    assert shut_out(w.port, thief)
    assert shut_out(w.port, dataclasses.replace(thief, cert_file=Path("none")))
    assert not shut_out(w.port, w.pki.unit("pole-1"))


def test_a_revoked_certificate_does_not_get_in(tmp_path: Path) -> None:
    with world(tmp_path, Access(PEOPLE), revoked="pole-2") as w:
        assert shut_out(w.port, w.pki.unit("pole-2"))
        with w("pole-1") as unit:
            assert unit.publish("hp/1/pole-1/up/event") != "Not authorized"


def test_a_unit_that_is_left_out_can_do_nothing_from_the_next_reload_on(tmp_path: Path) -> None:
    """Connected or not: its certificate is still good, but nobody's name is in the list."""
    with world(tmp_path, Access(PEOPLE, NAMED)) as w, w(SYSTEM) as system, w("pole-2") as thief:
        thief.subscribe("hp/1/pole-2/down/#")
        assert thief.publish("hp/1/pole-2/up/alarm") != "Not authorized"
        w.broker.reload(Access(PEOPLE, ("pole-1",)))
        deadline_s = time.monotonic() + WITHIN_S
        while thief.publish("hp/1/pole-2/up/alarm") != "Not authorized":
            assert time.monotonic() < deadline_s
        with w("pole-2") as again, w("pole-1") as unit:
            again.subscribe("hp/1/pole-2/down/#")
            unit.subscribe("hp/1/pole-1/down/#")
            assert again.publish("hp/1/pole-2/up/alarm") == "Not authorized"
            system.publish("hp/1/pole-2/down/received", "for the thief")
            assert delivered(system, unit, "hp/1/pole-1/down/received") == []
            assert again.heard == thief.heard == []


def test_a_packet_beyond_the_protocols_size_is_refused(w: World) -> None:
    with w("pole-1") as unit:
        assert unit.publish("hp/1/pole-1/up/alarm", "x" * MAX_PAYLOAD_BYTES) != "lost"
        assert unit.publish("hp/1/pole-1/up/alarm", "x" * (MAX_PAYLOAD_BYTES + 8192)) == "lost"
