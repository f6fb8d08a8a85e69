"""A far end that lies, floods or never answers: the process stays, bounded, and the next good console has its call."""

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import websockets

from hw_sim.control_room.tls import server_context
from hw_sim.operator.peer import OperatorPeer
from tests.system.call_rig import Rig, rig, until

pytestmark = pytest.mark.system

FLOOD = 500


class HostileRelay:
    """Takes the unit's connection and says whatever it likes."""

    def __init__(self, made: Rig) -> None:
        self._port = made.relay.unit_port
        self._tls: ssl.SSLContext = server_context(made.pki.control_room)
        self.sockets: list[Any] = []
        self.heard: list[dict[str, Any]] = []

    async def __aenter__(self) -> "HostileRelay":
        self._server = await websockets.serve(self._serve, "127.0.0.1", self._port, ssl=self._tls, ping_interval=None)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, socket: Any) -> None:
        self.sockets.append(socket)
        try:
            async for text in socket:
                message = json.loads(text)
                self.heard.append(message)
                if message["type"] == "ping":
                    await socket.send(json.dumps({"type": "pong", "n": message["n"]}))
        except websockets.ConnectionClosed:
            return

    async def say(self, *messages: dict[str, Any] | str | bytes) -> None:
        for message in messages:
            try:
                await self.sockets[-1].send(message if isinstance(message, str | bytes) else json.dumps(message))
            except websockets.ConnectionClosed:
                return

    def greeted(self) -> bool:
        """Whether the unit is here for a call; its standing link says nothing of one."""
        return any(entry["type"] == "hello" for entry in self.heard)

    def offers(self, peer: str) -> list[str]:
        return [entry["sdp"] for entry in self.heard if entry["type"] == "offer" and entry["peer"] == peer]


async def _offer(relay: HostileRelay, peer: str) -> str:
    await relay.say({"type": "peer_joined", "peer": peer})
    await until(lambda: relay.offers(peer), 10, f"an offer to {peer}")
    return relay.offers(peer)[-1]


def _bad_answers(offer: str) -> list[str]:
    """The offer itself turned into answers that are none, and plain rubbish."""
    answer = offer.replace("a=setup:actpass", "a=setup:active").replace("a=sendonly", "a=recvonly")
    video, audio = answer.index("m=video"), answer.index("m=audio")
    return [
        "v=0", "x", "v=0\r\n" * 5000, answer[:video], answer[:audio], answer[:video] + answer[audio:],
        answer.replace("H264", "VP8"), answer.replace("OPUS", "PCMU"), answer.replace("m=video 9", "m=video 0"),
        answer.replace("a=fingerprint", "a=finger"), answer.replace("a=ice-pwd", "a=ice-pw"),
        answer + answer[audio:], answer[: len(answer) // 2], offer, answer.replace("SAVPF 96", "SAVPF 96 96 96 300"),
        answer.replace("a=mid:", "a=mid:%n%s"),
    ]  # fmt: skip


def test_lies_floods_and_silence_neither_kill_nor_fill_the_process(tmp_path: Path) -> None:
    async def play() -> None:
        async with rig(tmp_path, relay=False) as made:
            await made.start_call()
            async with HostileRelay(made) as relay:
                made.core.want(made.call())
                await until(lambda: relay.greeted(), 10, "the unit dials")
                offer = await _offer(relay, "liar")
                for sdp in _bad_answers(offer):
                    await relay.say({"type": "answer", "peer": "liar", "sdp": sdp})
                for text in ("candidate:x", "candidate:1 1 udp 1 example.org 5 typ host", "%s%n", "a" * 900, "\x00"):
                    for line in (0, 1, 7, 15, -1, 99):
                        await relay.say({"type": "ice", "peer": "liar", "candidate": text, "sdp_mline_index": line})
                await relay.say("{", "[]", "null", b"\xff\x00", '{"type":"offer","peer":"nobody","sdp":"v=0"}', "1e999")
                await relay.say({"type": "answer", "peer": "nobody", "sdp": "v=0"}, {"type": "restart", "peer": "x"})
                before = (made.fds(), made.threads())
                # A hundred consoles a second, come and gone, and one that is named again and again.
                for number in range(FLOOD):
                    await relay.say({"type": "peer_joined", "peer": f"ghost-{number}"})
                    await relay.say({"type": "peer_joined", "peer": "liar"})
                    if number % 2:
                        await relay.say({"type": "peer_left", "peer": f"ghost-{number}"})
                        await relay.say({"type": "peer_left", "peer": f"ghost-{number - 1}"})
                await relay.say({"type": "peer_left", "peer": "liar"}, *['{"type":"pong","n":1}'] * FLOOD)
                await until(
                    lambda: made.fds() <= before[0] and made.threads() <= before[1], 20, "nothing is left of it"
                )
                # More than a message may have: the link is dropped, and dialled again.
                await relay.say('{"type":"pong","x":"' + "x" * 70_000 + '"}')
                await until(lambda: len(relay.sockets) > 1, 30, "dialled again")
                assert made.process is not None
                assert made.process.returncode is None
                assert made.rss_mb() <= 110
                assert len(made.log.read_text()) < 400_000
            await made.relay.start()
            peer = OperatorPeer(made.relay.peer_url)
            await peer.start()
            await until(lambda: peer.frames > 10, 20, "a good console has the picture afterwards")
            await peer.close()
            made.core.want(None)
            assert await made.stop_call() == 0

    asyncio.run(play())


def test_an_answer_taken_twice_or_late_does_not_disturb_the_session(tmp_path: Path) -> None:
    """A console that answers the same offer again and again, in good form."""

    async def play() -> None:
        async with rig(tmp_path) as made:
            peer = OperatorPeer(made.relay.peer_url)
            answer_once = peer.answer
            sent: list[str] = []

            async def keep(sdp: str) -> str:
                sent.append(await answer_once(sdp))
                return sent[-1]

            peer.answer = keep  # type: ignore[method-assign]
            await peer.start()
            await made.start_call()
            made.core.want(made.call())
            await until(lambda: peer.frames > 5, 15, "picture")
            async with websockets.connect(made.relay.peer_url) as other:
                offer = json.loads(await other.recv())
                while offer["type"] != "offer":
                    offer = json.loads(await other.recv())
                for _ in range(20):
                    await other.send(json.dumps({"type": "answer", "peer": offer["peer"], "sdp": sent[0]}))
                frames = peer.frames
                await until(lambda: peer.frames > frames + 40, 10, "the good console's picture goes on")
            assert made.process is not None
            assert made.process.returncode is None
            await peer.close()

    asyncio.run(play())
