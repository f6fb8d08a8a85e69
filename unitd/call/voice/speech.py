"""Text to sound by Debian's speech engine, espeak-ng: a child process that is bounded in time and size.

Used when the product is built (tools/make_sounds.py) and for what an operator has said on the horn. The text goes by
the child's standard input, never by its command line. SSML is not switched on.
"""

import asyncio
import contextlib
import io
import os
import re
import signal
import tomllib
import wave
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from unitd.call.voice.mixer import I16
from unitd.call.voice.pcm import RATE_HZ
from unitd.prompts import UNREADABLE_WAV

ENGINE = "espeak-ng"
SPEED_WPM = 150
PEAK = 0.8 * 32767
TALKS_S = 8.0
"""The engine makes a minute of speech in a second of a Pi's time."""
ENDS_S = 2.0
MOST_BYTES = 8 * 1024 * 1024
"""Three minutes as the engine gives them; 300 characters are half a minute."""
PASS_HZ = 7_000.0
_SOUNDS = re.compile(r"\[(?=\[)")
SILENT = 200
"""Below this at its beginning and end it is no speech."""


class SpeechError(Exception):
    """The text could not be said; the words are for a person."""


@cache
def voices() -> dict[str, str]:
    """The engine's voice for each language that has a file of words. Blocks on disk, once."""
    found = {}
    for file in (resources.files("unitd") / "call" / "words").iterdir():
        table = tomllib.loads(file.read_text(encoding="utf-8")) if file.name.endswith(".toml") else {}
        if "voice" in table:
            found[file.name.removesuffix(".toml")] = str(table["voice"])
    return found


def command(voice: str) -> list[str]:
    """The engine's command line: text on its standard input, a WAV on its standard output."""
    return [ENGINE, "-v", voice, "-s", str(SPEED_WPM), "-g", "2", "-b", "1", "--stdin", "--stdout"]


def plain(text: str) -> str:
    """`text` as one line without what the engine would take for something else: control characters, and `[[`, behind
    which it reads sounds and not words, so that the record would not say what was heard. Pure."""
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return _SOUNDS.sub("[ ", words)


async def spoken(text: str, voice: str) -> I16:
    """The words at RATE_HZ, ready for the mixer. Raises SpeechError. Ends the child also when it is cancelled."""
    try:
        child = await asyncio.create_subprocess_exec(
            *command(voice),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise SpeechError(f"{ENGINE} cannot be started ({error.strerror}): install the package {ENGINE}") from None
    try:
        async with asyncio.timeout(TALKS_S):
            made = await _converse(child, plain(text).encode())
    except TimeoutError:
        raise SpeechError(f"{ENGINE} took longer than {TALKS_S:g} s") from None
    except OSError as error:
        raise SpeechError(f"{ENGINE} broke off: {error}") from None
    finally:
        await _end(child)
    return await asyncio.to_thread(ready, made, RATE_HZ)


async def _converse(child: asyncio.subprocess.Process, text: bytes) -> bytes:
    assert child.stdin is not None and child.stdout is not None  # noqa: S101 - both are pipes
    child.stdin.write(text)
    child.stdin.close()
    made = bytearray()
    while piece := await child.stdout.read(65_536):
        made += piece
        if len(made) > MOST_BYTES:
            raise SpeechError(f"{ENGINE} made more than {MOST_BYTES} bytes")
    return bytes(made)


async def _end(child: asyncio.subprocess.Process) -> None:
    """End the engine and whatever it has started. asyncio counts it as ended when its output was read to the end."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENDS_S):
            while child.stdout is not None and await child.stdout.read(65_536):
                pass
            await child.wait()


def ready(made: bytes, rate_hz: int) -> I16:
    """The engine's WAV as samples at `rate_hz`, without silence at the ends, at PEAK. Raises SpeechError. Pure."""
    try:
        with wave.open(io.BytesIO(made)) as sound:
            # It streams: the length in its header is not the real one.
            samples = np.frombuffer(sound.readframes(1 << 30), "<i2").astype(np.float64)
            made_hz = sound.getframerate()
            if (sound.getnchannels(), sound.getsampwidth()) != (1, 2) or not 8_000 <= made_hz <= 48_000:
                raise SpeechError(f"{ENGINE} made sound of another form")
    except UNREADABLE_WAV as error:
        raise SpeechError(f"{ENGINE} made no sound ({error or 'nothing came'})") from None
    loud = np.flatnonzero(np.abs(samples) > SILENT)
    if not len(loud):
        raise SpeechError("the text has nothing that could be said")
    samples = _smooth(samples[loud[0] : loud[-1] + made_hz // 20], made_hz)
    at = np.arange(int(len(samples) * rate_hz / made_hz)) * made_hz / rate_hz
    samples = np.interp(at, np.arange(len(samples)), samples)
    said: I16 = (samples * (PEAK / np.abs(samples).max())).astype(np.int16)
    return said


def _smooth(samples: npt.NDArray[np.float64], rate_hz: int) -> npt.NDArray[np.float64]:
    """Low-pass by a windowed sinc at PASS_HZ, so that no rate to come folds back."""
    taps = np.arange(-64, 65)
    kernel = np.sinc(2 * PASS_HZ / rate_hz * taps) * np.hamming(len(taps))
    return np.convolve(samples, kernel / kernel.sum(), "same")
