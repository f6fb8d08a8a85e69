"""A camera stream reconnects for ever, says in time that it stalled or is lost, and replaces a thread that hangs."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import structlog
from pytest_mock import MockerFixture

from tests.unit.record.samples import FPS, INFO, units
from unitd.config import CameraTable
from unitd.errors import DeviceError
from unitd.messages.media import AccessUnit, Profile
from unitd.record.backlog import SessionUnit
from unitd.record.camera import CameraHungError, CameraStream

TABLE = CameraTable(name="dome", main_url="rtsp://camera/main")


def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Script:
    """A camera that plays sessions as told; each opening takes the next step."""

    def __init__(self, *steps: Callable[[], Iterator[AccessUnit]]) -> None:
        self.steps = list(steps)
        self.opened = self.closed = 0

    def open(self, camera: CameraTable, profile: Profile) -> "Session":
        self.opened += 1
        if not self.steps:
            raise DeviceError("refused")
        return Session(self, self.steps.pop(0))


class Session:
    info = INFO
    client = "own/tcp"
    hearing = False
    mended_times = 0
    damaged_units = 0

    def __init__(self, script: Script, step: Callable[[], Iterator[AccessUnit]]) -> None:
        self._script, self.units = script, step

    def on_waiting(self, waiting: Callable[[str], bool]) -> None:
        pass

    def on_reading(self, rest: Callable[[], bool]) -> None:
        pass

    def close(self) -> None:
        self._script.closed += 1


def broken_after(count: int) -> Callable[[], Iterator[AccessUnit]]:
    def play() -> Iterator[AccessUnit]:
        yield from units(count)
        raise DeviceError("no picture for 2 s")

    return play


class Rig:
    def __init__(self, script: Script) -> None:
        self.items: list[SessionUnit] = []
        self.script = script
        self.stream = CameraStream(TABLE, "main", script.open, [self.items.append], structlog.get_logger())


@pytest.fixture(autouse=True)
def quick(mocker: MockerFixture) -> None:
    mocker.patch("unitd.record.camera.FIRST_PAUSE_S", 0.01)
    mocker.patch("unitd.record.camera.LONGEST_PAUSE_S", 0.02)
    mocker.patch("unitd.record.camera.LOST_AFTER_S", 0.5)


def test_it_reconnects_for_ever_with_a_new_session_and_closes_each_one() -> None:
    rig = Rig(Script(broken_after(FPS), broken_after(5)))
    rig.stream.start()
    until(lambda: rig.script.opened >= 6)
    rig.stream.stop()
    assert len(rig.items) == FPS + 5
    assert len({item.session for item in rig.items}) == 2
    assert rig.script.closed == 2
    assert rig.stream.reading.sessions == 2


def test_a_stall_is_said_at_once_and_a_loss_later() -> None:
    rig = Rig(Script(broken_after(3)))
    rig.stream.start()
    seen = []
    until(lambda: seen.append(rig.stream.state()) or seen[-1] == "lost")
    rig.stream.stop()
    order = list(dict.fromkeys(state for state in seen if state in ("stalled", "lost")))
    assert order == ["stalled", "lost"]
    assert rig.stream.reading.error == "refused"
    assert rig.stream.state() == "idle"


def test_a_hung_thread_is_replaced_and_too_many_are_an_error(mocker: MockerFixture) -> None:
    mocker.patch("unitd.record.camera.HUNG_AFTER_S", 0.05)
    let_go = threading.Event()

    def hang() -> Iterator[AccessUnit]:
        let_go.wait(20.0)
        return iter(())

    rig = Rig(Script(*[hang] * 10))
    rig.stream.start()

    def watched_to_the_end() -> bool:
        try:
            rig.stream.watch()
        except CameraHungError:
            return True
        return False

    until(watched_to_the_end)
    assert rig.script.opened == 4
    let_go.set()
    rig.stream.stop()
