"""The near end of the voice: between the sound card's threads and the rest of the call, on a thread of its own.

    mixer -> level and limit -> horn's card          (`next_output`, on the card's thread)
                          \\-> canceller
    microphone's card ------> canceller -> `deliver` (20 ms of the caller, at the network's pace)

The card's threads only put frames into bounded queues. A canceller that fails, hangs or is late is passed by: the voice
goes on as the microphone hears it, `trouble` says why, and it is tried again.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable

from unitd.call.voice.canceller import Canceller
from unitd.call.voice.gain import HornGain, Loudness, limit_dba
from unitd.call.voice.loudness import AmbientNoise
from unitd.call.voice.pcm import FRAME_BYTES, FRAME_SAMPLES, SILENCE
from unitd.call.voice.samples import Pcm, Samples

WAITING_FRAMES = 25
"""0.5 s of each direction; more waiting is a thread that hangs."""
LATE_FRAMES = 8
"""So many of the microphone's frames waiting: the canceller is too late to be of use, the frame passes as it is."""
HORN_FRAMES_TOGETHER = 5
"""While nobody listens to the microphone the horn's frames are taken up some at a time: 10 wake-ups a second."""
AGAIN_S = 10.0
PASSED_BY_FRAMES = 100
"""So many passed by within AGAIN_S (2 s in 10) are a fault; less is a machine that was busy for a moment."""
DISCARDED_FRAMES = 3
"""After the gate was shut the chain still holds some 40 ms of what was heard before: that is never given out."""


class Bell:
    """Rung by any thread, waited for by one; rung twice before it is heard is once. A bare lock: `threading.Event`
    makes a new one for each wait, which is a tenth of what a block of the canceller costs."""

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # it rings already
            self._silent.release()

    def wait(self) -> None:
        self._silent.acquire()


