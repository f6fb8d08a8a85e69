"""The small picture's libraries: a child loads them before this process does, which stands still while it loads."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from unitd.call.picture import low_libraries
from unitd.call.picture.low_encoder import encoders
from unitd.call.picture.low_libraries import DECODER, load


class Loader:
    """Notes who loads what, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        self.did: list[str] = []
        self._error = error
        monkeypatch.setattr(low_libraries, "_loaded", set())
        factory = SimpleNamespace(find=self._find, make=lambda name: self.did.append(f"loaded {name}"))
        monkeypatch.setattr(low_libraries, "Gst", SimpleNamespace(ElementFactory=factory))
        monkeypatch.setattr(low_libraries.subprocess, "run", self._run)

    def _find(self, name: str) -> Any:
        if name == "absent":
            return None
        return SimpleNamespace(get_plugin=lambda: SimpleNamespace(get_filename=lambda: f"/lib/{name}.so"))

    def _run(self, command: list[str], **_: Any) -> None:
        self.did += [f"child {path}" for path in command[5:]]
        if self._error is not None:
            raise self._error


def test_a_child_loads_before_this_process_does_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = Loader(monkeypatch)
    load(("a", "absent", "b"))
    assert loader.did == ["child /lib/a.so", "child /lib/b.so", "loaded a", "loaded absent", "loaded b"]
    loader.did.clear()
    load(("b", "c"))
    assert loader.did == ["child /lib/c.so", "loaded c"]


@pytest.mark.parametrize("error", [OSError("no room"), subprocess.TimeoutExpired("python", 20)])
def test_without_a_child_it_is_loaded_all_the_same(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    loader = Loader(monkeypatch, error)
    load(("a",))
    assert loader.did == ["child /lib/a.so", "loaded a"]


def test_the_child_can_load_what_there_really_is() -> None:
    paths = [low_libraries._path_of(name) for name in (DECODER, *encoders()[:1])]
    assert len(paths) == 2 and None not in paths
    command = [sys.executable, "-I", "-S", "-c", low_libraries._LOAD, *map(str, paths)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
