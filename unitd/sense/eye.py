"""The thread that looks: pictures in, motion out to the loop; reconnects for ever."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from unitd.config import MotionTable
from unitd.errors import DeviceError
from unitd.messages.media import Profile
from unitd.runtime.logs import Logger
from unitd.sense.motion import Motion, MotionDetector
from unitd.sense.picture import PictureClient

RETRY_S = 1.0


class Eye:
    """`on_motion` and `beat` are called on the thread and must not block. `stop` blocks up to a second."""

    def __init__(
        self,
        path: Path,
        table: MotionTable,
        profile: Profile,
        log: Logger,
        on_motion: Callable[[Motion, float], None],
        beat: Callable[[], None],
    ) -> None:
        self._path, self._table, self._profile = path, table, profile
        self._log = log.bind(camera=table.camera)
        self._on_motion, self._beat = on_motion, beat
        self._detector = MotionDetector(table.area_percent, table.hold_off_s)
        self._stop = threading.Event()
        self._learn = False
        self.decoded = 0
        self.error = ""
        self._thread = threading.Thread(target=self._run, name="eye", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(1.0)

    def learn(self) -> None:
        """The camera is about to move: from any thread."""
        self._learn = True

    def learning(self) -> bool:
        return self._detector.learning(time.monotonic())

    def moving(self) -> bool:
        return self._detector.moving(time.monotonic())

    def _run(self) -> None:
        while not self._stop.is_set():
            self._beat()
            try:
                self._watch()
            except DeviceError as error:
                if str(error) != self.error:
                    self._log.warning("no pictures", error=str(error))
                self.error = str(error)
            self._stop.wait(RETRY_S)

    def _watch(self) -> None:
        client = PictureClient(self._path, self._table.camera, self._profile, self._beat)
        before = self.decoded
        try:
            self._learn = True
            for picture, now in client.pictures():
                if self._stop.is_set():
                    return
                if self.error or self.decoded == before:
                    self._log.info("looking", profile=self._profile)
                self.error = ""
                if self._learn:
                    self._learn = False
                    self._detector.learn(now)
                motion = self._detector.look(picture, now)
                self.decoded = before + client.decoded
                self._beat()
                if motion is not None:
                    self._on_motion(motion, now)
        finally:
            client.close()