class NearEnd:
    """`next_output` and `heard` belong to the card's threads, `aim` and `gate` to the loop; none blocks for long.

    `source` gives the horn's next frame, and `warns` says whether a warning is in it: one that somebody ordered may be
    as loud as the ceiling in a talk too, but not in quiet mode. `deliver` takes the caller's frames (on this object's
    thread, or on the card's while the canceller is passed by) and must not raise.
    """

    def __init__(
        self,
        source: Callable[[], bytes],
        deliver: Callable[[bytes], None],
        make_canceller: Callable[[], Canceller] | None,
        loudness: Loudness,
        mic_full_dba: float,
        warns: Callable[[], bool] = lambda: False,
    ) -> None:
        self._source, self._deliver, self._make = source, deliver, make_canceller
        self._loudness, self._warns = loudness, warns
        self._gain = HornGain(loudness)
        self._horn_pcm, self._mic_pcm, self._street = Pcm(FRAME_SAMPLES), Pcm(FRAME_SAMPLES), Samples(FRAME_SAMPLES)
        self.ambient = AmbientNoise(mic_full_dba)
        self._waiting: deque[tuple[int | None, bytes, int]] = deque(maxlen=2 * WAITING_FRAMES)
        # Each is written by one thread alone.
        self._near_in = self._near_out = 0
        self._opening = 0
        self._bell = Bell()
        self._ending = False
        self._is_open = False
        self._discard = 0
        self._opened = {False: False, True: False}
        self._talk = self._quiet = False
        self._horn_plays = False
        self._canceller: Canceller | None = None
        self._again_s = 0.0
        self._failure = ""
        self._passed_s: deque[float] = deque(maxlen=PASSED_BY_FRAMES)
        self.passed_by_frames = 0
        self._thread = threading.Thread(target=self._run, name="canceller", daemon=True)

    def start(self) -> None:
        if self._make is not None:
            self._thread.start()

    def close(self, timeout_s: float = 1.0) -> None:
        """End the thread, and wait `timeout_s` at most."""
        self._ending = True
        self._bell.ring()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    # --- levels (loop) ----------------------------------------------------------------------------------------------

    def aim(self, *, talk: bool, quiet: bool) -> None:
        """Whether an operator is on the line, and whether the attacker is near."""
        self._talk, self._quiet = talk, quiet

    def gate(self, is_open: bool) -> None:
        """The microphone's gate: nothing that was heard before it was shut is given out after it is open again."""
        if is_open and not self._is_open:
            self._opening += 1
            self._discard = DISCARDED_FRAMES
        self._is_open = is_open

    def opened_anew(self, *, microphone: bool) -> None:
        """A card's stream was opened; on any thread."""
        self._opened[microphone] = True

    @property
    def trouble(self) -> str:
        """Why the canceller, or its noise suppression, is not at work; empty when it is well."""
        canceller = self._canceller
        passed_s = self._passed_s
        if len(passed_s) == PASSED_BY_FRAMES and time.monotonic() - passed_s[0] < AGAIN_S:
            return self._failure or "the echo canceller is late or hangs, the voice passes it by"
        return self._failure or (canceller.trouble if canceller is not None else "")

    def facts(self) -> dict[str, str | int | float | bool | None]:
        """What the canceller knows, for `unitd status`."""
        canceller = self._canceller
        return {
            "sound.noise_dba": _rounded(self.ambient.dba),
            "sound.limit_dba": _rounded(self._gain.limit),
            "sound.echo_db": _rounded(canceller.echo_taken_db) if canceller is not None else None,
            "sound.drift_ppm": _rounded(canceller.drift_ppm) if canceller is not None else None,
        }

    # --- the card's threads -----------------------------------------------------------------------------------------

    def next_output(self) -> bytes:
        """The horn's next frame, as loud as it may be."""
        pcm = self._source()
        if pcm != SILENCE:
            limit = limit_dba(self._loudness, talk=self._talk and not self._warns(), quiet=self._quiet)
            self._gain.aim(limit, self.ambient.dba)
            self._horn_pcm.read(pcm, self._gain.given)
            pcm = self._horn_pcm.made(self._gain.run())
        self._horn_plays = pcm != SILENCE
        if self._make is not None:
            self._put(None, pcm)
        return pcm

    def heard(self, pcm: bytes) -> None:
        """A frame of the microphone."""
        if not self._is_open or len(pcm) != FRAME_BYTES:
            return
        if self._make is None:
            self._deliver(pcm)
        elif self._near_in - self._near_out >= LATE_FRAMES or not self._put(self._opening, pcm):
            self.passed_by_frames += 1
            self._passed_s.append(time.monotonic())
            self._deliver(pcm)

    def _put(self, opening: int | None, pcm: bytes) -> bool:
        """A frame for the canceller: the horn's, or the microphone's with the opening of the gate that it belongs to.
        Whether there was room."""
        if len(self._waiting) >= 2 * WAITING_FRAMES - 1:
            return False
        self._waiting.append((opening, pcm, time.monotonic_ns()))
        if opening is not None:
            self._near_in += 1
        if opening is not None or len(self._waiting) > HORN_FRAMES_TOGETHER:
            self._bell.ring()
        return True

    # --- the canceller's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ending:
            self._bell.wait()
            while self._waiting and not self._ending:
                opening, pcm, at_ns = self._waiting.popleft()
                try:
                    out = self._work(opening is not None, pcm, at_ns)
                except Exception as error:  # noqa: BLE001 - the voice goes on without it
                    self._failure = str(error) or repr(error)
                    self._canceller, self._again_s = None, time.monotonic() + AGAIN_S
                    out = [pcm] if opening is not None else []
                self._near_out += opening is not None
                for frame in out:
                    if opening != self._opening or not self._is_open:
                        continue  # the gate was shut since
                    if self._discard > 0:
                        self._discard -= 1
                    else:
                        self._deliver(frame)

    def _work(self, is_near: bool, pcm: bytes, at_ns: int) -> list[bytes]:
        if is_near and self.ambient.is_due(self._horn_plays):
            self._mic_pcm.read(pcm, self._street)
            self.ambient.frame(self._street.all)
        canceller = self._canceller
        if canceller is None:
            if self._make is None or time.monotonic() < self._again_s:
                return [pcm] if is_near else []
            canceller = self._canceller = self._make()
            self._failure = ""
        for microphone in (False, True):
            if self._opened[microphone]:
                self._opened[microphone] = False
                canceller.opened_anew(microphone=microphone)
        if is_near:
            return canceller.near(pcm, at_ns)
        canceller.far(pcm, at_ns)
        return []


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
