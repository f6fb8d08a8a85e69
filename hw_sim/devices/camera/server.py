"""A simulated network camera: the dome's picture by RTSP, several clients, two profiles, faults."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import cv2

from hw_sim.devices.camera.auth import Gate
from hw_sim.devices.camera.client import LOG_UNITS, ClientStream
from hw_sim.devices.camera.connection import Connection
from hw_sim.devices.camera.encoder import Shutter
from hw_sim.devices.camera.faults import Fault
from hw_sim.devices.camera.h264 import AccessUnit
from hw_sim.devices.camera.profile import DEFAULT_PROFILES, VideoProfile
from hw_sim.devices.camera.quirks import Disturbance, Quirks
from hw_sim.devices.camera.sound import SoundCodec
from hw_sim.world.pose import Pose
from hw_sim.world.street import Street

log = logging.getLogger(__name__)

_IN_FLIGHT_UNITS = 8
_JPEG_QUALITY = 80


class _Channel:
    """One profile: its shutter and the clients that play it."""

    def __init__(self, profile: VideoProfile) -> None:
        self.profile = profile
        self.streams: set[ClientStream] = set()
        self.shutter: Shutter | None = None
        self.in_flight = 0
        self.dropped = 0
        self.lock = threading.Lock()
        self.log: deque[tuple[int, bool]] = deque(maxlen=LOG_UNITS)


class CameraServer:
    """The camera. All methods belong to the event loop that called `start`, but `dome_pose` is called on
    the encoder threads and must be thread-safe.

    Faults: `off` closes the listening port and every connection (connections are refused); `frozen` stops
    the pictures while RTSP still answers and connections stay open; `hung` also answers nothing any more.
    """

    def __init__(
        self,
        street: Street,
        dome_pose: Callable[[], Pose],
        profiles: Sequence[VideoProfile] = DEFAULT_PROFILES,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        user: str | None = None,
        password: str = "",
        sound: SoundCodec = "none",
    ) -> None:
        self.quirks = Quirks()
        self.sound: SoundCodec = sound
        self.gate = Gate(user, password)
        self.refused = 0
        """Connections dropped at once because of a fault."""
        self._street, self._pose, self._host = street, dome_pose, host
        self._asked_port, self._port = port, 0
        self._credentials = f"{user}:{password}@" if user is not None else ""
        self._channels = {profile.name: _Channel(profile) for profile in profiles}
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._ended_dropped = 0
        self._fault: Fault | None = None
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Make the encoders and listen; OSError when the port is taken."""
        self._loop = asyncio.get_running_loop()
        for channel in self._channels.values():
            channel.shutter = await asyncio.to_thread(self._make_shutter, channel)
        await self._listen()

    async def stop(self) -> None:
        """Close every connection and end the encoder threads."""
        await self._hang_up()
        shutters = [channel.shutter for channel in self._channels.values() if channel.shutter is not None]
        await asyncio.gather(*(asyncio.to_thread(shutter.stop) for shutter in shutters))

    @property
    def port(self) -> int:
        """The TCP port, the same across faults."""
        return self._port

    def url(self, profile: str) -> str:
        """Where a profile is played, credentials included. KeyError for a profile it does not have."""
        return f"rtsp://{self._credentials}{self._host}:{self._port}/{self._channels[profile].profile.name}"

    @property
    def fault(self) -> Fault | None:
        """The fault it suffers from."""
        return self._fault

    async def set_fault(self, fault: Fault | None) -> None:
        """Begin or end a fault. Coming back from `off` listens on the same port again."""
        previous, self._fault = self._fault, fault
        if fault == "off":
            await self._hang_up()
        elif previous == "off":
            await self._listen()
        for name in self._channels:
            self._set_running(name)

    def disturb(self, what: Disturbance) -> None:
        """Upset the streams of every profile as a real camera would; they go on, or not, as quirks.py says."""
        self.quirks.disturb(what)
        for channel in self._channels.values():
            if what == "parameters" and channel.shutter is not None:
                channel.shutter.change()

    def sent(self, name: str) -> list[tuple[int, bool]]:
        """Of each picture that a profile's clients were sent whole: when it was taken (90 kHz) and whether it was a
        keyframe; the newest thousands, of all sessions in turn."""
        return list(self._channels[name].log)

    async def restart(self, down_s: float = 1.0) -> None:
        """Off, and on again after `down_s`; ends any other fault."""
        await self.set_fault("off")
        await asyncio.sleep(down_s)
        await self.set_fault(None)

    async def snapshot_jpeg(self, width: int = 960, height: int = 540) -> bytes:
        """What the dome sees now, whatever the faults; drawn on a thread."""
        return await asyncio.to_thread(self._jpeg, width, height)

    def status(self) -> dict[str, object]:
        """Counts for the bench's display and tests."""
        profiles = {
            name: {
                "clients": len(channel.streams),
                "frames": channel.shutter.frames if channel.shutter else 0,
                "late_frames": channel.shutter.late_frames if channel.shutter else 0,
            }
            for name, channel in self._channels.items()
        }
        live = sum(connection.stream.dropped for connection in self._connections if connection.stream is not None)
        return {
            "fault": self._fault,
            "connections": len(self._connections),
            "clients": sum(len(channel.streams) for channel in self._channels.values()),
            "frames": sum(channel.shutter.frames for channel in self._channels.values() if channel.shutter),
            "dropped": live + self._ended_dropped + sum(channel.dropped for channel in self._channels.values()),
            "profiles": profiles,
        }

    # What connections ask of it (connection.Camera).

    @property
    def answers(self) -> bool:
        """Whether requests are answered."""
        return self._fault != "hung"

    def profile(self, path: str) -> tuple[VideoProfile, tuple[bytes, ...]] | None:
        """The profile served at a path, with its parameter sets."""
        channel = self._channels.get(path)
        if channel is None or channel.shutter is None:
            return None
        return channel.profile, channel.shutter.parameter_sets

    def subscribe(self, name: str, stream: ClientStream) -> None:
        """Begin to offer a profile's pictures to a stream, a fresh keyframe first."""
        channel = self._channels[name]
        channel.streams.add(stream)
        stream.log = channel.log
        self._set_running(name)
        if channel.shutter is not None and channel.profile.key_at_play:
            channel.shutter.ask_key()

    def unsubscribe(self, stream: ClientStream) -> None:
        """Offer it nothing more."""
        for name, channel in self._channels.items():
            if stream in channel.streams:
                channel.streams.discard(stream)
                self._ended_dropped += stream.dropped
                stream.dropped = 0
                self._set_running(name)

    # Inside.

    def _make_shutter(self, channel: _Channel) -> Shutter:
        return Shutter(channel.profile, self._street, self._pose, lambda unit: self._deliver(channel, unit))

    def _set_running(self, name: str) -> None:
        channel = self._channels[name]
        if channel.shutter is not None:
            channel.shutter.run(bool(channel.streams) and self._fault is None)

    def _deliver(self, channel: _Channel, unit: AccessUnit) -> None:
        """From the encoder's thread to the loop, a few at most under way."""
        loop = self._loop
        with channel.lock:
            if channel.in_flight >= _IN_FLIGHT_UNITS:
                channel.dropped += 1
                blocked = True
            else:
                channel.in_flight += 1
                blocked = False
        if blocked:
            # The stream has a hole now: begin anew with a keyframe.
            if channel.shutter is not None:
                channel.shutter.ask_key()
            return
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the end
                loop.call_soon_threadsafe(self._fan_out, channel, unit)

    def _fan_out(self, channel: _Channel, unit: AccessUnit) -> None:
        with channel.lock:
            channel.in_flight -= 1
        if self._fault is None:
            for stream in channel.streams:
                stream.offer(unit)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._connected, self._host, self._port or self._asked_port, limit=16_384, reuse_address=True
        )
        self._port = int(self._server.sockets[0].getsockname()[1])

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._connections.values())
        for connection in list(self._connections):
            connection.abort()
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault == "off":
            self.refused += 1
            writer.transport.abort()
            return
        connection = Connection(self, reader, writer)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as a task
        self._connections[connection] = task
        try:
            await connection.serve()
        finally:
            self._connections.pop(connection, None)

    def _jpeg(self, width: int, height: int) -> bytes:
        pose = self._pose()
        picture = self._street.view(pose.pan_deg, pose.tilt_deg, pose.zoom, width, height, time.monotonic_ns())
        done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        if not done:
            raise RuntimeError("cv2 could not encode a JPEG")
        return data.tobytes()
