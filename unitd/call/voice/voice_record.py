"""The call's two voices on their way to `record`, which keeps them as evidence: left the street's microphone, right
what the horn really plays.

Nothing here holds up the call: the sound card's threads only put a frame into a bounded queue, and `record` away or
hung costs frames, which are counted. While the gate is shut nothing of the street's sound is taken, kept or sent.
"""

import asyncio
import time
from array import array
from collections import deque
from pathlib import Path

import msgspec
import numpy as np

from unitd.call.voice.pcm import FRAME_BYTES, SILENCE
from unitd.messages import voices as wire
from unitd.runtime.waiting import Wake

TURN_S = 0.1
LATE_NS = 250_000_000
"""So long a frame may take from the card to here; the time line is made that much behind."""
STEADY_NS = 100_000_000
"""A card delivers in bursts: a frame that comes within this of its predecessor's end follows it without a seam."""
AHEAD_FRAMES = 100
"""2 s of each voice may wait for the loop."""
FURTHEST_BYTES = 500 * FRAME_BYTES
"""A frame further ahead than 10 s is none of this time line."""
WAITING_FRAMES = 250
"""5 s: `record` is back sooner after a kill."""
AT_ONCE_FRAMES = 50
UNSENT_BYTES = 256 * 1024
RETRY_S = 0.5
CONNECT_S = 1.0


class Side:
    """One voice laid on a time line of frames of 20 ms that begins at `origin_ns`. Not thread-safe; pure."""

    def __init__(self, origin_ns: int) -> None:
        self._origin_ns = origin_ns
        self._first = 0
        self._next: int | None = None
        self._sound = bytearray()
        self.late_samples = 0

    def put(self, pcm: bytes, at_ns: int) -> None:
        """Add a frame that began at `at_ns`; what comes too late for its place is left out and counted."""
        arrived = (at_ns - self._origin_ns) * 6 // 125_000  # samples at 48 kHz
        tolerated = STEADY_NS * 6 // 125_000
        place = self._next
        if place is None or abs(arrived - place) > tolerated:
            place = arrived
        self._next = place + len(pcm) // 2
        at = 2 * (place - self._first)
        if at < 0:
            self.late_samples += min(-at, len(pcm)) // 2
            pcm, at = pcm[-at:] if -at < len(pcm) else b"", 0
        if at > FURTHEST_BYTES:
            return
        if len(self._sound) < at:
            self._sound.extend(bytes(at - len(self._sound)))
        self._sound[at : at + len(pcm)] = pcm  # past the end it grows

    def take(self, frames: int = 1) -> bytes:
        """The next frames of 20 ms of the time line: silence where nothing came."""
        size = frames * FRAME_BYTES
        pcm = bytes(self._sound[:size])
        del self._sound[:size]
        self._first += size // 2
        return pcm + bytes(size - len(pcm))

    def silence(self) -> None:
        """Forget what has not been taken."""
        self._sound.clear()


