"""The sound card through PyAudio (PortAudio): microphone and horn, 48 kHz mono, frames of 20 ms.

Devices are found by their stable name (`[sound] input`, `output`), never by index: cards renumber after a power cut.
A device that is missing, lost or silent is closed and tried again for ever, on a thread of its own, so that nobody
waits for it.
"""

import contextlib
import ctypes
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyaudio

from unitd.drivers.thread_state import ThreadState
from unitd.errors import DeviceError

RATE_HZ = 48_000
FRAME_SAMPLES = 960
FRAME_BYTES = 2 * FRAME_SAMPLES
SILENCE = bytes(FRAME_BYTES)

SILENT_AFTER_S = 1.5
"""A stream whose callback has not come for this long is lost (20 ms is due; servers pause for some 100 ms)."""
FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 5.0
TURN_S = 0.1
TRIAL_TIMEOUT_S = 8.0
CARDS = Path("/proc/asound/cards")
"""The kernel's own list: PortAudio lists devices once, when it starts."""
TRIAL = "import pyaudio; pyaudio.PyAudio().terminate()"


@dataclass(frozen=True)
class SoundState:
    """How one direction is now: `closed` (not wanted), `open`, or `lost` with `error` in words."""

    name: str
    state: str = "closed"
    error: str = ""


class _Direction:
    """One stream, wanted or not. Only the card's thread touches it, but for `last_ns` (the callback) and `state`."""

    def __init__(self, name: str, is_input: bool) -> None:
        self.name = name
        self.is_input = is_input
        self.wanted = False
        self.stream: Any = None
        self.thread = ThreadState()
        self.last_ns = 0
        self.retry_s = FIRST_RETRY_S
        self.retry_at_s = 0.0
        self.state = SoundState(name)


class SoundCard:
    """Opens what is wanted and keeps it open.

    - `on_input(pcm)` gets each frame of the microphone, and `next_output()` gives each frame of the horn, on
      PortAudio's threads: both must return within a few milliseconds and must not raise (an exception is silence,
      counted in `errors`).
    - `want()` and `states()` may be called on any thread and never block.
    - While the input is not wanted its stream is closed, not muted: the operating system shows that nobody listens.
    """

    def __init__(
        self,
        input_name: str,
        output_name: str,
        on_input: Callable[[bytes], None],
        next_output: Callable[[], bytes],
        on_open: Callable[[bool], None] = lambda _is_input: None,
    ) -> None:
        """`on_open(is_input)` tells, on the card's thread, that a stream was opened: its delay is another one."""
        self._input = _Direction(input_name, True)
        self._output = _Direction(output_name, False)
        self._on_input = on_input
        self._next_output = next_output
        self._on_open = on_open
        self._wake = threading.Event()
        self._ending = False
        self._turn_s = 0.0
        self._audio: Any = None
        self._cards = ""
        self._thread = threading.Thread(target=self._run, name="sound", daemon=True)
        self.errors = 0
        self.underruns = 0

    def start(self) -> None:
        """Begin; nothing is opened until it is wanted."""
        self._thread.start()

    def want(self, *, microphone: bool, horn: bool) -> None:
        """Set the levels; the card's thread follows within TURN_S, or at once when it is idle."""
        self._input.wanted = microphone
        self._output.wanted = horn
        self._wake.set()

    def states(self) -> tuple[SoundState, SoundState]:
        """Microphone and horn, now."""
        return self._seen(self._input), self._seen(self._output)

    def stuck_s(self) -> float:
        """For how long the card's thread has been at one thing: a driver that does not come back. 0 when it is well."""
        return max(0.0, time.monotonic() - self._turn_s - 2 * TURN_S) if self._turn_s and not self._ending else 0.0

    def close(self, timeout_s: float = 2.0) -> None:
        """Close both streams and wait for it, `timeout_s` at most (a dead driver can hold the thread for ever)."""
        self._ending = True
        self._wake.set()
        self._thread.join(timeout_s)

    # --- the card's thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        _silence_libraries()
        while not self._ending:
            for direction in (self._input, self._output):
                self._turn_s = time.monotonic()
                self._reconcile(direction)
            self._turn_s = time.monotonic()
            self._wake.wait(TURN_S)
            self._wake.clear()
        for direction in (self._input, self._output):
            self._shut(direction)
        self._drop_audio()

    def _reconcile(self, direction: _Direction) -> None:
        if not direction.wanted:
            self._shut(direction)
            direction.state = SoundState(direction.name)
            direction.retry_s, direction.retry_at_s = FIRST_RETRY_S, 0.0
            return
        if direction.stream is not None:
            if not self._is_silent(direction):
                direction.retry_s = FIRST_RETRY_S
                return
            self._shut(direction)
            self._lost(direction, "the device fell silent")
        if time.monotonic() < direction.retry_at_s:
            return
        try:
            self._on_open(direction.is_input)
            direction.thread = ThreadState()
            direction.stream = self._open(direction)
            direction.last_ns = time.monotonic_ns()
            direction.state = SoundState(direction.name, "open")
        except (OSError, ValueError, DeviceError) as error:
            self._lost(direction, str(error))
            # PortAudio can list the devices again only with both streams closed. That costs the other one 0.3 s, so it
            # is done only when the kernel's list is another one: the card that is missed may be back by another number.
            if self._cards != _cards():
                self._shut(self._input)
                self._shut(self._output)
                self._input.retry_at_s = self._output.retry_at_s = 0.0
            if self._input.stream is None and self._output.stream is None:
                self._drop_audio()

    def _lost(self, direction: _Direction, error: str) -> None:
        direction.state = SoundState(direction.name, "lost", error)
        direction.retry_at_s = time.monotonic() + direction.retry_s
        direction.retry_s = min(2 * direction.retry_s, LONGEST_RETRY_S)

    def _is_silent(self, direction: _Direction) -> bool:
        if time.monotonic_ns() - direction.last_ns > SILENT_AFTER_S * 1e9:
            return True
        try:
            return not direction.stream.is_active()
        except OSError:
            return True

    def _seen(self, direction: _Direction) -> SoundState:
        """The state as the callback's age shows it, even when the card's thread hangs in the driver."""
        state = direction.state
        age_ns = time.monotonic_ns() - direction.last_ns
        if state.state == "open" and age_ns > 2 * SILENT_AFTER_S * 1e9:
            return SoundState(direction.name, "lost", "the device fell silent")
        return state

    def _open(self, direction: _Direction) -> Any:
        if self._audio is None:
            try_listing()
            self._turn_s = time.monotonic()
            self._cards = _cards()
            self._audio = pyaudio.PyAudio()
        index = find_device(self._audio, direction.name, direction.is_input)
        side = "input" if direction.is_input else "output"
        return self._audio.open(
            format=pyaudio.paInt16,
            channels=1,
            rate=RATE_HZ,
            frames_per_buffer=FRAME_SAMPLES,
            stream_callback=self._from_microphone if direction.is_input else self._to_horn,
            **{side: True, f"{side}_device_index": index},
        )

    def _shut(self, direction: _Direction) -> None:
        stream, direction.stream = direction.stream, None
        if stream is not None:
            direction.thread.let_go()
            with contextlib.suppress(OSError):
                stream.close()

    def _drop_audio(self) -> None:
        audio, self._audio = self._audio, None
        if audio is not None:
            audio.terminate()

    # --- PortAudio's threads ----------------------------------------------------------------------------------------

    def _from_microphone(self, pcm: bytes | None, _frames: int, _times: Any, status: int) -> tuple[None, int]:
        self._input.last_ns = time.monotonic_ns()
        self._input.thread.keep()
        if status & pyaudio.paInputOverflow:
            self.underruns += 1
        if pcm is not None and self._input.wanted:
            try:
                self._on_input(pcm)
            except Exception:  # noqa: BLE001 - an exception here would end the stream
                self.errors += 1
        return None, pyaudio.paContinue

    def _to_horn(self, _pcm: Any, _frames: int, _times: Any, status: int) -> tuple[bytes, int]:
        self._output.last_ns = time.monotonic_ns()
        self._output.thread.keep()
        if status & pyaudio.paOutputUnderflow:
            self.underruns += 1
        try:
            return self._next_output(), pyaudio.paContinue
        except Exception:  # noqa: BLE001 - an exception here would end the stream
            self.errors += 1
            return SILENCE, pyaudio.paContinue


