"""One profile of one camera, kept open for ever: a thread that reads, reconnects, and is replaced when it hangs."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from unitd.config import CameraTable
from unitd.errors import DeviceError
from unitd.messages.media import AccessUnit, MediaUnit, Profile, StreamInfo
from unitd.record.backlog import SessionUnit
from unitd.runtime.logs import Logger
from unitd.runtime.supervise import VitalServiceLostError

STALLED_AFTER_S = 2.0
LOST_AFTER_S = 3.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 1.0
"""With the time for an attempt that nobody answers (2 s) the stream is there again within 5 s of the camera."""

HUNG_AFTER_S = 10.0
"""An open and a read are bounded well below this, but a resolver that hangs is not: the thread gets a successor."""

MAX_HUNG_THREADS = 3

State = Literal["opening", "streaming", "stalled", "lost", "idle"]


class Source(Protocol):
    """One session with a camera, as unitd/drivers/camera.py opens it; blocking, one thread."""

    client: str
    hearing: bool
    """Whether the camera's sound is wanted; without it its packets are dropped before any work. May change any time."""

    @property
    def info(self) -> StreamInfo:
        """What the stream is; another one from the unit on that came with other parameters."""
        ...

    @property
    def mended_times(self) -> int:
        """How many units came with a time that stood still or stepped back."""
        ...

    @property
    def damaged_units(self) -> int:
        """How many units came incomplete."""
        ...

    def units(self) -> Iterator[MediaUnit]:
        """Access units from a keyframe on, sound among them, until DeviceError."""
        ...

    def on_waiting(self, waiting: Callable[[str], bool]) -> None:
        """Have `waiting` called twice a second, with words, while pictures but no keyframe come; False gives up."""
        ...

    def on_reading(self, rest: Callable[[], bool]) -> None:
        """Have `rest` called before each read; True: it let pictures gather, and their arrivals are to be estimated."""
        ...

    def close(self) -> None: ...


OpenSource = Callable[[CameraTable, Profile], Source]
Sink = Callable[[SessionUnit], None]


class CameraHungError(VitalServiceLostError):
    """Too many reading threads hang in FFmpeg: only a new process can free them."""


@dataclass
class Reading:
    """Figures of one stream; written by its thread, read by the loop. Counters only rise."""

    units: int = 0
    bytes: int = 0
    sessions: int = 0
    mended_times: int = 0
    damaged_units: int = 0
    error: str = ""
    client: str = ""
    codec: str = ""
    session: int | None = None
    broken: bool = False
    last_unit: float = 0.0


