"""The duplex relay on real sockets: certificates, introductions, messages handed on, candidates replaced."""

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from hw_sim.control_room.outlet import MOST_WAITING, Outlet
from tests.unit.control_room.room import peer_talk, running, unit_talk

UNIT = "pole-0001"
HELLO = {"type": "hello", "version": 1, "unit": UNIT, "incident_id": "i", "kind": "panic", "cameras": ["dome"]}
SDP = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 97\r\na=candidate:1 1 udp 1 192.0.2.9 5000 typ host\r\n"


class FakePair:
    host, unit_port, peer_port = "127.0.0.1", 40001, 40002

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class FakeLink:
    def __init__(self) -> None:
        self.pairs: list[FakePair] = []

    async def udp_pair(self) -> FakePair:
        self.pairs.append(FakePair())
        return self.pairs[-1]


def test_only_the_units_own_certificate_opens_its_line(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, _transport, pki, session):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await unit_talk(session, room, UNIT, pki.unit("pole-0002"))
            assert refused.value.status == 403
            with pytest.raises((aiohttp.ClientError, OSError)):
                await unit_talk(session, room, UNIT, pki.thief(UNIT))
            talk = await unit_talk(session, room, UNIT, pki.unit(UNIT))
            await talk.say(type="ping", n=5)
            assert await talk.hear() == {"type": "pong", "n": 5}

    asyncio.run(run())


def test_peers_are_introduced_whoever_came_first(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, _transport, pki, session):
            early = await peer_talk(session, room, UNIT)
            unit = await unit_talk(session, room, UNIT, pki.unit(UNIT))
            await unit.say(**HELLO)
            first = await unit.hear()
            assert first["type"] == "peer_joined"
            assert (await early.hear())["type"] == "unit_here"
            late = await peer_talk(session, room, UNIT)
            second = await unit.hear()
            assert second["type"] == "peer_joined"
            assert second["peer"] != first["peer"]
            assert (await late.hear())["cameras"] == ["dome"]
            await early.close()
            assert await unit.hear() == {"type": "peer_left", "peer": first["peer"]}
            await unit.close()
            assert await late.hear() == {"type": "unit_gone"}

    asyncio.run(run())


def test_a_fourth_console_is_refused_with_a_reason(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, _transport, _pki, session):
            three = [await peer_talk(session, room, UNIT) for _ in range(3)]
            fourth = await peer_talk(session, room, UNIT)
            assert (await fourth.hear())["type"] == "refused"
            assert len(three) == 3

    asyncio.run(run())


def test_messages_are_handed_on_under_the_peers_true_id(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, _transport, pki, session):
            unit = await unit_talk(session, room, UNIT, pki.unit(UNIT))
            await unit.say(**HELLO)
            peer = await peer_talk(session, room, UNIT)
            name = (await unit.hear())["peer"]
            assert (await peer.hear())["type"] == "unit_here"
            await unit.say(type="offer", peer=name, sdp=SDP)
            assert await peer.hear() == {"type": "offer", "peer": name, "sdp": SDP}
            await peer.say(type="answer", peer="peer-999", sdp=SDP)
            assert await unit.hear() == {"type": "answer", "peer": name, "sdp": SDP}
            ice = {"type": "ice", "peer": name, "candidate": "candidate:1 1 udp 1 192.0.2.9 5 typ host"}
            await peer.say(**ice, sdp_mline_index=0)
            assert await unit.hear() == {**ice, "sdp_mline_index": 0}
            await peer.say(type="hello", peer=name)
            await peer.say(type="restart")
            assert await unit.hear() == {"type": "restart", "peer": name}
            assert room.relay.ignored == 1

    asyncio.run(run())


def test_with_a_link_each_side_gets_the_relays_candidate_only(tmp_path: Path) -> None:
    async def run() -> None:
        link = FakeLink()
        async with running(tmp_path, link) as (room, _transport, pki, session):
            unit = await unit_talk(session, room, UNIT, pki.unit(UNIT))
            await unit.say(**HELLO)
            peer = await peer_talk(session, room, UNIT)
            name = (await unit.hear())["peer"]
            await peer.hear()
            await unit.say(
                type="ice", peer=name, candidate="candidate:1 1 udp 1 192.0.2.9 5 typ host", sdp_mline_index=0
            )
            await unit.say(type="offer", peer=name, sdp=SDP)
            offer = await peer.hear()
            assert "127.0.0.1 40002 typ host" in offer["sdp"]
            assert "192.0.2.9" not in offer["sdp"]
            await peer.say(type="answer", sdp=SDP)
            answer = await unit.hear()
            assert "127.0.0.1 40001 typ host" in answer["sdp"]
            assert "192.0.2.9" not in answer["sdp"]
            await peer.say(type="ice", candidate="", sdp_mline_index=0)
            assert (await unit.hear())["candidate"] == ""
            await unit.say(type="offer", peer=name, sdp=SDP)  # from the start: a new way for the media
            await peer.hear()
            assert [pair.closed for pair in link.pairs] == [True, False]
            await peer.close()
            await unit.hear()
            assert [pair.closed for pair in link.pairs] == [True, True]

    asyncio.run(run())


def test_a_unit_that_dials_again_replaces_its_half_open_connection(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, _transport, pki, session):
            old = await unit_talk(session, room, UNIT, pki.unit(UNIT))
            await old.say(**HELLO)
            peer = await peer_talk(session, room, UNIT)
            await old.hear()
            await peer.hear()
            new = await unit_talk(session, room, UNIT, pki.unit(UNIT))
            await new.say(**HELLO)
            assert (await new.hear())["type"] == "peer_joined"
            assert [(await peer.hear())["type"] for _ in range(2)] == ["unit_gone", "unit_here"]
            with pytest.raises(EOFError):
                await old.hear()
            assert room.relay.unit_is_here(UNIT)

    asyncio.run(run())