class VoiceRecord:
    """`microphone` and `horn` may be called on any thread, the rest belongs to the loop; nothing blocks. `run` sends,
    until cancelled.

    Of each incident the sending begins with the first frame that holds anything: a microphone's, or a horn's that is
    not silence. So a unit without a sound card, and an intrusion that nobody challenges, send nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._incident_id: str | None = None
        self._heard: deque[tuple[int, bytes]] = deque(maxlen=AHEAD_FRAMES)
        self._played: deque[tuple[int, bytes]] = deque(maxlen=AHEAD_FRAMES)
        self._origin_ns: int | None = None
        self._slot_ns = 0
        self._left = self._right = Side(0)
        self._waiting: deque[wire.VoiceFrame] = deque(maxlen=WAITING_FRAMES)
        self._wake = Wake()
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None
        self._retry_at_s = 0.0
        self.dropped_frames = 0
        self.sent_frames = 0

    def follow(self, incident_id: str | None) -> None:
        """Whose voices these are; None while there is no call."""
        if incident_id == self._incident_id:
            return
        if self._incident_id is not None:
            self._lay(time.monotonic_ns() + LATE_NS)
            self._send()
            self._hang_up()
        self._incident_id = incident_id
        self._origin_ns = None
        for frames in (self._heard, self._played, self._waiting):
            frames.clear()
        self._wake.set()

    def microphone(self, pcm: bytes, at_ns: int) -> None:
        """A frame that the gate let pass, which ended at `at_ns`."""
        if self._incident_id is not None:
            self._heard.append((at_ns - wire.FRAME_NS, pcm))

    def horn(self, pcm: bytes) -> None:
        """A frame that the horn begins to play now."""
        if self._incident_id is not None:
            self._played.append((time.monotonic_ns(), pcm))

    def shut(self) -> None:
        """The gate is shut: nothing of the street's sound that is still here goes out."""
        self._heard.clear()
        self._left.silence()
        for index, frame in enumerate(self._waiting):
            self._waiting[index] = wire.VoiceFrame(frame.mono_ns, _right_only(frame.pcm))

    async def run(self) -> None:
        try:
            while True:
                self._wake.clear()
                if self._incident_id is None:
                    await self._wake.within(None)
                    continue
                self._lay(time.monotonic_ns())
                if self._waiting:
                    await self._connect()
                    self._send()
                await self._wake.within(TURN_S)
        finally:
            self._hang_up()

    def _lay(self, now_ns: int) -> None:
        """Put what has come on the time line, and take from it what can get no more."""
        if self._origin_ns is None:
            heard, played = tuple(self._heard), tuple(self._played)  # taken at once: the card's threads add to them
            begins = [at for at, _ in heard] + [at for at, pcm in played if pcm != SILENCE]
            if not begins:
                self._played.clear()
                return
            self._origin_ns = self._slot_ns = min(begins)
            self._left, self._right = Side(self._origin_ns), Side(self._origin_ns)
        for frames, side in ((self._heard, self._left), (self._played, self._right)):
            while frames:
                at_ns, pcm = frames.popleft()
                side.put(pcm, at_ns)
        due = max(0, (now_ns - LATE_NS - self._slot_ns) // wire.FRAME_NS)
        while due > 0:
            count = min(due, AT_ONCE_FRAMES)
            due -= count
            self.dropped_frames += max(0, len(self._waiting) + count - WAITING_FRAMES)
            both = _stereo(self._left.take(count), self._right.take(count))
            for start in range(0, len(both), 2 * FRAME_BYTES):
                self._waiting.append(wire.VoiceFrame(self._slot_ns, both[start : start + 2 * FRAME_BYTES]))
                self._slot_ns += wire.FRAME_NS

    async def _connect(self) -> None:
        if self._is_gone():
            self._hang_up()
        if self._writer is not None or time.monotonic() < self._retry_at_s:
            return
        incident_id = self._incident_id
        self._retry_at_s = time.monotonic() + RETRY_S
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_unix_connection(str(self._path))
        except (OSError, TimeoutError):
            return
        if incident_id is None or incident_id != self._incident_id:
            writer.close()
            return
        self._reader, self._writer = reader, writer
        writer.write(msgspec.json.encode(wire.VoicesHello(incident_id=incident_id)) + b"\n")

    def _is_gone(self) -> bool:
        """Whether `record` has left: its end was read, or a write found it first (then no end is ever read)."""
        reader, writer = self._reader, self._writer
        return reader is not None and writer is not None and (reader.at_eof() or writer.is_closing())

    def _send(self) -> None:
        writer = self._writer
        if writer is None or writer.is_closing():
            return
        while self._waiting and writer.transport.get_write_buffer_size() < UNSENT_BYTES:
            frames = min(len(self._waiting), AT_ONCE_FRAMES)
            writer.write(b"".join(wire.pack_frame(self._waiting.popleft()) for _ in range(frames)))
            self.sent_frames += frames

    def _hang_up(self) -> None:
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.close()


def _stereo(left: bytes, right: bytes) -> bytes:
    """Interleave two mono pieces of the same length."""
    both = np.empty(len(left), np.int16)
    both[0::2] = np.frombuffer(left, np.int16)
    both[1::2] = np.frombuffer(right, np.int16)
    return both.tobytes()


def _right_only(pcm: bytes) -> bytes:
    """The frame with its left side silenced."""
    both = array("h", pcm)
    both[0::2] = array("h", bytes(len(pcm) // 2))
    return both.tobytes()
