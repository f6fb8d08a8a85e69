"""Sound as it moves in this process: 48 kHz, mono, signed 16 bit, in frames of 20 ms."""

import threading
from collections import deque

RATE_HZ = 48_000
FRAME_SAMPLES = RATE_HZ // 50
FRAME_BYTES = 2 * FRAME_SAMPLES
SILENCE = bytes(FRAME_BYTES)


class PcmRing:
    """A bounded queue of sound between two threads: whole frames out of pieces of any length.

    It starts to give after `start_frames` have gathered (so that ordinary jitter does not tear the sound), and gathers
    anew after it ran dry. Over `limit_frames` the oldest sound goes (`dropped_frames`). No call blocks for long.
    """

    def __init__(self, start_frames: int = 2, limit_frames: int = 10) -> None:
        self._frames: deque[bytes] = deque()
        self._rest = b""
        self._start = start_frames
        self._limit = limit_frames
        self._flowing = False
        self._lock = threading.Lock()
        self.dropped_frames = 0
        self.ran_dry = 0

    def put(self, pcm: bytes) -> None:
        """Add sound, on any thread."""
        with self._lock:
            data = self._rest + pcm
            whole = len(data) - len(data) % FRAME_BYTES
            self._frames.extend(data[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES))
            self._rest = data[whole:]
            while len(self._frames) > self._limit:
                self._frames.popleft()
                self.dropped_frames += 1

    def take(self) -> bytes | None:
        """The next frame, or None while there is none to give."""
        with self._lock:
            if not self._flowing and len(self._frames) < self._start:
                return None
            if not self._frames:
                self._flowing = False
                self.ran_dry += 1
                return None
            self._flowing = True
            return self._frames.popleft()

    def clear(self) -> None:
        """Forget what is waiting."""
        with self._lock:
            self._frames.clear()
            self._rest = b""
            self._flowing = False
