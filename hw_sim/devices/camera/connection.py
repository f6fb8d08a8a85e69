"""One RTSP connection: its requests, its session, its stream."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import time
from typing import Protocol

from hw_sim.devices.camera import h265
from hw_sim.devices.camera.auth import Gate
from hw_sim.devices.camera.client import ClientStream, InterleavedSink, Sink, UdpSink, open_udp
from hw_sim.devices.camera.h264 import PAYLOAD_TYPE, fmtp
from hw_sim.devices.camera.profile import VideoProfile
from hw_sim.devices.camera.quirks import Quirks
from hw_sim.devices.camera.rtsp import (
    MAX_HEAD_BYTES,
    METHODS,
    Answer,
    BadRequestError,
    Request,
    body_bytes,
    choose_transport,
    parse_request,
)
from hw_sim.devices.camera.sound import SoundCodec, SoundStream, describe

log = logging.getLogger(__name__)

SESSION_TIMEOUT_S = 60
_SEND_BUFFER_BYTES = 256 * 1024
"""About a second of the main stream, as small cameras have; left alone, the kernel's grows to many seconds."""
_TRACK, _SOUND_TRACK = "trackID=0", "trackID=1"


class Camera(Protocol):
    """What a connection needs of its server."""

    gate: Gate

    @property
    def answers(self) -> bool:
        """Whether requests are answered."""

    quirks: Quirks
    sound: SoundCodec

    def profile(self, path: str) -> tuple[VideoProfile, tuple[bytes, ...]] | None:
        """The profile served at a path, with its parameter sets."""

    def subscribe(self, name: str, stream: ClientStream) -> None:
        """Begin to offer a profile's pictures to a stream, a fresh keyframe first."""

    def unsubscribe(self, stream: ClientStream) -> None:
        """Offer it nothing more; no effect on a stream that is not subscribed."""


