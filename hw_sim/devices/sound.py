"""A sound card for a machine without one: PulseAudio in user space, reached by the daemon through ALSA like any other
card.

    horn    null sink      what the daemon plays; its monitor is what passers-by hear
    street  null sink      what the caller and the street sound like
    mic     remap source   of street's monitor: the pole's microphone

Every server belongs to one run directory and is stopped by its own process id. Nothing of the user's sound is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import numpy as np

from hw_sim.devices.air import LiveAir
from hw_sim.operator.hearing import tone_db
from hw_sim.processes import bound_to_us
from hw_sim.world.acoustics import Street

RATE_HZ = 48_000
FRAME_BYTES = 1920
LATENCY_MS = 40
START_TIMEOUT_S = 10.0
END_WITHIN_S = 1.0
"""A recorder whose pipe has ended ends itself; after this it is told to."""

# `norewinds` keeps a null sink's blocks at 50 ms; without it an idle one sleeps for 2 s and the first frames wait for
# that.
SERVER = """
load-module module-native-protocol-unix auth-anonymous=1 socket={socket}
load-module module-null-sink sink_name=horn rate=48000 channels=1 norewinds=1
load-module module-null-sink sink_name=street rate=48000 channels=1 norewinds=1
load-module module-remap-source source_name=mic master=street.monitor rate=48000 channels=1
set-default-sink horn
set-default-source mic
"""

# PortAudio 19.6 aborts when every listed device can be opened, hence `default`, which it always looks at last.
ALSA = """
pcm.{name} {{
  type pulse
  device {name}
  hint {{ show on description "{name}" }}
}}
"""


class VirtualSound:
    """One simulated card. `start()` before, and `stop()` after use; `unplug()` and `replug()` in between.

    The methods block for as long as a program takes to start (under a second). `env()` is for the daemon's `call`.
    """

    def __init__(self, run_dir: Path) -> None:
        self._dir = run_dir
        self._socket = run_dir / "pulse.sock"
        self._server: subprocess.Popen[bytes] | None = None
        self._caller: subprocess.Popen[bytes] | None = None
        self._caller_live = False
        self._air: LiveAir | None = None
        self.dropped_bytes = 0

    # --- the card ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server and wait until it answers. Raises RuntimeError with its output when it does not."""
        self._dir.mkdir(parents=True, exist_ok=True)
        (self._dir / "pulse.pa").write_text(SERVER.format(socket=self._socket))
        (self._dir / "asound.conf").write_text("".join(ALSA.format(name=name) for name in ("horn", "mic", "default")))
        self._socket.unlink(missing_ok=True)
        with (self._dir / "pulse.log").open("ab") as log:
            self._server = subprocess.Popen(
                bound_to_us(
                    ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no",
                     "--disable-shm=yes", "--realtime=no", "--high-priority=no", "-F", str(self._dir / "pulse.pa")]
                ),
                process_group=0,
                env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._socket.exists():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"pulseaudio did not start: {(self._dir / 'pulse.log').read_text()[-500:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop everything that was started here."""
        self.stop_air()
        self.stop_caller()
        server, self._server = self._server, None
        _end(server)
        self._socket.unlink(missing_ok=True)

    def unplug(self) -> None:
        """Pull the card out: every stream on it breaks."""
        self.stop()

    def replug(self) -> None:
        """Put it back, under the same names."""
        if self._server is None:
            self.start()

    @property
    def server_pid(self) -> int:
        """The running server's process."""
        if self._server is None:
            raise RuntimeError("the sound server does not run")
        return self._server.pid

    def env(self) -> dict[str, str]:
        """What a process needs to see this card, and only this one."""
        return {"PULSE_SERVER": f"unix:{self._socket}", "ALSA_CONFIG_PATH": str(self._dir / "asound.conf")}

    def listeners(self) -> int:
        """How many streams record from the microphone now, as the sound server counts them."""
        done = subprocess.run(
            ["pactl", "list", "short", "source-outputs"], env=self._environment(), capture_output=True, text=True,
            check=True, timeout=5,
        )  # fmt: skip
        return sum("protocol-native" in line for line in done.stdout.splitlines())  # not the remap module's own

    def _environment(self) -> dict[str, str]:
        # A home of its own: no cookie, no session bus, no configuration of the user's.
        own = {"HOME": str(self._dir), "XDG_RUNTIME_DIR": str(self._dir), "PULSE_RUNTIME_PATH": str(self._dir)}
        return {"PATH": os.environ.get("PATH", "/usr/bin"), "LC_ALL": "C"} | own | self.env()

    # --- the air ----------------------------------------------------------------------------------------------------

    def start_air(self, street: Street) -> None:
        """From now on the microphone hears the horn, and the street's noise: at 3 % of a core."""
        self.stop_air()

        def record() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                bound_to_us(
                    ["pacat", "--record", "--raw", "--device=horn.monitor", "--format=s16le", "--rate=48000",
                     "--channels=1", "--latency-msec=20"]
                ),
                process_group=0, env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip

        self._air = LiveAir(street, record, lambda: self._pacat("street", stdin=subprocess.PIPE))

    def stop_air(self) -> None:
        air, self._air = self._air, None
        if air is not None:
            air.stop()

    # --- the caller -------------------------------------------------------------------------------------------------

    def play_caller(self, sound: float | Path = 440.0, level: float = 0.5, latency_ms: int = LATENCY_MS) -> None:
        """The caller makes a sound until `stop_caller`: a tone in Hz, or a mono 16 bit WAV file at 48 kHz, again and
        again. A longer latency rides out a busy machine, which would else put pauses into it."""
        if isinstance(sound, Path):
            with wave.open(str(sound)) as file:
                if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE_HZ):
                    raise ValueError(f"{sound}: must be mono, 16 bit, {RATE_HZ} Hz")
                pcm = file.readframes(file.getnframes())
        else:
            # Ten seconds of whole periods of any whole frequency: it repeats without a click.
            at = np.arange(10 * RATE_HZ)
            pcm = (level * 32767 * np.sin(2 * np.pi * round(sound) * at / RATE_HZ)).astype("<i2").tobytes()
        self.stop_caller()
        file_path = self._dir / "caller.raw"
        file_path.write_bytes(pcm)
        # pacat plays standard input; a shell loop would be a second process to end, so the file is long instead.
        with file_path.open("wb") as out:
            for _ in range(max(1, int(600 * RATE_HZ * 2 / max(1, len(pcm))))):
                out.write(pcm)
        with file_path.open("rb") as source:
            self._caller = self._pacat("street", stdin=source, latency_ms=latency_ms)

    def write_caller_pcm(self, pcm: bytes) -> None:
        """Play live sound (48 kHz s16 mono, pieces of any length) into the street. Never blocks; what does not fit is
        dropped and counted."""
        if self._caller is None or not self._caller_live or self._caller.poll() is not None:
            self.stop_caller()
            self._caller = self._pacat("street", stdin=subprocess.PIPE)
            self._caller_live = True
            os.set_blocking(_stdin_of(self._caller), False)
        try:
            written = os.write(_stdin_of(self._caller), pcm)
        except BlockingIOError:
            written = 0
        except BrokenPipeError:
            self.stop_caller()
            return
        self.dropped_bytes += len(pcm) - written

    def stop_caller(self) -> None:
        caller, self._caller = self._caller, None
        self._caller_live = False
        _end(caller)

    def _pacat(self, sink: str, stdin: int | IO[bytes], latency_ms: int = LATENCY_MS) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            bound_to_us(
                ["pacat", "--playback", "--raw", f"--device={sink}", "--format=s16le", "--rate=48000", "--channels=1",
                 f"--latency-msec={latency_ms}"]
            ),
            process_group=0, env=self._environment(), stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    # --- the horn ---------------------------------------------------------------------------------------------------

    async def horn_pcm(self) -> AsyncIterator[bytes]:
        """What the horn plays from now on, in frames of 20 ms (48 kHz s16 mono), until the caller stops iterating."""
        async for frame in self._record("horn.monitor"):
            yield frame

    async def _record(self, source: str) -> AsyncIterator[bytes]:
        process = await asyncio.create_subprocess_exec(
            *bound_to_us(
                ["pacat", "--record", "--raw", f"--device={source}", "--format=s16le", "--rate=48000", "--channels=1",
                 "--latency-msec=20"]
            ),
            process_group=0, env=self._environment(), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while process.stdout is not None:
                yield await process.stdout.readexactly(FRAME_BYTES)
        except asyncio.IncompleteReadError:
            # It ends by itself: a signal now would poll it, and asyncio's own waiter complain that it has lost a child.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_WITHIN_S):
                    await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()

    async def horn_sound(self, seconds: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        """The next `seconds` of what the horn plays."""
        pieces = []
        wanted = int(seconds * 50)
        frames = self.horn_pcm()
        try:
            async for frame in frames:
                pieces.append(frame)
                if len(pieces) >= wanted:
                    break
        finally:
            await frames.aclose()  # type: ignore[attr-defined]
        return np.frombuffer(b"".join(pieces), np.int16)

    async def horn_tone_db(self, freq_hz: float, seconds: float = 0.5) -> float:
        """How loud a tone the horn plays over the next `seconds`, in dB of full scale."""
        return tone_db(await self.horn_sound(seconds), freq_hz)


def _stdin_of(process: subprocess.Popen[bytes]) -> int:
    if process.stdin is None:
        raise ValueError("started without a pipe")
    return process.stdin.fileno()


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
