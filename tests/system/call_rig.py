"""What `unitd call` needs around it: core's end of the socket, record's stream, a relay."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import json
import os
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, ClassVar

import av
import msgspec
import numpy as np
import tomli_w
from aiohttp import web

from hw_sim.control_room.relay import Relay
from hw_sim.control_room.tls import server_context
from hw_sim.pki import Pki
from hw_sim.world.network import Link
from hw_sim.world.timecode import draw_time_code
from unitd.messages.workers import CallWanted, Desired, Event, FromWorker, Health, OpenIncident, SoundWanted

UNIT = "pole-0001"
INCIDENT = "11111111-2222-4333-8444-555555555555"
FPS = 20
HEADER = struct.Struct(">IB3xqq")


async def until(condition: Callable[[], Any], seconds: float, what: str) -> None:
    """Wait for a condition; a failure says `what` did not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)


def desired(number: int, **fields: Any) -> Desired:
    incident = OpenIncident(incident_id=INCIDENT, kind="panic", stage="raised", raised_mono_ns=0)
    return Desired(session=1, number=number, incident=incident, **fields)


class CoreEnd:
    """Core's end of `core.sock`: gives the desired state, keeps events and the last health."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "core.sock"
        self._number = 0
        self._state = desired(0)
        self._writers: list[asyncio.StreamWriter] = []
        self.events: list[Event] = []
        self.health = Health()
        self.connections = 0

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(self._path))

    async def stop(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()

    def want(self, call: CallWanted | None = None, sound: SoundWanted | None = None) -> None:
        self._number += 1
        self._state = desired(self._number, call=call, sound=sound or SoundWanted())
        for writer in self._writers:
            writer.write(msgspec.json.encode(self._state) + b"\n")

    def names(self) -> list[str]:
        return [event.name for event in self.events]

    def faults(self) -> set[tuple[str, str]]:
        return {(fault.code, fault.subject) for fault in self.health.faults}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        writer.write(msgspec.json.encode(self._state) + b"\n")
        while line := await reader.readline():
            match msgspec.json.decode(line, type=FromWorker):
                case Event() as event:
                    self.events.append(event)
                case Health() as health:
                    self.health = health
        self._writers.remove(writer)


class Encoder:
    """H.264 as a camera sends it: a moving picture with the time code, 1 s groups, one encoder for all who ask."""

    def __init__(self, width: int, height: int, fps: int = FPS) -> None:
        self._codec: Any = av.CodecContext.create("libx264", "w")
        self._codec.width, self._codec.height = width, height
        self._codec.pix_fmt = "yuv420p"
        self._codec.framerate = fps
        self._codec.time_base = fractions.Fraction(1, fps)
        self._codec.gop_size = fps
        self._codec.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "repeat-headers=1:annexb=1"}
        self._shape = (height, width)
        self._count = 0
        self._base = np.tile(np.linspace(60, 180, width).astype(np.uint8), (height, 1))

    def next(self) -> tuple[bytes, bool]:
        luma = np.roll(self._base, 4 * self._count, axis=1)
        draw_time_code(luma, time.monotonic_ns())
        frame = av.VideoFrame.from_ndarray(
            np.vstack([luma, np.full((self._shape[0] // 2, self._shape[1]), 128, np.uint8)]), "yuv420p"
        )
        frame.pts = self._count
        self._count += 1
        packet = self._codec.encode(frame)[0]
        return bytes(packet), packet.is_keyframe


class RecordEnd:
    """`record.sock` with two live streams of each camera; those of a further camera are a little smaller. A camera in
    `dead` gives nothing."""

    SIZES: ClassVar = {"main": (640, 360), "sub": (320, 180)}
    FURTHER_SIZES: ClassVar = {"main": (480, 272), "sub": (240, 136)}

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "record.sock"
        self.cameras: tuple[str, ...] = ("dome",)
        self.dead: set[str] = set()
        self._groups: dict[str, list[bytes]] = {}
        self._writers: dict[asyncio.StreamWriter, str] = {}
        self._work: list[asyncio.Task[None]] = []
        self.asked: list[dict[str, str]] = []

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(self._path))
        self._work = [
            asyncio.create_task(self._film(camera, profile)) for camera in self.cameras for profile in self.SIZES
        ]

    async def stop(self) -> None:
        self._server.close()
        self._path.unlink(missing_ok=True)
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        for writer in list(self._writers):
            writer.close()
        self._writers.clear()

    def size(self, camera: str, profile: str) -> tuple[int, int]:
        sizes = self.SIZES if camera == self.cameras[0] else self.FURTHER_SIZES
        size: tuple[int, int] = sizes[profile]
        return size

    def kill(self, camera: str) -> None:
        """The camera dies: its streams end, and are refused from now on."""
        self.dead.add(camera)
        for writer, stream in list(self._writers.items()):
            if stream.startswith(f"{camera} "):
                self._writers.pop(writer)
                writer.close()

    async def _film(self, camera: str, profile: str) -> None:
        encoder = Encoder(*self.size(camera, profile))
        stream = f"{camera} {profile}"
        self._groups[stream] = []
        start_s, count = time.monotonic(), 0
        while True:
            data, keyframe = encoder.next()
            message = HEADER.pack(len(data), int(keyframe), count * 90_000 // FPS, time.monotonic_ns()) + data
            self._groups[stream] = [message] if keyframe else [*self._groups[stream], message]
            for writer, wanted in list(self._writers.items()):
                if wanted == stream:
                    writer.write(message)
            count += 1
            await asyncio.sleep(max(0.0, start_s + count / FPS - time.monotonic()))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = json.loads(await reader.readline())
        self.asked.append(request)
        camera, stream = request["camera"], f"{request['camera']} {request['profile']}"
        if camera in self.dead or camera not in self.cameras:
            writer.write(json.dumps({"ok": False, "error": "no picture from the camera"}).encode() + b"\n")
            writer.close()
            return
        width, height = self.size(camera, request["profile"])
        answer = {"ok": True, "codec": "h264", "width": width, "height": height, "extradata_hex": ""}
        writer.write(json.dumps(answer).encode() + b"\n")
        for message in self._groups[stream]:
            writer.write(message)
        self._writers[writer] = stream
        with contextlib.suppress(OSError):
            await reader.read()
        self._writers.pop(writer, None)
        with contextlib.suppress(OSError):
            writer.close()


class RelayEnd:
    """The control room's relay on free loopback ports."""

    def __init__(self, pki: Pki) -> None:
        self.link: Link | None = None
        self.relay = Relay()
        self._pki = pki
        self._runners: list[web.AppRunner] = []
        self.unit_port = free_port()
        self.peer_port = free_port()

    async def start(self) -> None:
        self.relay = Relay(self.link)
        for handler, port, tls in (
            (self.relay.handle_unit, self.unit_port, server_context(self._pki.control_room)),
            (self.relay.handle_peer, self.peer_port, None),
        ):
            app = web.Application()
            app.router.add_get("/duplex/{unit}", handler)
            runner = web.AppRunner(app, shutdown_timeout=0.5)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
            self._runners.append(runner)

    async def stop(self) -> None:
        await self.relay.stop()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    @property
    def peer_url(self) -> str:
        return f"ws://127.0.0.1:{self.peer_port}/duplex/{UNIT}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Rig:
    """All of it, and the real process."""

    def __init__(self, directory: Path) -> None:
        self.run_dir = directory / "run"
        self.run_dir.mkdir(parents=True)
        self.pki = Pki(directory / "pki")
        self.core = CoreEnd(self.run_dir)
        self.record = RecordEnd(self.run_dir)
        self.relay = RelayEnd(self.pki)
        self.log = directory / "call.log"
        self.config_file = directory / "unit.toml"
        self.process: asyncio.subprocess.Process | None = None
        self.camera_urls: dict[str, str] = {"main_url": "rtsp://127.0.0.1:9/main", "sub_url": "rtsp://127.0.0.1:9/sub"}

    def write_config(self, sound: bool) -> None:
        files = self.pki.unit(UNIT)
        config: dict[str, Any] = {
            "schema": 1,
            "unit": {"id": UNIT},
            "paths": {
                "state_dir": str(self.run_dir.parent / "state"),
                "run_dir": str(self.run_dir),
                "evidence_dir": str(self.run_dir.parent / "evidence"),
            },
            "cameras": [{"name": name, **self.camera_urls} for name in self.record.cameras],
            "endpoints": [
                {
                    "name": "hub",
                    "url": f"wss://127.0.0.1:{self.relay.unit_port}/duplex/{UNIT}",
                    "ca_file": str(files.ca_file),
                    "cert_file": str(files.cert_file),
                    "key_file": str(files.key_file),
                }
            ],
        }
        if sound:
            config["sound"] = {"input": "mic", "output": "horn"}
        self.config_file.write_text(tomli_w.dumps(config))

    async def start_call(self, env: dict[str, str] | None = None) -> None:
        self.write_config(sound=env is not None)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "unitd", "call", "--config", str(self.config_file),
                env=os.environ | (env or {}), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        await until(lambda: self.core.connections > 0, 10, "the call process connects to core")

    async def stop_call(self) -> int | None:
        process, self.process = self.process, None
        if process is None:
            return None
        if process.returncode is None:
            process.terminate()
        try:
            return await asyncio.wait_for(process.wait(), 5.0)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise

    def call(self, microphone: bool = True, voices: bool = False) -> CallWanted:
        return CallWanted(incident_id=INCIDENT, microphone=microphone, voices=voices)

    def fds(self) -> int:
        assert self.process is not None
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def threads(self) -> int:
        assert self.process is not None
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def rss_mb(self) -> float:
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def cpu_s(self) -> float:
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def logged(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextlib.asynccontextmanager
async def rig(
    directory: Path,
    *,
    record: bool = True,
    relay: bool = True,
    link: Link | None = None,
    cameras: tuple[str, ...] = ("dome",),
) -> AsyncIterator[Rig]:
    """A rig with core, record and relay up; the process is started by the test and always stopped here."""
    made = Rig(directory)
    made.relay.link = link
    made.record.cameras = cameras
    await made.core.start()
    if record:
        await made.record.start()
    if relay:
        await made.relay.start()
    try:
        yield made
    except BaseException:
        if made.log.exists():
            print(made.log.read_text()[-6000:])
        raise
    finally:
        with contextlib.suppress(TimeoutError):
            await made.stop_call()
        if record:
            await made.record.stop()
        await made.relay.stop()
        await made.core.stop()
