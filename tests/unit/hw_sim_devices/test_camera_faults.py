"""A camera that freezes, hangs or goes off, as its clients see it."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import av
import pytest

from tests.unit.hw_sim_devices.camera_clients import Talk, run, running_camera, until, watch


def test_fail__frozen_keeps_connections_and_sends_nothing() -> None:
    async def scene() -> None:
        async with running_camera() as camera:
            talk = await Talk.to(camera)
            session = await talk.play(camera.url("sub"))
            await talk.packet()
            await camera.set_fault("frozen")
            assert camera.fault == "frozen"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.6):
                    while True:
                        await talk.packet()
            assert not talk.reader.at_eof()
            frames = camera.status()["frames"]
            await asyncio.sleep(0.3)
            assert camera.status()["frames"] == frames, "the encoder ran on: the pictures after it would be torn"
            await camera.set_fault(None)
            async with asyncio.timeout(3):
                await talk.packet()
            assert (await talk.ask("TEARDOWN", camera.url("sub"), Session=session))[0] == 200

    run(scene())


def test_fail__frozen_stalls_a_client_that_plays() -> None:
    async def scene() -> None:
        async with running_camera() as camera:
            plays = threading.Event()
            watching = asyncio.create_task(asyncio.to_thread(watch_until_error, camera.url("sub"), plays))
            await until(plays.is_set, "a client plays")
            await camera.set_fault("frozen")
            assert isinstance(await watching, av.error.FFmpegError)

    run(scene())


def watch_until_error(url: str, plays: threading.Event) -> Exception | None:
    try:
        with av.open(url, options={"rtsp_transport": "tcp"}, timeout=(5, 1)) as stream:
            for _ in stream.decode(video=0):
                plays.set()
    except av.error.FFmpegError as error:
        return error
    return None


def test_fail__hung_accepts_and_answers_nothing() -> None:
    async def scene() -> None:
        async with running_camera() as camera:
            await camera.set_fault("hung")
            talk = await Talk.to(camera)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await talk.ask("OPTIONS", "*")
            await camera.set_fault(None)
            assert (await talk.ask("OPTIONS", "*"))[0] == 200

    run(scene())


def test_fail__off_cuts_and_refuses_and_comes_back_on_the_same_port() -> None:
    async def scene() -> None:
        async with running_camera() as camera:
            port, talk = camera.port, await Talk.to(camera)
            await talk.play(camera.url("sub"))
            await camera.set_fault("off")
            with contextlib.suppress(ConnectionError):
                await talk.reader.read()
            assert talk.reader.at_eof() or talk.reader.exception() is not None
            with pytest.raises(ConnectionRefusedError):
                await Talk.to(camera)
            assert camera.status()["clients"] == 0
            await camera.set_fault(None)
            assert camera.port == port
            assert len(await asyncio.to_thread(watch, camera.url("sub"), "tcp", 2)) == 2
            await camera.restart(0.01)
            assert camera.fault is None
            assert len(await asyncio.to_thread(watch, camera.url("sub"), "udp", 2)) == 2

    run(scene())
