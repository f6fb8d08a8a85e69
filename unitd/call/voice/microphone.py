"""The caller's voice on its way to the peers: the card's frames while the gate is open, silence otherwise."""

import asyncio
import threading
import time
from collections.abc import Callable

from unitd.call.voice.pcm import FRAME_BYTES, SILENCE

MISSING_AFTER_S = 0.06
FRAME_S = 0.02


class Microphone:
    """Gives `send` one frame of 20 ms every 20 ms while there are listeners.

    The card's own clock sets the pace while it delivers; when it does not (gate shut, device lost) silence frames
    keep the stream alive. While the gate is shut nothing that the card delivered is kept or sent, not even a frame in
    hand. A frame goes to the peers on the thread that brings it: a loop that is busy for a moment is not heard.
    """

    def __init__(
        self, send: Callable[[bytes], None], record: Callable[[bytes, int], None] = lambda _pcm, _at_ns: None
    ) -> None:
        """`send` gets what is delivered, and `record` what is kept, the card's own frames, and when (monotonic ns) each
        had ended. Both on any thread but one frame at a time, and only while the gate is open; both are quick."""
        self._send, self._record = send, record
        self._sending = threading.Lock()
        self._open = False
        self._listened_to = asyncio.Event()
        self._last_s = 0.0
        self.failed_frames = 0
        self.silence_frames = 0

    def gate(self, is_open: bool) -> None:
        """Open or shut the gate; on the loop. Once it is shut nothing of the microphone is sent or kept any more."""
        with self._sending:
            self._open = is_open

    def listen(self, is_listened_to: bool) -> None:
        """Whether there is a call: without one there is no need of silence either; on the loop."""
        if is_listened_to:
            self._listened_to.set()
        else:
            self._listened_to.clear()

    def deliver(self, pcm: bytes) -> None:
        """Send a frame to the peers; on any thread, never raises and hardly blocks."""
        if len(pcm) != FRAME_BYTES:
            return
        with self._sending:
            if self._open:
                self._last_s = time.monotonic()
                self._give(pcm)

    def _give(self, pcm: bytes) -> None:
        try:
            self._send(pcm)
        except Exception:  # noqa: BLE001 - the canceller's thread must live, the next frame may pass
            self.failed_frames += 1

    def keep(self, pcm: bytes) -> None:
        """Take a frame as the card gave it, for the record: evidence is what the microphone heard, not what a canceller
        made of it. On any thread, as `deliver`."""
        if len(pcm) != FRAME_BYTES:
            return
        with self._sending:
            if self._open:
                self._record(pcm, time.monotonic_ns())

    async def run(self) -> None:
        """Fill in with silence, for ever."""
        due_s = time.monotonic()
        while True:
            await self._listened_to.wait()
            now_s = time.monotonic()
            # While the card delivers there is nothing to do before its next frame would be missing.
            due_s = max(due_s + FRAME_S, now_s - 5 * FRAME_S, self._last_s + MISSING_AFTER_S)
            await asyncio.sleep(max(0.0, due_s - now_s))
            if time.monotonic() - self._last_s > MISSING_AFTER_S:
                self.silence_frames += 1
                with self._sending:
                    self._give(SILENCE)
