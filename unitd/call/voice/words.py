"""What the unit says by itself or by an operator's order: prompts, warnings, and texts that are spoken."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from unitd.call.voice.clips import Library
from unitd.call.voice.mixer import I16
from unitd.call.voice.speech import SpeechError, spoken, voices
from unitd.config import SoundTable
from unitd.messages.workers import Fault, WarningWanted
from unitd.prompts import prompt_names, warning_names
from unitd.runtime.logs import Logger

SPOKEN = ""
"""The name, to the mixer, of a text that is spoken: no recording has it."""


class Tell(Protocol):
    def __call__(self, name: str, /, **data: str | int) -> None: ...


class Words:
    """Lives on the loop; `prepare` is for a thread. `play(number, name, samples)` gives sound to the mixer, `tell` an
    event to core. A newer order takes the place of one that is being made into speech."""

    def __init__(
        self, sound: SoundTable | None, log: Logger, play: Callable[[int, str, I16], None], tell: Tell
    ) -> None:
        table = sound if sound is not None else SoundTable()
        self._languages = (table.language, *table.more_languages)
        self._site_dir = table.site_dir
        self._library = Library(self._languages, table.site_dir, log)
        self._log, self._play, self._tell = log, play, tell
        self._number: int | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._texts: dict[int, tuple[str, str]] = {}
        self._speech_error = ""

    def prompt(self, name: str) -> I16 | None:
        return self._library.prompt(name)

    def prepare(self) -> None:
        """Load what the first call would otherwise wait for. Blocks; before anything else is asked."""
        voices()
        for name in prompt_names():
            self._library.prompt(name)
        for name in warning_names(self._site_dir, self._languages):
            self._library.warning(name)

    def order(self, wanted: WarningWanted | None) -> None:
        """What core wants said once; the same number is not said twice."""
        if wanted is None or wanted.number == self._number:
            return
        self._number = wanted.number
        self._stop()
        if wanted.speak:
            self._speaking = asyncio.create_task(self._speak(wanted), name="speech")
            return
        samples = self._library.warning(wanted.name)
        if samples is None:
            self._log.warning("no such warning", name=wanted.name)
            return
        self._play(wanted.number, wanted.name, samples)

    def played(self, number: int, name: str) -> None:
        """The mixer has played it to its end."""
        words = self._texts.pop(number, None)
        if words is None:
            self._tell("warning_played", number=number, name=name)
        else:
            self._tell("spoken", number=number, words=words[0], language=words[1])

    def faults(self) -> tuple[Fault, ...]:
        bad = [Fault(code="sound_file_bad", subject=file, text=why) for file, why in self._library.problems.items()]
        if self._speech_error:
            bad.append(Fault(code="speech_failed", text=self._speech_error))
        return tuple(bad[:16])

    async def close(self) -> None:
        task = self._speaking
        self._stop()
        if task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _stop(self) -> None:
        if self._speaking is not None:
            self._speaking.cancel()
            self._speaking = None

    async def _speak(self, wanted: WarningWanted) -> None:
        known = voices()
        language = next((each for each in (wanted.language, *self._languages, "en") if each in known), "en")
        try:
            samples = await spoken(wanted.speak, known[language])
        except SpeechError as error:
            self._speech_error = str(error)
            self._log.error("text not said", number=wanted.number, error=str(error))
            self._tell("speak_failed", number=wanted.number, words=wanted.speak, error=str(error))
            return
        self._speech_error = ""
        self._texts = {wanted.number: (wanted.speak, language)}
        self._play(wanted.number, SPOKEN, samples)