def test_nonsense_is_ignored_and_counted(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, _transport, pki, session):
            unit = await unit_talk(session, room, UNIT, pki.unit(UNIT))
            await unit.socket.send_str("{nonsense")
            await unit.socket.send_str("[1]")
            await unit.say(type="telepathy")
            await unit.say(type="ping", n=1)
            assert (await unit.hear())["type"] == "pong"
            assert room.relay.ignored == 3

    asyncio.run(run())


def test_views_texts_links_and_stills_are_handed_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, _transport, pki, session):
            unit = await unit_talk(session, room, UNIT, pki.unit(UNIT))
            await unit.say(**HELLO, quick_answers=["Yes", "No"])
            peer, other = await peer_talk(session, room, UNIT), await peer_talk(session, room, UNIT)
            name = (await unit.hear())["peer"]
            assert (await unit.hear())["type"] == "peer_joined"
            assert (await peer.hear())["quick_answers"] == ["Yes", "No"]
            assert (await other.hear())["type"] == "unit_here"
            for message in (
                {"type": "link", "peer": name, "step": "low", "kbit_s": 200, "words": "Weak link"},
                {"type": "still", "peer": name, "camera": "dome", "at_utc_us": 1, "jpeg": "/9g="},
                {"type": "text", "peer": name, "t140": "help", "by": ""},
            ):
                await unit.say(**message)
                assert await peer.hear() == message
            await peer.say(type="view", camera="panel", pip="dome")
            assert await unit.hear() == {"type": "view", "peer": name, "camera": "panel", "pip": "dome"}
            await peer.say(type="text", t140="x" * 1001)  # more than a message may hold: not handed on
            await peer.say(type="text", t140="we see you", by="Ana")
            assert await unit.hear() == {"type": "text", "peer": name, "t140": "we see you", "by": "Ana"}
            assert room.relay.ignored == 1
            with pytest.raises(TimeoutError):
                await other.hear(0.1)

    asyncio.run(run())


def test_a_watch_is_told_from_a_call(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, _transport, pki, session):
            unit = await unit_talk(session, room, UNIT, pki.unit(UNIT))
            peer = await peer_talk(session, room, UNIT)
            await unit.say(**HELLO)
            assert "watch" not in await peer.hear()
            await unit.say(**HELLO, watch=True)
            assert (await peer.hear())["watch"] is True

    asyncio.run(run())


def test_both_sides_are_told_the_relays_ice_servers(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as (room, _transport, pki, session):
            room.relay.ice_servers = ({"urls": ["stun:127.0.0.1:3478"]},)
            told = {"type": "ice_servers", "servers": [{"urls": ["stun:127.0.0.1:3478"]}]}
            unit = await unit_talk(session, room, UNIT, pki.unit(UNIT))
            await unit.say(type="standby", unit=UNIT)  # a unit at rest does not listen: it is told at its hello
            await unit.say(type="hello", version=1, unit=UNIT, incident_id="i", kind="panic", cameras=[])
            assert await unit.hear() == told
            peer = await peer_talk(session, room, UNIT)
            assert await peer.hear() == told

    asyncio.run(run())


class StalledSocket:
    """A reader that takes nothing: every sending waits for ever."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.taking = asyncio.Event()
        self._req = self
        self.transport = self
        self.aborted = False

    async def send_str(self, text: str) -> None:
        await self.taking.wait()
        self.sent.append(json.loads(text))

    def abort(self) -> None:
        self.aborted = True


def test_a_reader_that_is_behind_gets_only_the_newest_still_and_link() -> None:
    async def run() -> None:
        socket = StalledSocket()
        outlet = Outlet(cast("Any", socket))
        outlet.put({"type": "offer"})
        await asyncio.sleep(0)  # the sender has it in hand
        for n in range(50):
            outlet.put({"type": "link", "n": n})
            outlet.put({"type": "still", "camera": "dome", "n": n})
            outlet.put({"type": "still", "camera": "panel", "n": n})
        outlet.put({"type": "text", "t140": "a"})
        outlet.put({"type": "text", "t140": "b"})
        socket.taking.set()
        async with asyncio.timeout(2):
            while len(socket.sent) < 6:  # noqa: ASYNC110 - the sender runs by itself
                await asyncio.sleep(0)
        assert [each["type"] for each in socket.sent] == ["offer", "link", "still", "still", "text", "text"]
        assert [each["n"] for each in socket.sent[1:4]] == [49, 49, 49]
        assert outlet.replaced == 3 * 49
        await outlet.close()

    asyncio.run(run())


def test_a_reader_that_takes_nothing_is_cut_off_and_holds_nothing() -> None:
    async def run() -> None:
        socket = StalledSocket()
        outlet = Outlet(cast("Any", socket))
        for n in range(MOST_WAITING):
            outlet.put({"type": "text", "t140": str(n)})
        assert not socket.aborted
        outlet.put({"type": "text", "t140": "one more"})
        assert socket.aborted
        await outlet.close()

    asyncio.run(run())


def test_a_relay_that_was_started_again_reuses_no_id(tmp_path: Path) -> None:
    async def first_id(where: Path) -> str:
        async with running(where) as (room, _transport, pki, session):
            console = await peer_talk(session, room, UNIT)
            unit = await unit_talk(session, room, UNIT, pki.unit(UNIT))
            await unit.say(**HELLO)
            heard = await unit.hear()
            await console.close()
            return str(heard["peer"])

    async def run() -> None:
        assert await first_id(tmp_path / "before") != await first_id(tmp_path / "after")

    asyncio.run(run())
