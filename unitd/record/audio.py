"""The stream `audio`: the incident's two voices, which `call` sends over audio.sock, coded and written like a camera.

Only inside an incident: what comes at any other time, or for another incident, is refused. AAC-LC, stereo (left the
street's microphone, right the horn), 48 kHz, 64 kbit/s, coded on the loop in pieces of 21 ms (0.2 ms of CPU each on
x86_64, 1 % of a core). Files: `<evidence_dir>/audio/<boot>-<seq>.mp4`.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av

from unitd.errors import WireError
from unitd.messages.media import AccessUnit, AudioInfo, StreamInfo
from unitd.messages.voices import (
    FRAME_BYTES,
    FRAME_NS,
    MAX_HELLO_BYTES,
    RATE_HZ,
    VoiceFrame,
    VoicesHello,
    decode_hello,
    unpack_frame,
)
from unitd.record.backlog import SessionUnit
from unitd.runtime.logs import Logger

STREAM = "audio"
BIT_RATE = 64_000
CODER_OPTIONS = {"aac_coder": "fast", "aac_is": "0", "aac_pns": "0"}
"""The fast search takes a third of the default's CPU and keeps a tone on each side 75 dB above what is coded beside it
(10 dB by default, measured with FFmpeg 8.1). No intensity stereo: each voice stays on its side. No invented noise."""
PIECE_SAMPLES = 1024
"""AAC-LC's frame; the coder's first one is silence from before the sound began."""
PIECE_90KHZ = PIECE_SAMPLES * 90_000 // RATE_HZ
HELLO_S = 5.0
SILENT_S = 10.0
"""`call` sends every 100 ms; a client that is silent for longer has gone without a word."""
OLDEST_NS, NEWEST_NS = 60_000_000_000, 1_000_000_000
"""`call` keeps 5 s while we are away; what claims to be much older, or still to come, is damage."""
BRIDGED_NS = 1_000_000_000
"""A hole up to this is filled with silence; after a longer one, or a step back, a new session begins."""

Sink = Callable[[SessionUnit], None]


class VoiceCoder:
    """One session: frames in, coded pieces out. Pure but for FFmpeg; does not block. Raises FFmpegError for no AAC."""

    def __init__(self, origin_ns: int) -> None:
        coder = av.CodecContext.create("aac", "w")
        assert isinstance(coder, av.AudioCodecContext)  # noqa: S101 - it is what "aac" is
        coder.sample_rate, coder.layout, coder.format = RATE_HZ, "stereo", "fltp"
        coder.bit_rate = BIT_RATE
        coder.time_base = Fraction(1, RATE_HZ)
        coder.options = CODER_OPTIONS
        coder.open()
        self._coder = coder
        self._pieces = av.AudioResampler(format="fltp", layout="stereo", rate=RATE_HZ, frame_size=PIECE_SAMPLES)
        self._samples = 0
        self._count = 0
        self.session = self.origin_ns = origin_ns
        self.info = StreamInfo("aac", 0, 0, b"", AudioInfo("aac", RATE_HZ, 2, bytes(coder.extradata or b"")))

    @property
    def next_ns(self) -> int:
        """Where the sound taken so far ends."""
        return self.origin_ns + self._samples * 1_000_000_000 // RATE_HZ

    def add(self, pcm: bytes) -> list[SessionUnit]:
        """Take interleaved 16-bit stereo of any length; return the pieces that are whole."""
        count = len(pcm) // 4
        frame = av.AudioFrame(format="s16", layout="stereo", samples=count)
        frame.planes[0].update(pcm)
        frame.sample_rate = RATE_HZ
        frame.time_base = Fraction(1, RATE_HZ)
        frame.pts = self._samples
        self._samples += count
        return self._coded([piece for piece in self._pieces.resample(frame)])

    def silence(self, samples: int) -> list[SessionUnit]:
        return self.add(bytes(4 * samples)) if samples else []

    def end(self) -> list[SessionUnit]:
        """What is left; nothing may be added any more."""
        return self._coded([*self._pieces.resample(None), None])

    def _coded(self, pieces: list[av.AudioFrame | None]) -> list[SessionUnit]:
        units = []
        for piece in pieces:
            for packet in self._coder.encode(piece):
                units.append(SessionUnit(self.session, self.info, self._unit(bytes(packet))))
        return units

    def _unit(self, data: bytes) -> AccessUnit:
        """The pieces follow each other; the first begins PIECE_SAMPLES before the sound."""
        at_samples = (self._count - 1) * PIECE_SAMPLES
        at_ns = self.origin_ns + at_samples * 1_000_000_000 // RATE_HZ
        pts = self._count * PIECE_90KHZ
        self._count += 1
        return AccessUnit(data, True, pts, pts, at_ns)


class VoiceTrack:
    """Frames with their times in, one true time line out to `sink`. Holes are silence; not thread-safe."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._coder: VoiceCoder | None = None
        self.dropped_frames = 0
        self.sessions = 0

    def add(self, frame: VoiceFrame) -> None:
        coder = self._coder
        if coder is not None and not -BRIDGED_NS < frame.mono_ns - coder.next_ns <= BRIDGED_NS:
            self.end()
            coder = None
        if coder is None:
            coder = self._coder = VoiceCoder(frame.mono_ns)
            self.sessions += 1
        ahead_ns = frame.mono_ns - coder.next_ns
        if ahead_ns < -FRAME_NS // 4:  # what we have already: a second client repeats it
            self.dropped_frames += 1
            return
        hole = coder.silence(max(0, round(ahead_ns * RATE_HZ / 1_000_000_000)))
        for unit in [*hole, *coder.add(frame.pcm)]:
            self._sink(unit)

    def end(self) -> None:
        """The sound is over: give out what is left of it."""
        coder, self._coder = self._coder, None
        if coder is not None:
            for unit in coder.end():
                self._sink(unit)


