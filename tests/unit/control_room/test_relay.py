"""The duplex relay on real sockets: certificates, introductions, messages handed on, candidates replaced."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

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
