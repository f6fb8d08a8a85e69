"""What a call must survive: set-ups again and again, lost links, a dead `record`, a fourth console."""

import asyncio
import time
from pathlib import Path

import pytest

from hw_sim.operator.peer import OperatorPeer
from hw_sim.world.network import Link
from tests.system.call_rig import Rig, rig, until
from tests.system.test_call_camera import camera

pytestmark = pytest.mark.system


def _steps(made: Rig) -> list[str]:
    return [str(line["step"]) for line in made.logged() if line.get("event") == "picture step"]


def test_a_relay_that_is_lost_and_dialled_again_costs_the_call_nothing(tmp_path: Path) -> None:
    async def play() -> None:
        async with rig(tmp_path) as made:
            peer = OperatorPeer(made.relay.peer_url)
            await peer.start()
            await made.start_call()
            made.core.want(made.call())
            await until(lambda: peer.frames > 5, 10, "picture")
            await made.relay.stop()
            await made.relay.start()
            await until(lambda: made.core.health.facts.get("endpoint") == "hub", 10, "dialled again")
            peer.forget()
            await until(lambda: peer.frames > 20, 10, "the picture goes on")
            assert peer.offers == 1
            await peer.hang_up()  # a console that has lost its session, and its own link to the relay
            await made.relay.stop()
            await made.relay.start()
            await until(lambda: peer.offers > 1, 15, "a session that is not heard on the new link is offered again")
            peer.forget()
            await until(lambda: peer.frames > 20, 10, "picture again")
            await peer.close()

    asyncio.run(play())


def test_a_cut_link_comes_back_with_picture_and_voice_and_at_full_size(tmp_path: Path) -> None:
    async def play() -> None:
        link = Link(1)
        async with rig(tmp_path, link=link) as made:
            peer = OperatorPeer(made.relay.peer_url)
            await peer.start()
            await made.start_call()
            made.core.want(made.call())
            await until(lambda: peer.frames > 20, 10, "picture")
            link.cut()
            dropped = link.up.dropped
            await until(lambda: link.up.dropped > dropped + 250, 10, "four seconds of packets are lost")
            link.restore()
            frames, heard = peer.frames, peer.ear.heard_samples
            await until(lambda: peer.frames > frames + 20, 6, "picture again")
            await until(lambda: peer.ear.heard_samples > heard + 48_000, 6, "voice again")
            await until(
                lambda: len(peer.latencies_ms) > 20 and max(list(peer.latencies_ms)[-10:]) < 300, 6, "live again"
            )
            assert peer.picture_size == (640, 360)
            assert made.core.names() == ["call_offered", "call_connected"]
            await peer.close()

    asyncio.run(play())


def test_a_link_too_slow_for_the_main_stream_gets_the_sub_stream(tmp_path: Path) -> None:
    async def play() -> None:
        link = Link(1)
        async with camera("--main", "640x360@20:1500000") as urls, rig(tmp_path, record=False, link=link) as made:
            made.camera_urls = urls
            peer = OperatorPeer(made.relay.peer_url)
            await peer.start()
            await made.start_call()
            made.core.want(made.call())
            await until(lambda: peer.frames > 40, 15, "picture")
            link.slow(kbit_s=500, delay_ms=60, jitter_ms=5, loss=0.0)
            slowed_s = time.monotonic()
            await until(lambda: _steps(made), 5, "the step is taken")
            took_s = time.monotonic() - slowed_s
            print("left main after", round(took_s, 2), "s")
            assert took_s < 3.0  # a far end that sends reports alone, once a second
            await until(lambda: peer.picture_size == (320, 180), 20, "the sub stream")
            heard, frames = peer.ear.heard_samples, peer.frames
            await until(lambda: peer.frames > frames + 30, 8, "it moves")
            assert peer.ear.heard_samples > heard + 48_000
            await peer.close()

    asyncio.run(play())


def test_a_link_that_carries_the_stream_shows_it_from_the_start(tmp_path: Path) -> None:
    """The group in hand is a second of picture: in one burst it overflows the link's queue, and a link that carries
    the stream well would be taken for one that does not."""

    async def play() -> None:
        link = Link(1)
        async with camera("--main", "640x360@20:1500000") as urls, rig(tmp_path, record=False, link=link) as made:
            made.camera_urls = urls
            link.slow(kbit_s=2400, delay_ms=60, jitter_ms=5, loss=0.0)
            await made.start_call()
            made.core.want(made.call())
            # Half a second of picture and more is in hand when the console comes.
            await until(lambda: made.core.health.facts.get("endpoint") == "hub", 10, "the unit is there")
            await until(
                lambda: any(line.get("event") == "picture" for line in made.logged()), 10, "the camera's picture"
            )
            began_s = time.monotonic()
            await until(lambda: time.monotonic() - began_s > 0.9, 2, "a group of pictures is in hand")
            peer = OperatorPeer(made.relay.peer_url)
            await peer.start()
            await until(lambda: peer.frames > 0, 10, "first picture")
            dropped = link.up.dropped
            await until(lambda: peer.frames > 120, 12, "six seconds of picture")
            assert link.up.dropped < 20, (dropped, link.up.dropped)  # in one burst: some 400
            assert _steps(made) == []
            assert peer.picture_size == (640, 360)
            await peer.close()

    asyncio.run(play())


def test_no_endpoint_is_a_fault_until_one_answers(tmp_path: Path) -> None:
    async def play() -> None:
        async with rig(tmp_path, relay=False) as made:
            await made.start_call()
            made.core.want(made.call())
            await until(lambda: ("call_failed", "") in made.core.faults(), 12, "the fault is reported")
            await made.relay.start()
            await until(lambda: made.core.health.facts.get("endpoint") == "hub", 12, "the endpoint is reached")
            await until(lambda: not made.core.faults(), 5, "the fault is gone")

    asyncio.run(play())


def test_three_consoles_watch_at_once_and_one_that_leaves_hurts_nobody(tmp_path: Path) -> None:
    async def play() -> None:
        async with rig(tmp_path) as made:
            peers = [OperatorPeer(made.relay.peer_url) for _ in range(3)]
            for peer in peers:
                await peer.start()
            await made.start_call()
            made.core.want(made.call())
            for peer in peers:
                await until(lambda peer=peer: peer.frames > 10, 15, "every console has the picture")  # type: ignore[misc]
            await peers[0].close()
            frames = [peer.frames for peer in peers]
            for index in (1, 2):
                await until(lambda index=index: peers[index].frames > frames[index] + 20, 5, "the others go on")  # type: ignore[misc]
            for peer in peers[1:]:
                await peer.close()
            assert made.rss_mb() <= 110

    asyncio.run(play())


def test_a_killed_operator_is_noticed_and_the_call_lost_is_told(tmp_path: Path) -> None:
    async def play() -> None:
        async with rig(tmp_path) as made:
            peer = OperatorPeer(made.relay.peer_url)
            await peer.start()
            await made.start_call()
            made.core.want(made.call())
            await until(lambda: peer.frames > 5, 10, "picture")
            await peer.close()
            await until(lambda: "call_lost" in made.core.names(), 20, "call_lost")
            again = OperatorPeer(made.relay.peer_url)
            await again.start()
            await until(lambda: again.frames > 5, 10, "the next console gets the picture")
            await again.close()

    asyncio.run(play())