class VoiceServer:
    """audio.sock: one client, a second one replaces it. `wanted()` names the incident whose voices are to be kept."""

    def __init__(self, path: Path, wanted: Callable[[], str | None], track: VoiceTrack, log: Logger) -> None:
        self._path, self._wanted, self._track, self._log = path, wanted, track, log
        self._client: asyncio.StreamWriter | None = None
        self.refused = 0

    async def run(self) -> None:
        """Listen and serve until cancelled."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        server = await asyncio.start_unix_server(self._serve, str(self._path), limit=64 * 1024)
        self._path.chmod(0o660)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            self._replace(None)
            self._finish()
            with contextlib.suppress(OSError):
                self._path.unlink()

    def look(self) -> None:
        """The incident may be over: then so is its sound."""
        if self._client is not None and self._wanted() is None:
            self._replace(None)
            self._finish()

    def _finish(self) -> None:
        """Nobody speaks any more: what the coder holds back goes out."""
        try:
            self._track.end()
        except av.error.FFmpegError as error:
            self._log.error("voices cannot be coded", error=str(error))

    def _replace(self, client: asyncio.StreamWriter | None) -> None:
        old, self._client = self._client, client
        if old is not None:
            old.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client; the one boundary for its bytes, which raises nothing."""
        try:
            async with asyncio.timeout(HELLO_S):
                hello = decode_hello((await reader.readline())[: MAX_HELLO_BYTES + 1])
            if hello.incident_id != self._wanted():
                raise WireError("voices of no incident that is open here")
            self._replace(writer)
            self._log.info("voices joined", incident=hello.incident_id)
            await self._take(reader, writer, hello)
            self._log.info("voices left", incident=hello.incident_id)
        except WireError as error:
            self.refused += 1
            self._log.warning("voices refused", error=str(error))
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self._log.info("voices ended", error=repr(error))
        except av.error.FFmpegError as error:
            self._log.error("voices cannot be coded", error=str(error))
        finally:
            if self._client is writer:
                self._client = None
                self._finish()
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hello: VoicesHello) -> None:
        while self._client is writer and hello.incident_id == self._wanted():
            async with asyncio.timeout(SILENT_S):
                data = await _whole(reader)
            if data is None or self._client is not writer:
                return
            frame = unpack_frame(data)
            if not -OLDEST_NS < frame.mono_ns - time.monotonic_ns() < NEWEST_NS:
                raise WireError(f"voice frame: an instant of {frame.mono_ns} ns, which is not about now")
            self._track.add(frame)
            await asyncio.sleep(0)  # a frame at a time: what has gathered while we were away is coded beside the rest


async def _whole(reader: asyncio.StreamReader) -> bytes | None:
    """The next frame's bytes; None once the client has gone, also in the middle of one."""
    try:
        return await reader.readexactly(FRAME_BYTES)
    except asyncio.IncompleteReadError:
        return None
