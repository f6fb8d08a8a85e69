"""An operator's media end without a browser: aiortc, an implementation independent of the daemon's GStreamer.

It speaks the console's side of a relay (docs/design/seams.md, "A duplex endpoint") and answers every offer by itself,
as the console does while it rings. Everything runs on the loop of the caller.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections import deque
from typing import Any

import av
import numpy as np
import websockets
from aioice import stun
from aiortc import MediaStreamTrack, RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from hw_sim.operator.hearing import Ear
from hw_sim.operator.jitter import hurry
from hw_sim.operator.voice import VoiceTrack
from hw_sim.world.timecode import age_ms, read_time_code
from unitd.call.picture.still_parts import StillReader

LATENCY_SAMPLES = 20_000
LETTER_PIECES = 10_000
HEARD_LEVEL = 200
"""Peak (of 32768) from which sound counts as the first audio: comfort noise of a codec stays below it."""


CHECK_AGAIN_S = 0.1
SET_UP_S = 3.0
AIOICE_CHECK_AGAIN_S = 0.5
BACKLOG_NS = 1_000_000_000
"""The first pictures are the group that the unit had in hand: old on purpose, and not counted as latency."""


class OperatorPeer:
    """One console. After `start()` it stays connected to `url` until `close()`, dialling again when the relay goes.

    Figures, all of CLOCK_MONOTONIC of this machine, since the start or the last `forget()`:
    - `first_frame_mono_ns`: the first decoded picture; `frames` decoded; `first_audio_mono_ns`: the first sound that is
      not silence; `latencies_ms`: glass to glass, of pictures that carry the simulated street's time code.
    - `corner_frames`: decoded pictures of the second track; `stills`: when each came, its camera and its bytes;
      `link`: what the unit said last of what it sends.
    - `letters`: all that the caller (and, by the signalling link, other operators) typed, as T.140 has it, each piece
      with its instant.
    `hello`: what the relay told of the unit.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.offers = 0
        self.connected = False
        self.ear = Ear()
        self.forget()
        self.link: dict[str, Any] = {}
        self.hello: dict[str, Any] = {}
        self._ice: list[RTCIceServer] = []
        self._text: Any = None
        self._socket: websockets.ClientConnection | None = None
        self._pictures = 0
        self._voice_hz: float | None = None
        self._pc: RTCPeerConnection | None = None
        self._track: VoiceTrack | None = None
        self._work: asyncio.Task[None] | None = None
        self._consumers: set[asyncio.Task[None]] = set()
        self._peer: str | None = None

    def forget(self) -> None:
        """Start the figures afresh."""
        self.first_frame_mono_ns: int | None = None
        self.first_audio_mono_ns: int | None = None
        self.frames = 0
        self.letters: deque[tuple[int, str]] = deque(maxlen=LETTER_PIECES)
        self.corner_frames = 0
        self.corner_size: tuple[int, int] = (0, 0)
        self.stills: deque[tuple[int, str, int]] = deque(maxlen=1000)
        self.picture_size: tuple[int, int] = (0, 0)
        self.brightness = 0.0
        self.latencies_ms: deque[int] = deque(maxlen=LATENCY_SAMPLES)

    async def start(self) -> None:
        self._work = asyncio.create_task(self._run(), name="operator peer")

    async def close(self) -> None:
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
        await self._drop_session()

    @property
    def session(self) -> RTCPeerConnection | None:
        """The session that the last answer made."""
        return self._pc

    async def look(self, camera: str, pip: str | None = None) -> None:
        """Ask to see another camera, and one in its corner."""
        if self._socket is not None:
            view = {"type": "view", "peer": self._peer, "camera": camera, "pip": pip}
            await self._socket.send(json.dumps(view))

    async def types(self, letters: str, by: str = "") -> bool:
        """Send letters to the caller: on the data channel, else by the signalling link; False when there is neither."""
        if self._text is not None and self._text.readyState == "open":
            self._text.send(letters)
            return True
        if self._socket is None or self._peer is None:
            return False
        await self._socket.send(json.dumps({"type": "text", "peer": self._peer, "t140": letters, "by": by}))
        return True

    @property
    def has_text_channel(self) -> bool:
        return self._text is not None and self._text.readyState == "open"

    def read(self) -> str:
        """All letters so far, in one."""
        return "".join(piece for _, piece in self.letters)

    async def hang_up(self) -> None:
        """End the session; the figures stay."""
        await self._drop_session()

    def speak(self, freq_hz: float | None) -> None:
        """Speak a tone to the unit, or (None) be silent. Holds over later sessions."""
        self._voice_hz = freq_hz
        if self._track is not None:
            self._track.speak(freq_hz)

    def hears_tone(self, freq_hz: float, seconds: float = 0.5) -> bool:
        """Whether the caller's side sends this tone now."""
        return self.ear.hears_tone(freq_hz, seconds)

    # --- signalling -------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException):
                mine = f"?peer={self._peer}" if self._pc is not None and self._peer else ""
                async with websockets.connect(self.url + mine, ping_interval=None, max_size=65_536) as socket:
                    await self._serve(socket)
            await asyncio.sleep(0.2)

    async def _serve(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        async for text in socket:
            message = json.loads(text)
            match message.get("type"):
                case "offer":
                    self._peer = message.get("peer")
                    answer = await self.answer(message["sdp"])
                    await socket.send(json.dumps({"type": "answer", "peer": self._peer, "sdp": answer}))
                case "ice" if self._pc is not None and message.get("candidate"):
                    candidate = candidate_from_sdp(message["candidate"].removeprefix("candidate:"))
                    candidate.sdpMLineIndex = message.get("sdp_mline_index", 0)
                    with contextlib.suppress(ValueError):
                        await self._pc.addIceCandidate(candidate)
                case "unit_here":
                    self.hello = message
                case "ice_servers":
                    self._ice = [_ice_server(each) for each in message["servers"]]
                case "text":
                    self._read_letters(message["t140"])
                case "link":
                    self.link = message
                case "still":
                    self._still(message["camera"], len(base64.b64decode(message["jpeg"])))
                case "ping":
                    await socket.send(json.dumps({"type": "pong", "n": message.get("n", 0)}))

    async def answer(self, sdp: str) -> str:
        """Take an offer in place of whatever was there; the answer has every candidate in it."""
        await self._drop_session()
        self.offers += 1
        _check_as_quickly_as_a_browser()
        pc = self._pc = RTCPeerConnection(RTCConfiguration(self._ice) if self._ice else None)
        pc.on("track", self._on_track)
        self._pictures = 0
        pc.on("datachannel", self._on_channel)
        pc.on("connectionstatechange", lambda: self._on_state(pc))
        await pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        track = self._track = VoiceTrack()
        track.speak(self._voice_hz)
        pc.addTrack(track)
        await pc.setLocalDescription(await pc.createAnswer())
        return str(pc.localDescription.sdp)

    def _on_state(self, pc: RTCPeerConnection) -> None:
        if pc is self._pc:
            self.connected = pc.connectionState == "connected"

    async def _drop_session(self) -> None:
        self.connected = False
        pc, self._pc, self._track = self._pc, None, None
        self._text = None
        for task in list(self._consumers):
            task.cancel()
        if pc is not None:
            await pc.close()

    # --- media ------------------------------------------------------------------------------------------------------

    def _on_track(self, track: MediaStreamTrack) -> None:
        consume = self._watch if track.kind == "video" else self._listen
        if track.kind == "video":
            self._pictures += 1
            consume = self._watch if self._pictures == 1 else self._watch_corner
        if track.kind == "video" and self._pc is not None:
            for transceiver in self._pc.getTransceivers():
                if transceiver.receiver.track is track:
                    hurry(transceiver.receiver)
        task = asyncio.create_task(_until_end(consume, track))
        self._consumers.add(task)
        task.add_done_callback(self._consumers.discard)

    async def _watch(self, track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            now_ns = time.monotonic_ns()
            if not isinstance(frame, av.VideoFrame):
                continue
            if self.first_frame_mono_ns is None:
                self.first_frame_mono_ns = now_ns
            self.frames += 1
            self.picture_size = (frame.width, frame.height)
            luma = _luma(frame)
            code_ms = read_time_code(luma)
            if code_ms is not None and now_ns - self.first_frame_mono_ns > BACKLOG_NS:
                self.latencies_ms.append(age_ms(code_ms, now_ns))
            if self.frames % 10 == 1:
                self.brightness = float(luma[::8, ::8].mean())

    async def _watch_corner(self, track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            if isinstance(frame, av.VideoFrame):
                self.corner_frames += 1
                self.corner_size = (frame.width, frame.height)

    def _read_letters(self, letters: str | bytes) -> None:
        text = letters if isinstance(letters, str) else letters.decode(errors="replace")
        self.letters.append((time.monotonic_ns(), text))

    def _on_channel(self, channel: Any) -> None:
        if channel.label == "t140":
            self._text = channel
            channel.on("message", self._read_letters)
            return
        if channel.label != "stills":
            return
        reader = StillReader()

        def take(message: bytes) -> None:
            still = reader.take(message)
            if still is not None:
                self._still(still.caption.camera, len(still.jpeg))

        channel.on("message", take)

    def _still(self, camera: str, size: int) -> None:
        self.stills.append((time.monotonic_ns(), camera, size))

    async def _listen(self, track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            if not isinstance(frame, av.AudioFrame):
                continue
            samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0].astype(np.int16)
            if self.first_audio_mono_ns is None and int(np.abs(samples.astype(np.int32)).max(initial=0)) > HEARD_LEVEL:
                self.first_audio_mono_ns = time.monotonic_ns()
            self.ear.hear(samples)


def _check_as_quickly_as_a_browser() -> None:
    """Repeat an unanswered connectivity check after 0.1 s, not 0.5 s, while a session is set up (browsers: 0.05 s).

    Only then: aioice judges its later consent checks by the same figure, which a slow link would not meet.
    """
    stun.RETRY_RTO = CHECK_AGAIN_S
    asyncio.get_running_loop().call_later(SET_UP_S, setattr, stun, "RETRY_RTO", AIOICE_CHECK_AGAIN_S)


async def _until_end(consume: Any, track: MediaStreamTrack) -> None:
    from aiortc.mediastreams import MediaStreamError

    with contextlib.suppress(MediaStreamError):
        await consume(track)


def _ice_server(told: dict[str, Any]) -> RTCIceServer:
    return RTCIceServer(told["urls"], told.get("username") or None, told.get("credential") or None)


def _luma(frame: av.VideoFrame) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The brightness plane without a copy (every planar YUV format has it first)."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]