def try_listing() -> None:
    """Let a child process list the devices first. Raises DeviceError when that kills or hangs it: PortAudio 19 ends the
    process by an assertion when every device that ALSA names can be opened and none is called `default` or `dmix`, and
    drivers of half-dead cards have hung it. The unit without sound still has picture and signalling.

    Blocks for about 0.1 s, TRIAL_TIMEOUT_S at most.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRIAL], stdin=subprocess.DEVNULL, capture_output=True, timeout=TRIAL_TIMEOUT_S,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise DeviceError(f"listing the sound devices hangs for more than {TRIAL_TIMEOUT_S:.0f} s") from None
    except OSError:
        return  # no process to be had: then without a trial
    if done.returncode < 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no word why"]
        raise DeviceError(f"listing the sound devices crashes PortAudio (signal {-done.returncode}): {words[0][:200]}")


def find_device(audio: Any, name: str, is_input: bool) -> int:
    """The index, now, of the device called `name`: the exact name, else the only one that contains it.

    Raises DeviceError that lists the names there are. Asks only what PortAudio listed when it started.
    """
    key = "maxInputChannels" if is_input else "maxOutputChannels"
    devices = [audio.get_device_info_by_index(index) for index in range(audio.get_device_count())]
    usable = [device for device in devices if device[key] > 0]
    exact = [device for device in usable if device["name"] == name]
    found = exact or [device for device in usable if name in device["name"]]
    if len(found) == 1 or exact:
        return int(found[0]["index"])
    there = ", ".join(repr(device["name"]) for device in usable) or "none"
    kind = "microphone" if is_input else "loudspeaker"
    trouble = f"{len(found)} devices are called so" if found else "no such device"
    raise DeviceError(f"{kind} {name!r}: {trouble}; there are: {there}")


def _cards() -> str:
    """The kernel's list of sound cards; empty where it cannot be read."""
    try:
        return CARDS.read_text(errors="replace")
    except OSError:
        return ""


_keep: list[Any] = []


def _silence_libraries() -> None:
    """Stop libasound and JACK's client library from writing to stderr about every device that PortAudio merely tries;
    errors reach us as exceptions."""
    if _keep:
        return
    ignore_alsa = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)(
        lambda *_: None
    )
    ignore_text = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(lambda _: None)
    _keep.extend((ignore_alsa, ignore_text))
    for library, function, handler in (
        ("libasound.so.2", "snd_lib_error_set_handler", ignore_alsa),
        ("libjack.so.0", "jack_set_error_function", ignore_text),
        ("libjack.so.0", "jack_set_info_function", ignore_text),
    ):
        with contextlib.suppress(OSError, AttributeError):
            getattr(ctypes.CDLL(library), function)(handler)
