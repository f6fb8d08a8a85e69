"""However a camera goes silent: found within 3 s, and its pictures there again within 5 s of its being back.

The worst of the ways in `make test`, all of them, at several moments, with UNITD_TEST_LONG=1.
"""

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
import structlog

from tests.contract.rtsp_bench import SimCamera, until
from unitd.config import CameraTable
from unitd.drivers.camera import CameraOpener
from unitd.messages.media import AccessUnit
from unitd.record.backlog import SessionUnit
from unitd.record.camera import CameraStream

FOUND_WITHIN_S = 3.2
"""3 s and what a busy machine needs to look."""

BACK_WITHIN_S = 5.0
LONG = bool(os.environ.get("UNITD_TEST_LONG"))
DOWN_S = (3.0, 3.6, 4.1, 4.7, 5.2, 20.0)
"""So that the camera is back at another point of an attempt each time."""


class Relay:
    """Between the unit and the camera: passes on, or swallows what both say and lets nobody notice."""

    def __init__(self, url: str) -> None:
        self._there = urlsplit(url)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = url.replace(f":{self._there.port}", f":{self._server.getsockname()[1]}")
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.swallows = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended = True
        self._thread.join(5.0)
        for one in [self._server, *(end for pair in self._pairs for end in pair)]:
            one.close()

    def _run(self) -> None:
        while not self._ended:
            others = {a: b for pair in self._pairs for a, b in (pair, pair[::-1])}
            ready, _, _ = select.select([self._server, *others], [], [], 0.05)
            for one in ready:
                if one is self._server:
                    near, _ = self._server.accept()
                    self._pairs.append((near, socket.create_connection((self._there.hostname, self._there.port))))
                    continue
                try:
                    data = one.recv(65_536)
                    if data and not self.swallows:
                        others[one].sendall(data)
                except OSError:
                    data = b""
                if not data:
                    pair = next(pair for pair in self._pairs if one in pair)
                    self._pairs.remove(pair)
                    for end in pair:
                        end.close()
                    break


class Watch:
    """A camera's stream as `record` keeps it, and when its pictures came."""

    def __init__(self, url: str, **fields: Any) -> None:
        self.last = 0.0
        log = structlog.get_logger()
        table = CameraTable(name="dome", main_url=url, **fields)
        self.stream = CameraStream(table, "main", CameraOpener().open, [self._take], log)
        self.stream.start()

    def _take(self, item: SessionUnit) -> None:
        if isinstance(item.unit, AccessUnit):
            self.last = time.monotonic()

    def flows(self) -> bool:
        return self.stream.state() == "streaming" and time.monotonic() - self.last < 0.5


@contextmanager
def watching(url: str, **fields: Any) -> Iterator[Watch]:
    watch = Watch(url, **fields)
    try:
        until(watch.flows, "pictures")
        yield watch
    finally:
        watch.stream.stop()


def judge(watch: Watch, silence: Callable[[], object], back: Callable[[], object], down_s: float) -> None:
    silence()
    began = time.monotonic()
    until(lambda: watch.stream.state() in ("stalled", "lost"), "found out")
    assert time.monotonic() - began < FOUND_WITHIN_S
    until(lambda: time.monotonic() - began > down_s, "the silence is over", down_s + 5.0)
    back()
    began = time.monotonic()
    until(lambda: watch.last > began, "pictures again")
    assert watch.last - began < BACK_WITHIN_S


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimCamera]:
    made = SimCamera(tmp_path_factory.mktemp("camera"))
    yield made
    made.close()


Silence = tuple[str, Callable[[bool], object], dict[str, Any]]


@contextmanager
def frozen(camera: SimCamera) -> Iterator[Silence]:
    pid = camera.process.pid
    try:
        yield camera.main, lambda on: os.kill(pid, signal.SIGSTOP if on else signal.SIGCONT), {}
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def swallowed(camera: SimCamera) -> Iterator[Silence]:
    """By the network, in established connections as in new ones."""
    relay = Relay(camera.main)
    with contextlib.closing(relay):
        yield relay.url, lambda on: setattr(relay, "swallows", on), {}


@contextmanager
def restarted(camera: SimCamera) -> Iterator[Silence]:
    yield camera.main, lambda on: camera.fault("off" if on else None), {}


@contextmanager
def silent_by_udp(camera: SimCamera) -> Iterator[Silence]:
    yield camera.main, lambda on: camera.fault("frozen" if on else None), {"transport": "udp"}


WAYS = (
    [(frozen, (4.0,)), (swallowed, DOWN_S), (restarted, (3.5,)), (silent_by_udp, (4.0,))]
    if LONG
    else [(swallowed, (3.3,))]
)


@pytest.mark.parametrize(("way", "down"), WAYS)
def test_a_camera_that_falls_silent(
    camera: SimCamera, way: Callable[[SimCamera], AbstractContextManager[Silence]], down: tuple[float, ...]
) -> None:
    with way(camera) as (url, silence, fields), watching(url, **fields) as watch:
        for down_s in down:
            judge(watch, lambda: silence(True), lambda: silence(False), down_s)
            until(watch.flows, "pictures")


@pytest.mark.parametrize("what", ["half", "bye"] if LONG else ["bye"])
def test_half_a_picture_and_then_nothing(camera: SimCamera, what: Literal["half", "bye"]) -> None:
    with watching(camera.main) as watch:
        began = time.monotonic()
        camera.ask(op="disturb", what=what)
        until(lambda: watch.stream.reading.sessions == 2, "a session anew")
        assert time.monotonic() - began < FOUND_WITHIN_S
        until(watch.flows, "pictures")


if LONG:

    def test_a_camera_that_never_answers_takes_nobody_along(camera: SimCamera) -> None:
        camera.fault("hung")
        watch = Watch(camera.main)
        try:
            until(lambda: watch.stream.state() == "lost", "found out")
            camera.fault(None)
            began = time.monotonic()
            until(watch.flows, "pictures")
            assert time.monotonic() - began < 10.0
        finally:
            camera.fault(None)
            watch.stream.stop()
