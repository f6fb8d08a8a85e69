"""systemd keeps a descriptor that core stored while no core runs: its unit, a real systemd, a FIFO for the line.

The kernel's side, edges that queue in a GPIO line, is proved in a virtual machine: tests/vm.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.nspawn import ROOT, Container, booted, make_tree, wait_until

PROBE = "fd-store-probe.service"
PROGRAM = "/opt/unitd/.venv/bin/python3 -m tests.system.fd_store_program"


@dataclass
class Probe:
    container: Container
    place: Path

    def lives(self) -> list[dict[str, Any]]:
        """What each life of the program reported so far."""
        try:
            return [json.loads(line) for line in (self.place / "report").read_text(encoding="utf-8").splitlines()]
        except FileNotFoundError:
            return []

    def life(self, number: int) -> dict[str, Any]:
        """What the life of this number (from 1) reported; waits for it."""
        wait_until(lambda: len(self.lives()) >= number, 10, f"life {number} of the probe")
        wait_until(lambda: self.container.active(PROBE), 10, "READY")
        return self.lives()[number - 1]

    def write(self, edges: str) -> None:
        """Into the FIFO, by a short-lived writer, as a finger would."""
        self.container.run("sh", "-c", f"printf %s {edges} 1<>/run/probe/line")

    def stored(self) -> str:
        return self.container.show(PROBE, "NFileDescriptorStore")["NFileDescriptorStore"]


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    scratch = tmp_path_factory.mktemp("nspawn")
    tree = scratch / "tree"
    make_tree(tree)
    system = tree / "etc/systemd/system"
    for link in system.glob("unitd.target.wants/*"):  # the unit's own processes have no part in this
        link.unlink()
    core = (ROOT / "systemd/unitd-core.service").read_text(encoding="utf-8")
    text, count = re.subn(r"(?m)^ExecStart=.*$", f"ExecStart={PROGRAM} /run/probe/line /run/probe/report", core)
    assert count == 1
    text = text.replace("RestartSec=100ms", "RestartSec=1s")  # room for the press, however slow this machine is
    text = re.sub(r"(?m)^(PartOf|WatchdogSec|WantedBy)=.*$", "", text)
    text = re.sub(r"(?m)^WorkingDirectory=.*$", "WorkingDirectory=/opt/unitd\nReadWritePaths=/run/probe", text)
    (system / PROBE).write_text(text, encoding="utf-8")
    with booted(scratch, tree) as container:
        container.run("sh", "-c", "mkdir -m 777 /run/probe && mkfifo -m 666 /run/probe/line")
        yield Probe(container, Path(f"/proc/{container.leader}/root/run/probe"))


def test_a_stored_line_outlives_a_killed_process_with_what_happened_meanwhile(probe: Probe) -> None:
    probe.container.run("systemctl", "start", PROBE)
    assert probe.life(1)["inherited"] == 0
    wait_until(lambda: probe.stored() == "1", 5, "systemd has the descriptor")
    for life in (2, 3):  # the copy is not used up by being handed over
        started = time.monotonic()
        probe.container.signal(PROBE, "KILL")
        probe.write(f"press{life}")
        now = probe.life(life)
        assert (now["inherited"], now["waited"]) == (1, f"press{life}")
        print(f"back with the press after {time.monotonic() - started:.2f} s")
    assert probe.stored() == "1"


def test_an_orderly_restart_keeps_it_and_a_stop_lets_it_go(probe: Probe) -> None:
    probe.container.run("systemctl", "restart", PROBE)
    assert probe.life(4)["inherited"] == 1
    probe.container.run("systemctl", "stop", PROBE)
    assert probe.stored() == "0"
    probe.container.run("systemctl", "start", PROBE)
    assert probe.life(5)["inherited"] == 0
