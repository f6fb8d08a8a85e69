"""A unit that is only its wire: enough of one to look at the pages with, when the daemon is not the subject.

Speaks the hub's messages through FakeTransport and the duplex line through aiortc, with the simulated street as its
picture and a 440 Hz tone as the caller. What it obeyed is in `obeyed`; the loudness it heard in `heard_rms`.
"""

import asyncio
import contextlib
import fractions
import hashlib
import json
import time
import uuid
from typing import Any

import aiohttp
import av
import cv2
import msgspec
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import candidate_from_sdp

from hw_sim.control_room.tls import client_context
from hw_sim.pki import Credentials
from hw_sim.world.pose import HOME, Pose
from hw_sim.world.street import Street
from tests.unit.control_room.fake_transport import FakeTransport
from unitd.messages.control_room import (
    Alarm,
    Event,
    FaultReport,
    Isolation,
    OpenIncident,
    Reply,
    Site,
    Stamp,
    State,
    Still,
)

SITE = Site(
    name="Market Square",
    address="Outside 4 High Street, Exampleton EX1 2AB",
    latitude=52.76621,
    longitude=-0.88644,
    approach="Turn into Sherrard Street; the pole is by the bus shelter. Vehicles may drive onto the square.",
    revision=3,
)
PRESETS = {1: Pose(3.2, -19.4, 3.6), 2: Pose(-48.0, -9.0, 1.2), 3: Pose(50.0, -9.0, 1.2), 4: HOME}
RATE_HZ = 48000


class Picture(VideoStreamTrack):  # type: ignore[misc]
    def __init__(self, unit: "FakeUnit") -> None:
        super().__init__()
        self._unit = unit

    async def recv(self) -> av.VideoFrame:
        pts, base = await self.next_timestamp()
        view = await asyncio.to_thread(self._unit.view, 640, 360)
        frame = av.VideoFrame.from_ndarray(view, format="rgb24")
        frame.pts, frame.time_base = pts, base
        return frame


