"""Real-time text of this unit: the desk, the panel's port and what core wants of them, in one place for `call`."""

from collections.abc import Callable
from pathlib import Path

from unitd.call.text.desk import TextDesk
from unitd.call.text.panel import PanelPort, Show, ShownLine
from unitd.config import Config
from unitd.messages.workers import Desired
from unitd.model.microphone import OPEN_IN
from unitd.runtime.logs import Logger

Tell = Callable[[str | None, dict[str, str]], None]


class Texts:
    """`tell(incident_id, data)` gets each line as the data of worker event `text`. On the loop; `run` is a service."""

    def __init__(self, config: Config, log: Logger, tell: Tell) -> None:
        self._tell = tell
        self._quick_answers = config.call.quick_answers
        self._language = config.sound.language if config.sound is not None else "en"
        self.desk = TextDesk(self._told, self._show)
        path = Path(config.paths.run_dir) / "panel.sock"
        self._panel = PanelPort(path, log, self.desk.typed, self._quick, self._state)

    async def run(self) -> None:
        """Serve the panel's display until cancelled."""
        await self._panel.run()

    def follow(self, desired: Desired | None) -> None:
        """Letters are taken where the caller's voice may be: in an incident that a person started, never in a watch. An
        operator who mutes the microphone does not stop them."""
        call = desired.call if desired is not None else None
        if desired is None or call is None or call.watch:
            self.desk.follow(None)
            return
        incident = desired.incident
        served = incident if incident is not None and incident.incident_id == call.incident_id else None
        is_open = call.microphone or (served is not None and served.kind in OPEN_IN)
        self.desk.follow(call.incident_id, served.stage if served is not None else "", is_open)
        self.desk.show_lines(call.texts)

    @property
    def facts(self) -> dict[str, int]:
        """What was cut of a flood, and what came while nothing was taken; letters."""
        return {"text.cut": self.desk.cut_letters, "text.refused": self.desk.refused_letters}

    def _told(self, who: str, by: str, words: str) -> None:
        self._tell(self.desk.incident_id, {"from": who, "by": by, "words": words})

    def _quick(self, place: int) -> None:
        if place < len(self._quick_answers):
            self.desk.answered(self._quick_answers[place])

    def _show(self) -> None:
        self._panel.show()

    def _state(self) -> Show:
        if not self.desk.is_open or self.desk.incident_id is None:
            return Show(language=self._language)
        return Show(
            incident=self.desk.incident_id,
            stage=self.desk.stage,
            lines=tuple(ShownLine(who=x.who, text=x.text, done=x.done, by=x.by) for x in self.desk.lines),
            quick_answers=self._quick_answers,
            language=self._language,
        )
