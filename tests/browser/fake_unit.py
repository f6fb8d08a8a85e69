"""A unit that is only its wire: enough of one to look at the pages with, when the daemon is not the subject.

Speaks the hub's messages through FakeTransport and the duplex line through aiortc, with the simulated street as its
picture and a 440 Hz tone as the caller. What it obeyed is in `obeyed`; the loudness it heard in `heard_rms`, the
letters that came in `letters`, the cameras that consoles asked for in `views`.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import time
import uuid
from typing import Any

import aiohttp
import cv2
import msgspec
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import candidate_from_sdp

from hw_sim.control_room.tls import client_context
from hw_sim.pki import Credentials
from hw_sim.world.pose import HOME, Pose
from hw_sim.world.street import Street
from tests.browser.fake_media import Nothing, Picture, Tone
from tests.unit.control_room.fake_transport import FakeTransport
from unitd.call.picture.still_parts import Caption, parts_of
from unitd.call.picture.still_parts import Still as LiveStill
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
    Watching,
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
        self.cameras: tuple[str, ...] = ("dome",)
        self.quick_answers: tuple[str, ...] = ()
        self.with_channels = True
        self.with_pictures = True
        self.letters = ""
        self.views: list[tuple[str, str | None]] = []
        self.sound = {"mute_microphone": False, "mute_horn": False, "quiet": False}
        self.watch: Watching | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._channels: dict[str, dict[str, Any]] = {}
        self._stills_sent = 0
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
                    **self.sound,
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
            watch=self.watch,
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

    def event(self, name: str, **data: Any) -> None:
        """Something that happened once."""
        self.transport.say(
            self.name, "event", Event(name=name, at=stamp(), session=7, incident_id=self.incident_id, data=data)
        )

    def _jpeg(self, width: int, height: int) -> Any:
        done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(self.view(width, height), cv2.COLOR_RGB2BGR), [1, 50])
        assert done
        return jpeg

    def still(self, camera: str = "dome") -> None:
        """What the real unit sends at a press: the picture as a small JPEG."""
        jpeg = self._jpeg(1280, 720)
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
        elif name == "set_sound":
            self.sound = {key: command[key] for key in self.sound}
        elif name in ("watch", "announce"):
            self.watch = Watching(
                watch_id=str(uuid.uuid4()),
                by=command["by"],
                reason=command["reason"],
                until_uptime_ms=int((time.monotonic() + command["for_s"]) * 1000),
                announce=name == "announce",
            )
        elif name == "end_watch":
            self.watch = None
        elif name == "snapshot":
            for camera in self.cameras:
                self.still(camera)
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
            hello = {"type": "hello", "version": 1, "unit": self.name, "kind": "panic", "cameras": self.cameras}
            if self.watch is not None:
                hello |= {"incident_id": self.watch.watch_id, "watch": True}
            else:
                hello |= {"incident_id": self.incident_id, "quick_answers": self.quick_answers}
            await socket.send_str(json.dumps(hello))
            self._socket = socket
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
                elif message["type"] == "view":
                    self.views.append((message["camera"], message["pip"]))
                elif message["type"] == "text":
                    self.letters += message["t140"]
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

        pc.addTrack(Picture(self.view) if self.with_pictures else Nothing())
        pc.addTrack(Tone())
        if len(self.cameras) > 1:
            pc.addTrack(Picture(self.view))
        if self.with_channels:
            channels = self._channels[peer] = {
                label: pc.createDataChannel(label, protocol=label) for label in ("t140", "stills")
            }
            channels["t140"].on("message", self._heard_letters)
        for transceiver in pc.getTransceivers():
            transceiver.direction = "sendonly" if transceiver.kind == "video" else "sendrecv"
        await pc.setLocalDescription(await pc.createOffer())
        await socket.send_str(json.dumps({"type": "offer", "peer": peer, "sdp": pc.localDescription.sdp}))

    def _heard_letters(self, text: str) -> None:
        self.letters += text

    def types(self, text: str) -> None:
        """The caller types, letters as T.140 has them, to every console that has the channel."""
        for channels in self._channels.values():
            if channels["t140"].readyState == "open":
                channels["t140"].send(text)

    def sends_still(self, camera: str = "dome") -> None:
        """A still in the stream's place, on the data channel."""
        self._stills_sent += 1
        caption = Caption(camera=camera, at_utc_us=time.time_ns() // 1000, width=320, height=180)
        for part in parts_of(self._stills_sent, LiveStill(caption, self._jpeg(320, 180).tobytes())):
            for channels in self._channels.values():
                channels["stills"].send(part)

    async def tell(self, **message: Any) -> None:
        """The same message to every console: `link`, `text`, `still`."""
        assert self._socket is not None
        for peer in self._peers:
            await self._socket.send_str(json.dumps({**message, "peer": peer}))

    async def tell_still(self, camera: str = "dome") -> None:
        """A still for consoles without the data channel."""
        jpeg = base64.b64encode(self._jpeg(320, 180).tobytes()).decode()
        await self.tell(type="still", camera=camera, at_utc_us=time.time_ns() // 1000, jpeg=jpeg)

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