class CameraStream:
    """Start and stop from the loop; neither blocks. Sinks are called on the reading thread and must not block."""

    def __init__(
        self, camera: CameraTable, profile: Profile, open_source: OpenSource, sinks: list[Sink], log: Logger
    ) -> None:
        self.camera, self.profile = camera, profile
        self.reading = Reading()
        self._open_source, self._sinks = open_source, sinks
        self._log = log.bind(camera=camera.name, profile=profile)
        self._wake = threading.Event()
        self._generation = 0
        self._progress = 0.0
        self._threads: list[threading.Thread] = []
        self._since = time.monotonic()
        self.running = False
        self.hearing = False
        """Whether the camera's sound is wanted; set by the loop."""
        self.patience_s: Callable[[], float] = lambda: 0.0
        """How long pictures may gather before they are read; from any thread."""
        self._hurry = threading.Event()

    def start(self) -> None:
        if self.running:
            return
        self.running = True
        self._since = time.monotonic()
        self.reading.last_unit, self.reading.broken = 0.0, False
        self._spawn()

    def stop(self) -> None:
        """The thread ends by itself within its time-outs."""
        self.running = False
        self._generation += 1
        self.reading.session = None
        self._wake.set()

    def hurry(self) -> None:
        """`patience_s` has become less: what has gathered is read at once."""
        self._hurry.set()

    def silent_s(self) -> float:
        """How long since the last access unit, or since the start when there has been none."""
        return time.monotonic() - max(self.reading.last_unit, self._since)

    def state(self) -> State:
        if not self.running:
            return "idle"
        silent_s = self.silent_s()
        if silent_s > LOST_AFTER_S:
            return "lost"
        if self.reading.broken or (self.reading.session is not None and silent_s > STALLED_AFTER_S):
            return "stalled"
        return "opening" if self.reading.session is None else "streaming"

    def watch(self) -> None:
        """Replace a thread that hangs. Raises CameraHungError past MAX_HUNG_THREADS. Call about each second."""
        if not self.running or time.monotonic() - self._progress < HUNG_AFTER_S:
            return
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        hung = len(self._threads)
        self._log.error("reading thread hangs and is replaced", after_s=HUNG_AFTER_S, hung=hung)
        if hung > MAX_HUNG_THREADS:
            raise CameraHungError(f"{self.camera.name}/{self.profile}")
        self._spawn()

    def _spawn(self) -> None:
        self._generation += 1
        self._progress = time.monotonic()
        self._wake.clear()
        name = f"read {self.camera.name}/{self.profile}"
        thread = threading.Thread(target=self._run, args=(self._generation,), name=name, daemon=True)
        self._threads = [*(old for old in self._threads if old.is_alive()), thread]
        thread.start()

    def _current(self, generation: int) -> bool:
        self._progress = time.monotonic() if generation == self._generation else self._progress
        return generation == self._generation

    def _run(self, generation: int) -> None:
        pause_s = FIRST_PAUSE_S
        while self._current(generation):
            opened = time.monotonic()
            try:
                self._session(generation)
            except DeviceError as error:
                if generation == self._generation:
                    self._lost(str(error))
            except Exception as error:  # noqa: BLE001 - whatever a camera sends, the next session is tried
                self._lost(repr(error))
            pause_s = FIRST_PAUSE_S if time.monotonic() - opened > LOST_AFTER_S else min(pause_s * 2, LONGEST_PAUSE_S)
            if self._current(generation):
                self._wake.wait(pause_s)

    def _lost(self, error: str) -> None:
        if self.reading.session is not None or error != self.reading.error:
            self._log.warning("camera stream lost", error=error, silent_s=round(self.silent_s(), 1))
        self.reading.broken = self.reading.broken or self.reading.session is not None
        self.reading.error = error
        self.reading.session = None

    def _rest(self) -> bool:
        if not self.patience_s():
            return False
        self._hurry.clear()
        if patience_s := self.patience_s():  # asked again: who was in a hurry just now is not forgotten
            self._hurry.wait(patience_s)
        return True

    def _waits(self, generation: int, words: str) -> bool:
        if generation == self._generation and words != self.reading.error:
            self._lost(words)
        return self._current(generation)

    def _session(self, generation: int) -> None:
        source = self._open_source(self.camera, self.profile)
        source.on_waiting(lambda words: self._waits(generation, words))
        source.on_reading(self._rest)
        source.hearing = self.hearing
        try:
            session, info = 0, None
            for unit in source.units():
                if not self._current(generation):
                    return
                source.hearing = self.hearing
                if source.info is not info:  # at first, and when the camera changed its parameters: a session anew
                    session, info = time.monotonic_ns(), source.info
                reading = self.reading
                if reading.session != session:
                    reading.sessions += 1
                    reading.session, reading.error, reading.broken = session, "", False
                    reading.client, reading.codec = source.client, info.codec
                    self._log.info(
                        "camera stream opened",
                        client=source.client,
                        codec=info.codec,
                        width=info.width,
                        height=info.height,
                    )
                reading.units += 1
                reading.bytes += len(unit.data)
                if isinstance(unit, AccessUnit):
                    reading.last_unit = time.monotonic()
                item = SessionUnit(session, info, unit)
                for sink in self._sinks:
                    sink(item)
        finally:
            self.reading.mended_times += source.mended_times
            self.reading.damaged_units += source.damaged_units
            source.close()
