"""Prompts and warnings as samples: short WAV files of the site or of the product, resampled when first asked for."""

import wave
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from unitd.call.voice.mixer import I16, PROMPT_PERIOD_S
from unitd.call.voice.pcm import RATE_HZ
from unitd.prompts import UNREADABLE_WAV, Kind, sound_problem
from unitd.runtime.logs import Logger

FALLBACK_LANGUAGE = "en"
BETWEEN_S = 0.5
AFTER_S = 2.0
"""After a prompt in several languages that is as long as its period, before it begins again."""


def load_wav(file: Traversable) -> I16:
    """Samples of a mono 16 bit WAV file at RATE_HZ. Raises one of UNREADABLE_WAV."""
    with file.open("rb") as raw, wave.open(raw, "rb") as sound:
        if sound.getnchannels() != 1 or sound.getsampwidth() != 2:
            raise ValueError(f"{file}: must be mono, 16 bit")
        samples: I16 = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
        rate_hz = sound.getframerate()
    if not len(samples):
        raise ValueError(f"{file}: is empty")
    if rate_hz == RATE_HZ:
        return samples
    positions = np.arange(int(len(samples) * RATE_HZ / rate_hz)) * rate_hz / RATE_HZ
    return np.interp(positions, np.arange(len(samples)), samples).astype(np.int16)


class Library:
    """What can be said, by name, in each of `languages` in turn. A name that the first of them has not is said in
    English, so that nobody hears nothing; where another has it not, that one is left out.

    A site's own file goes first; one that is bad is told of once, in `problems` (by file) and in the log, and the
    product's is used. Clips are kept once loaded (a few seconds each). Loading blocks on disk; not thread-safe.
    """

    def __init__(self, languages: tuple[str, ...], site_dir: str, log: Logger | None = None) -> None:
        self._languages, self._site_dir, self._log = languages, site_dir, log
        self._kept: dict[tuple[Kind, str], I16 | None] = {}
        self.problems: dict[str, str] = {}

    def prompt(self, name: str) -> I16 | None:
        """The prompt in all languages, long enough to be repeated; None when there is none of that name."""
        return self._clip("prompts", name)

    def warning(self, name: str) -> I16 | None:
        return self._clip("warnings", name)

    def _clip(self, kind: Kind, name: str) -> I16 | None:
        if (kind, name) not in self._kept:
            said = self._said(kind, name) if name.isidentifier() else []
            self._kept[kind, name] = _joined(said, AFTER_S if kind == "prompts" else 0.0) if said else None
        return self._kept[kind, name]

    def _said(self, kind: Kind, name: str) -> list[I16]:
        found = [self._in(kind, each, name) for each in self._languages]
        if self._languages[0] != FALLBACK_LANGUAGE and found[0] is None and FALLBACK_LANGUAGE not in self._languages:
            found[0] = self._in(kind, FALLBACK_LANGUAGE, name)
        return [each for each in found if each is not None]

    def _in(self, kind: Kind, language: str, name: str) -> I16 | None:
        own = Path(self._site_dir, kind, language, f"{name}.wav")
        if self._site_dir and own.is_file():
            problem = sound_problem(own)
            if not problem:
                try:
                    return load_wav(own)
                except UNREADABLE_WAV as error:
                    problem = f"it cannot be read ({error})"
            self._bad(str(own), problem)
        file = resources.files("unitd.call") / kind / language / f"{name}.wav"
        return load_wav(file) if file.is_file() else None

    def _bad(self, file: str, problem: str) -> None:
        if file not in self.problems:
            self.problems[file] = problem
            if self._log is not None:
                self._log.warning("a site's recording is not used", file=file, problem=problem)


def _joined(said: list[I16], after_s: float) -> I16:
    if len(said) == 1:
        return said[0]
    pause = np.zeros(int(BETWEEN_S * RATE_HZ), np.int16)
    parts = [part for clip in said for part in (clip, pause)][:-1]
    if sum(map(len, parts)) > (PROMPT_PERIOD_S - after_s) * RATE_HZ:
        parts.append(np.zeros(int(after_s * RATE_HZ), np.int16))
    return np.concatenate(parts)