class Connection:
    """Serves one TCP connection until the client leaves, the server closes it or its UDP session times out."""

    def __init__(self, camera: Camera, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.stream: ClientStream | None = None
        self._camera, self._reader, self._writer = camera, reader, writer
        self._session = secrets.token_hex(8)
        self._profile_name = ""
        self._heard_mono_s = time.monotonic()
        self._sending: list[asyncio.Task[None]] = []
        self._sound: SoundStream | None = None

    def abort(self) -> None:
        """Cut the connection without a word, as a power cut does."""
        self._writer.transport.abort()

    async def serve(self) -> None:
        """Answer requests until the connection ends; never raises on what a client does."""
        # A slow client shall fill its own bounded queue, not an unbounded buffer of asyncio's.
        self._writer.transport.set_write_buffer_limits(high=_SEND_BUFFER_BYTES // 2)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        watch = asyncio.create_task(self._watch_udp())
        try:
            while await self._one_message():
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass
        except BadRequestError as error:
            log.info("not RTSP: %s", error)
            self._writer.write(Answer(400).pack("0"))
        finally:
            watch.cancel()
            await self._teardown()
            self._writer.close()

    async def _one_message(self) -> bool:
        first = await self._reader.readexactly(1)
        self._heard_mono_s = time.monotonic()
        if first == b"$":  # RTCP from the client, inside the connection
            header = await self._reader.readexactly(3)
            await self._reader.readexactly(int.from_bytes(header[1:], "big"))
            return True
        if first in b"\r\n":
            return True
        head = first + await self._reader.readuntil(b"\r\n\r\n")
        if len(head) > MAX_HEAD_BYTES:
            raise BadRequestError("too long")
        request = parse_request(head)
        await self._reader.readexactly(body_bytes(request))
        if not self._camera.answers:
            return True
        cseq = request.headers.get("cseq", "0")
        answer = await self._answer(request)
        self._writer.write(answer.pack(cseq))
        if request.method == "PLAY" and answer.status == 200 and self.stream is not None:
            self._start_sending(self.stream)
        await self._writer.drain()
        return request.method != "TEARDOWN" or answer.status != 200

    async def _answer(self, request: Request) -> Answer:
        if request.method == "OPTIONS":
            return Answer(200, {"Public": METHODS})
        if not self._camera.gate.admits(request.method, request.headers.get("authorization")):
            return Answer(401, {"WWW-Authenticate": self._camera.gate.challenges()})
        given = request.headers.get("session", "").partition(";")[0].strip()
        if given and given != self._session:
            return Answer(454)
        match request.method:
            case "DESCRIBE":
                return self._describe(request)
            case "SETUP":
                return await self._setup(request)
            case "PLAY":
                return self._play(request)
            case "PAUSE" if self.stream is not None:
                self._camera.unsubscribe(self.stream)
                self.stream.pause()
                return self._fine()
            case "TEARDOWN":
                await self._teardown()
                return self._fine()
            case "GET_PARAMETER" | "SET_PARAMETER":
                return self._fine()
            case "PAUSE":
                return Answer(455)
        return Answer(405, {"Allow": METHODS})

    def _fine(self, **headers: str) -> Answer:
        return Answer(200, {"Session": f"{self._session};timeout={SESSION_TIMEOUT_S}", **headers})

    def _describe(self, request: Request) -> Answer:
        found = self._camera.profile(request.path)
        if found is None:
            return Answer(404)
        profile, sets = found
        formats = h265.fmtp(sets) if profile.codec == "h265" else fmtp(*sets)
        sound = describe(self._camera.sound, _SOUND_TRACK) if self._camera.sound != "none" else []
        host = self._writer.get_extra_info("sockname")[0]
        sdp = "\r\n".join(
            (
                "v=0",
                f"o=- {secrets.randbits(31)} 1 IN IP4 {host}",
                f"s=hw_sim {profile.name}",
                "c=IN IP4 0.0.0.0",
                "t=0 0",
                "a=control:*",
                "a=range:npt=now-",
                f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
                f"b=AS:{profile.bit_rate // 1000}",
                f"a=rtpmap:{PAYLOAD_TYPE} {profile.codec.upper()}/90000",
                f"a=fmtp:{PAYLOAD_TYPE} {formats}",
                f"a=framerate:{profile.frame_rate}",
                f"a=framesize:{PAYLOAD_TYPE} {profile.width}-{profile.height}",
                f"a=control:{_TRACK}",
                *sound,
                "",
            )
        )
        base = request.uri.rstrip("/") + "/"
        return Answer(200, {"Content-Base": base, "Content-Type": "application/sdp"}, sdp.encode())

    async def _setup(self, request: Request) -> Answer:
        of_sound = request.path.endswith(_SOUND_TRACK) and self._camera.sound != "none"
        path = request.path.removesuffix(_TRACK).removesuffix(_SOUND_TRACK).rstrip("/")
        found = self._camera.profile(path)
        if found is None:
            return Answer(404)
        if (self._sound if of_sound else self.stream) is not None:
            return Answer(455)
        transport = choose_transport(request.headers.get("transport", ""))
        if transport is None:
            return Answer(461)
        if transport.interleaved:
            ssrc = self._begin(found[0], path, InterleavedSink(self._writer, transport), of_sound=of_sound)
            agreed = f"RTP/AVP/TCP;unicast;interleaved={transport.rtp}-{transport.rtcp}"
        else:
            local, peer = (self._writer.get_extra_info(name)[0] for name in ("sockname", "peername"))
            try:
                sink = await open_udp(local, peer, transport)
            except OSError as error:
                log.warning("no UDP ports for a client: %s", error)
                return Answer(500)
            ssrc = self._begin(found[0], path, sink, of_sound=of_sound)
            ours = f"{sink.server_ports[0]}-{sink.server_ports[1]}"
            agreed = f"RTP/AVP;unicast;client_port={transport.rtp}-{transport.rtcp};server_port={ours}"
        return self._fine(Transport=f"{agreed};ssrc={ssrc:08X}")

    def _begin(self, profile: VideoProfile, path: str, sink: Sink, *, of_sound: bool) -> int:
        """Make the stream; returns its SSRC."""
        if of_sound:
            self._sound = SoundStream(self._camera.sound, sink)
            return self._sound.ssrc
        self._profile_name = path
        self.stream = ClientStream(sink, self._camera.quirks, profile.codec, key_at_play=profile.key_at_play)
        return self.stream.sender.ssrc

    def _play(self, request: Request) -> Answer:
        if self.stream is None:
            return Answer(455)
        now_ns = time.monotonic_ns()
        uri = request.uri.rstrip("/")
        url = uri if uri.endswith(_TRACK) else f"{uri}/{_TRACK}"
        info = f"url={url};seq={self.stream.sender.sequence};rtptime={self.stream.sender.timestamp(now_ns)}"
        self.stream.play(now_ns)
        return self._fine(**{"RTP-Info": info, "Range": "npt=now-"})

    def _start_sending(self, stream: ClientStream) -> None:
        if not self._sending:
            self._sending.append(asyncio.create_task(self._send(stream)))
            if self._sound is not None:
                self._sending.append(asyncio.create_task(self._send(self._sound)))
        self._camera.subscribe(self._profile_name, stream)

    async def _send(self, stream: ClientStream | SoundStream) -> None:
        with contextlib.suppress(ConnectionError):
            await stream.run()
        self.abort()

    async def _teardown(self) -> None:
        stream, sending, sound = self.stream, self._sending, self._sound
        self.stream, self._sending, self._sound = None, [], None
        if stream is not None:
            self._camera.unsubscribe(stream)
            stream.pause()
        for task in sending:
            task.cancel()
        if sending:
            await asyncio.wait(sending)
        if sound is not None:
            sound.sink.close()
        if stream is not None:
            if not self._writer.is_closing():
                stream.sink.control(stream.sender.bye())
            stream.sink.close()

    async def _watch_udp(self) -> None:
        """End a UDP session of which neither RTSP nor RTCP was heard for its timeout and a half."""
        while True:
            await asyncio.sleep(SESSION_TIMEOUT_S / 4)
            sink = self.stream.sink if self.stream is not None else None
            if isinstance(sink, UdpSink):
                heard_s = max(self._heard_mono_s, sink.heard_mono_s)
                if time.monotonic() - heard_s > 1.5 * SESSION_TIMEOUT_S:
                    log.info("a UDP client is silent: session ended")
                    self.abort()
                    return
