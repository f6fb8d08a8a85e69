"""The simulated camera, a stand-in for core, and the processes `record` and `sense`, for contract tests."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from unitd.messages.workers import Desired, Event, FromWorker, Health

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 20.0


def until(condition: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
    """Wait for a condition; returns its first true value."""
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.01)
    return value


class SimCamera:
    """A simulated camera in a process of its own."""

    def __init__(self, base: Path, *extra: str) -> None:
        self._control = base / "camera.sock"
        command = [sys.executable, "-m", "hw_sim.devices.camera", "--control", str(self._control), "--exit-with-parent"]
        command += ["--main", "320x180@20:400000", "--sub", "320x180@10:200000", *extra]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        self.main, self.sub = ready["urls"]["main"], ready["urls"]["sub"]

    def ask(self, **request: Any) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(LIMIT_S)
            client.connect(str(self._control))
            client.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(client.makefile().readline())
        assert answer.pop("ok"), answer
        return answer

    def fault(self, mode: str | None) -> None:
        self.ask(op="fault", mode=mode)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(LIMIT_S)
        if self.process.stdout is not None:
            self.process.stdout.close()


class StandInCore:
    """Core's end of core.sock for one worker after another: says what is desired, keeps what is reported."""

    def __init__(self, run_dir: Path) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(run_dir / "core.sock"))
        self._server.listen()
        self._peers: list[socket.socket] = []
        self.desired = Desired(session=1, number=1)
        self.events: list[Event] = []
        self.health = Health()
        threading.Thread(target=self._accept, daemon=True).start()

    def want(self, **changes: Any) -> None:
        self.desired = msgspec.structs.replace(self.desired, number=self.desired.number + 1, **changes)
        for peer in self._peers:
            self._tell(peer)

    def faults(self) -> set[str]:
        return {fault.code for fault in self.health.faults}

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    def close(self) -> None:
        for peer in [*self._peers, self._server]:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            peer.close()

    def _tell(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            peer.sendall(msgspec.json.encode(self.desired) + b"\n")

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._server.accept()
                self._peers.append(peer)
                self._tell(peer)
                threading.Thread(target=self._read, args=(peer,), daemon=True).start()

    def _read(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in peer.makefile("rb"):
                message: FromWorker = msgspec.json.decode(line, type=FromWorker)
                if isinstance(message, Event):
                    self.events.append(message)
                elif isinstance(message, Health):
                    self.health = message


class Bench:
    """A directory with a unit's configuration, the camera, and the stand-in core."""

    def __init__(self, base: Path, camera: SimCamera, **tables: Any) -> None:
        self.base, self.camera = base, camera
        self.run, self.state, self.evidence = base / "run", base / "state", base / "evidence"
        self.run.mkdir()
        self.config = base / "unit.toml"
        config = {
            "schema": 1,
            "paths": {"state_dir": str(self.state), "run_dir": str(self.run), "evidence_dir": str(self.evidence)},
            "cameras": [{"name": "dome", "main_url": camera.main, "sub_url": camera.sub}],
            "ring": {"segment_s": 2.0},
            **tables,
        }
        self.config.write_bytes(tomli_w.dumps(config).encode())
        self.core = StandInCore(self.run)

    @contextmanager
    def process(self, name: str) -> Iterator["subprocess.Popen[str]"]:
        """`unitd NAME`, ended by SIGTERM, which must succeed."""
        log = (self.base / f"{name}.log").open("w")
        command = [sys.executable, "-m", "unitd", name, "--config", str(self.config)]
        process = subprocess.Popen(command, stdout=log, stderr=log, text=True, cwd=ROOT)
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(5.0) == 0, (self.base / f"{name}.log").read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            log.close()

    def lock(self, incident: str, from_mono_ns: int = 0) -> None:
        (self.state / "locks").mkdir(parents=True, exist_ok=True)
        lock = {"incident_id": incident, "from_boot": 1, "from_mono_ns": from_mono_ns}
        (self.state / "locks" / f"{incident}.json").write_text(json.dumps(lock))

    def segments(self) -> list[Path]:
        return sorted((self.evidence / "dome").glob("*.mp4"))


def rss_mb(process: "subprocess.Popen[str]") -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
