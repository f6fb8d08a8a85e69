"""The names of what a unit can say, and the site's own recordings: read off directories, without importing media.

Sounds are `<kind>/<language>/<name>.wav` with the kinds `prompts` and `warnings`: in `site_dir` the site's own, which
go first, in the package those made from `unitd/call/words/*.toml`.
"""

import re
import struct
import wave
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

Kind = Literal["prompts", "warnings"]
KINDS: tuple[Kind, ...] = ("prompts", "warnings")
MOST_SITE_FILES = 256
LONGEST_S = 60.0
LARGEST_BYTES = 6 * 1024 * 1024
"""A minute at 48 kHz; a file of this size is read into memory whole."""
RATES_HZ = (8_000, 48_000)
UNREADABLE_WAV = (OSError, EOFError, ValueError, ArithmeticError, RuntimeError, struct.error, wave.Error)
"""What Python's wave module raises for what is no WAV (RuntimeError: a chunk that says it is longer than it is)."""
_NAME = re.compile(r"[a-z0-9_]{1,32}")
_REMEDY = "make it a WAV of one channel, 16 bit, 8 to 48 kHz, a minute at most"


def prompt_names() -> tuple[str, ...]:
    """The prompts of a call's stages, sorted."""
    return _names("prompts")


@cache
def warning_names(site_dir: str = "", languages: tuple[str, ...] = ("en",)) -> tuple[str, ...]:
    """The warnings an operator may order, sorted: the product's and the site's good ones in any of `languages`. The
    disk is looked at once in a process."""
    own = {
        file.stem
        for file in site_files(site_dir)
        if file.parts[-3:-1] in [("warnings", each) for each in languages] and not sound_problem(file)
    }
    return tuple(sorted({*_names("warnings"), *own}))


@cache
def voice_languages() -> tuple[str, ...]:
    """The languages in which a text can be spoken, sorted: those that the product has words in."""
    folder = resources.files("unitd") / "call" / "words"
    names = (file.name.partition(".")[0] for file in folder.iterdir() if file.name.endswith(".toml"))
    return tuple(sorted(name for name in names if len(name) == 2))


def site_files(site_dir: str) -> tuple[Path, ...]:
    """The WAV files of a site in order of name, MOST_SITE_FILES at most; none when it has no such directory. Blocks."""
    if not site_dir:
        return ()
    found: list[Path] = []
    try:
        for kind in KINDS:
            found += sorted(Path(site_dir, kind).glob("*/*.wav"))
    except OSError:
        return ()
    return tuple(found[:MOST_SITE_FILES])


def site_problems(site_dir: str) -> Iterator[str]:
    """What is wrong with each of the site's files, in one line that says what to do. Blocks on disk."""
    for file in site_files(site_dir):
        if problem := sound_problem(file):
            yield f"{file}: {problem}; the built-in recording is used"
        elif file.parts[-3] == "prompts" and file.stem not in prompt_names():
            yield f"{file}: no prompt has that name ({', '.join(prompt_names())}); rename it"


def sound_problem(file: Path) -> str:
    """What keeps `file` from being played, and what to do; "" when it is good. Reads its header alone. Never raises."""
    if not _NAME.fullmatch(file.stem):
        return "its name has other characters than a-z, 0-9 and _; rename it"
    try:
        if file.stat().st_size > LARGEST_BYTES:
            return f"{file.stat().st_size} bytes; {_REMEDY}"
        with file.open("rb") as raw, wave.open(raw, "rb") as sound:
            channels, width, rate_hz = sound.getnchannels(), sound.getsampwidth(), sound.getframerate()
            frames = sound.getnframes()
    except UNREADABLE_WAV as error:
        return f"it cannot be read ({error or type(error).__name__}); {_REMEDY}"
    if channels != 1 or width != 2 or not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        return f"{channels} channels, {8 * width} bit, {rate_hz} Hz; {_REMEDY}"
    if not 0 < frames <= LONGEST_S * rate_hz:
        return f"{frames / rate_hz:.1f} s long; {_REMEDY}"
    return ""


@cache
def _names(kind: Kind) -> tuple[str, ...]:
    # By `unitd`, not `unitd.call`: that would import the process's package.
    folder = resources.files("unitd") / "call" / kind / "en"
    if not folder.is_dir():
        return ()
    return tuple(sorted(file.name.removesuffix(".wav") for file in folder.iterdir() if file.name.endswith(".wav")))
