"""The air between the virtual card's horn and its microphone, live: what the horn plays is heard by the microphone.

A thread of its own, at 0.3 ms of CPU for 10 ms of sound: off unless somebody asks for it (`VirtualSound.start_air`).
"""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import threading
from collections.abc import Callable

import numpy as np

from hw_sim.world.acoustics import BLOCK, Acoustics, Street

FULL = np.float32(32767)
STOP_WITHIN_S = 2.0
PIPE_BYTES = 4096
"""43 ms: an ordinary pipe holds 0.7 s, and air does not."""
FIRST_SILENCE_BYTES = 2 * 48 * 60
"""60 ms in hand: a sound server that runs dry puts silence in, and the way becomes longer by that."""
MOST_WAITING_BYTES = PIPE_BYTES


class LiveAir:
    """From `record` (a process that writes 48 kHz s16 mono) through the street to `play` (one that reads it). The
    buffers on the way are the delay, the street's own comes on top. On a busy machine the sound server's buffers grow
    and the way becomes longer every second: no canceller follows that. `stop` ends both processes."""

    def __init__(
        self, street: Street, record: Callable[[], subprocess.Popen[bytes]], play: Callable[[], subprocess.Popen[bytes]]
    ) -> None:
        self._air = Acoustics(street)
        self._record, self._play = record(), play()
        for pipe in (self._record.stdout, self._play.stdin):
            if pipe is not None:
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._ending = False
        self.late_bytes = 0
        self._thread = threading.Thread(target=self._run, name="air", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ending = True
        for process in (self._record, self._play):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN_S)
        self._thread.join(STOP_WITHIN_S)
        for pipe in (self._record.stdout, self._play.stdin):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _run(self) -> None:
        source, sink = self._record.stdout, self._play.stdin
        if source is None or sink is None:
            return
        with contextlib.suppress(OSError, ValueError):
            sink.write(bytes(FIRST_SILENCE_BYTES))
            while not self._ending:
                pcm = source.read(2 * BLOCK)
                if len(pcm) < 2 * BLOCK:
                    return
                if len(source.peek()) > MOST_WAITING_BYTES:  # type: ignore[attr-defined]
                    self.late_bytes += len(pcm)
                    continue
                self._air.play(np.frombuffer(pcm, "<i2").astype(np.float32) / FULL)
                heard, _echo = self._air.hear()
                sink.write((heard * FULL).astype("<i2").tobytes())
                sink.flush()