class Tone(MediaStreamTrack):  # type: ignore[misc]
    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._at = 0
        self._start_s = time.monotonic()

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(max(0.0, self._start_s + self._at / RATE_HZ - time.monotonic()))
        t = (np.arange(960) + self._at) / RATE_HZ
        samples = (8000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._at, fractions.Fraction(1, RATE_HZ)
        self._at += 960
        return frame


class FakeUnit:
    def __init__(self, transport: FakeTransport, name: str = "pole-0001", site: Site = SITE) -> None:
        self.transport, self.name, self.site = transport, name, site
        self.pose = HOME
        self.stage: Any = None
        self.incident_id = ""
        self.presses = 0
        self.faults: tuple[FaultReport, ...] = ()
        self.asked: tuple[str, ...] = ("council",)
        self.closes_in_s = 4 * 3600
        self.isolation: Isolation | None = None
        self.obeyed: list[dict[str, Any]] = []
        self.heard_rms = 0.0
        self.clip_orders: list[dict[str, Any]] = []
        self._street = Street()
        self._peers: dict[str, RTCPeerConnection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        transport.on_publish = self._down

    # --- what the hub hears ---

    def born(self) -> None:
        self.transport.say(self.name, "state", self.state())

    def state(self, online: bool = True) -> State:
        listed = ()
        if self.stage is not None:
            listed = (
                OpenIncident(
                    incident_id=self.incident_id,
                    kind="panic",
                    stage=self.stage,
                    raised=stamp(),
                    presses=self.presses,
                    asked=self.asked,
                    closes_uptime_ms=int((time.monotonic() + self.closes_in_s) * 1000),
                ),
            )
        return State(
            unit=self.name,
            online=online,
            session=7,
            armed=True,
            clock="synced",
            uptime_ms=int(time.monotonic() * 1000),
            site=self.site,
            open_incidents=listed,
            faults=self.faults,
            facts={"field": {"modem.signal_dbm": -81}},
            presets=tuple(PRESETS),
            warnings=("move_on", "you_are_recorded", "police_called"),
            isolation=self.isolation,
        )

    def press(self) -> None:
        if self.stage is None:
            self.incident_id, self.stage, self.presses = str(uuid.uuid4()), "raised", 0
        self.presses += 1
        self._street.set_caller(True)
        alarm = Alarm(
            press_id=str(uuid.uuid4()),
            incident_id=self.incident_id,
            kind="panic",
            unit=self.name,
            session=7,
            site=self.site,
            pressed=stamp(),
            sent=stamp(),
            presses=self.presses,
            attempt=1,
            code="K7M2QX",
            asked=self.asked,
            recent_incidents=3,
            recent_hoaxes=2,
            isolated=self.isolation is not None,
        )
        self.transport.say(self.name, "alarm", alarm)
        self.transport.say(self.name, "state", self.state())

    def still(self, camera: str = "dome") -> None:
        """What the real unit sends at a press: the picture as a small JPEG."""
        done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(self.view(1280, 720), cv2.COLOR_RGB2BGR), [1, 50])
        assert done
        still = Still(
            incident_id=self.incident_id,
            camera=camera,
            at=stamp(),
            width=1280,
            height=720,
            sha256=hashlib.sha256(jpeg.tobytes()).hexdigest(),
            jpeg=jpeg.tobytes(),
        )
        self.transport.say(self.name, "still", still)

    def _down(self, topic: str, payload: bytes) -> None:
        message = msgspec.json.decode(payload)
        if topic.endswith("/down/received") and message["press_ids"] and self.stage == "raised":
            self.stage = "received"
            self.born()
        if topic.endswith("/cmd"):
            self.obeyed.append(message)
            self._obey(message)
            self.transport.say(self.name, "reply", Reply(session=7, seq=message["seq"], result="done"))

    def _obey(self, command: dict[str, Any]) -> None:
        name = command["cmd"]
        if name in ("accept", "answer"):
            self.stage = {"accept": "accepted", "answer": "answered"}[name]
        elif name == "close":
            self.stage = None
            self._street.set_caller(False)
            closed = Event(name="incident_closed", at=stamp(), session=7, incident_id=self.incident_id)
            self.transport.say(self.name, "event", closed)
        elif name == "dome_preset":
            self.pose = PRESETS[command["preset"]]
        elif name == "dome_move":
            step = Pose(
                self.pose.pan_deg + 8 * command["pan"],
                self.pose.tilt_deg + 5 * command["tilt"],
                max(1.0, self.pose.zoom * (1 + 0.2 * command["zoom"])),
            )
            self.pose = step
        elif name == "extend":
            self.closes_in_s += command["for_s"]
        elif name == "isolate":
            until_ms = int((time.monotonic() + command["for_s"]) * 1000)
            self.isolation = Isolation(by=command["by"], reason=command["reason"], until_uptime_ms=until_ms)
        elif name == "end_isolation":
            self.isolation = None
        elif name == "upload":
            self.clip_orders.append(command)
        self.born()

    def view(self, width: int, height: int) -> Any:
        return self._street.view(
            self.pose.pan_deg, self.pose.tilt_deg, self.pose.zoom, width, height, time.monotonic_ns()
        )

    # --- the duplex line ---

    async def call(self, tls_port: int, credentials: Credentials) -> None:
        """Keep a duplex line open until cancelled."""
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                f"wss://127.0.0.1:{tls_port}/duplex/{self.name}", ssl=client_context(credentials)
            ) as socket,
        ):
            hello = {"type": "hello", "version": 1, "unit": self.name, "incident_id": self.incident_id}
            await socket.send_str(json.dumps({**hello, "kind": "panic", "cameras": ["dome"]}))
            async for got in socket:
                message = json.loads(got.data)
                if message["type"] == "ping":
                    await socket.send_str(json.dumps({"type": "pong", "n": message["n"]}))
                elif message["type"] in ("peer_joined", "restart"):
                    await self._offer(socket, message["peer"])
                elif message["type"] == "answer":
                    answer = RTCSessionDescription(message["sdp"], "answer")
                    await self._peers[message["peer"]].setRemoteDescription(answer)
                elif message["type"] == "ice" and message["candidate"]:
                    with contextlib.suppress(ValueError, OSError):  # mDNS names do not resolve here
                        candidate = candidate_from_sdp(message["candidate"].removeprefix("candidate:"))
                        candidate.sdpMLineIndex = message["sdp_mline_index"]
                        await self._peers[message["peer"]].addIceCandidate(candidate)
                elif message["type"] == "peer_left" and message["peer"] in self._peers:
                    await self._peers.pop(message["peer"]).close()

    async def _offer(self, socket: aiohttp.ClientWebSocketResponse, peer: str) -> None:
        if peer in self._peers:
            await self._peers.pop(peer).close()
        pc = self._peers[peer] = RTCPeerConnection()

        @pc.on("track")  # type: ignore[untyped-decorator]
        def _(track: MediaStreamTrack) -> None:
            if track.kind == "audio":
                self._spawn(self._listen(track))

        pc.addTrack(Picture(self))
        pc.addTrack(Tone())
        for transceiver in pc.getTransceivers():
            transceiver.direction = "sendonly" if transceiver.kind == "video" else "sendrecv"
        await pc.setLocalDescription(await pc.createOffer())
        await socket.send_str(json.dumps({"type": "offer", "peer": peer, "sdp": pc.localDescription.sdp}))

    async def _listen(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                samples = (await track.recv()).to_ndarray().astype(np.float64)
                self.heard_rms = float(np.sqrt(np.mean(samples**2)))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for pc in self._peers.values():
            await pc.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def stamp() -> Stamp:
    return Stamp(utc_us=time.time_ns() // 1000, clock="synced", mono_ns=time.monotonic_ns())
