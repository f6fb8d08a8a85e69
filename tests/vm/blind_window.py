"""Proof in a virtual machine that no press is lost while core starts again: the real driver on a real kernel's GPIO
character device, the real systemd, core killed with -9, the button pressed while no core runs.

usage: python3 -m tests.vm.blind_window [--rounds N] [--keep DIR]      (root; three to six minutes, 225 MB at first)

Prints one line for each press; exit 1 when one was lost, doubled, or has the wrong time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hw_sim.pki import Pki
from tests.system.nspawn import ROOT, make_tree
from tests.vm.guest_kernel import guest_kernel
from tests.vm.virtual_machine import run_machine

UNIT = "pole-virtual"
PORT = 8883
LIMIT_S = 780.0
EDGE_WITHIN_MS = 100.0
"""Of the moment at which the guest's program moves the line: 1 to 12 ms were seen, a busy host may take longer. Core
reads the edge seconds later."""
SPARK_MS = 5.0
"""The glitch filter promises to let go of a closure that is shorter."""
CONFIG = f"""
schema = 1
[unit]
id = "{UNIT}"
[button]
driver = "kernel"
[[brokers]]
name = "main"
host = "127.0.0.1"
port = {PORT}
"""
# Core's own unit but for the lamps, which have no pins here, and the patience that an emulated machine needs.
DROP_IN = """
[Service]
Environment=GPIOZERO_PIN_FACTORY=mock
TimeoutStartSec=120
WatchdogSec=120
"""
SERVICE = """
[Unit]
DefaultDependencies=no
After=basic.target
[Service]
WorkingDirectory=/opt/unitd
ExecStart=/opt/unitd/.venv/bin/python3 -m {program}
StandardOutput=journal+console
[Install]
WantedBy=multi-user.target
"""


def lay_out(tree: Path, rounds: int) -> Path:
    """The guest's root file system; returns where its report will be."""
    make_tree(tree)
    system = tree / "etc/systemd/system"
    units = [*(f"unitd-{name}.service" for name in ("core", "field", "record", "call", "sense")), "unitd.target"]
    subprocess.run(["systemctl", f"--root={tree}", "disable", *units], check=True, capture_output=True)
    drop_in = system / "unitd-core.service.d"
    drop_in.mkdir()
    (drop_in / "test.conf").write_text(DROP_IN, encoding="utf-8")
    control_room = tree / "srv/control-room"
    mine = Pki(control_room).unit(UNIT)
    tls = tree / "etc/unitd/tls"
    tls.mkdir(parents=True, exist_ok=True)
    for source, name in ((mine.ca_file, "ca.pem"), (mine.cert_file, "unit.pem"), (mine.key_file, "unit.key")):
        shutil.copy(source, tls / name)
    (tree / "etc/unitd/unit.toml").write_text(CONFIG, encoding="utf-8")
    programs = {
        "control-room": f"tests.system.control_room_program {PORT} /srv/control-room",
        "proof": f"tests.vm.guest_program /srv/report.json /srv/control-room/seen.json {rounds}",
    }
    for name, program in programs.items():
        (system / f"{name}.service").write_text(SERVICE.format(program=program), encoding="utf-8")
        subprocess.run(["systemctl", f"--root={tree}", "enable", f"{name}.service"], check=True, capture_output=True)
    return tree / "srv/report.json"


def fault(told: dict[str, Any]) -> str:
    """What is wrong with one round; empty when it is as it must be."""
    if told["round"] == "blind, a spark" and told["touched_ms"] > SPARK_MS:
        return ""  # this machine was too slow to make one
    if told["delivered"] != told["expected"]:
        return f"{told['delivered']} presses delivered, not {told['expected']}"
    if told["delivered"] and not 0 <= told["edge_after_touch_ms"] <= EDGE_WITHIN_MS:
        return f"the edge's time is {told['edge_after_touch_ms']} ms off"
    if told["round"].startswith("blind"):
        if told["taken_over_after_release_s"] <= 0:
            return "core was back before the button was let go: no proof"
        if not told["adopted"] or told["waiting_edges"] == 0:
            return "the line was not taken over with its edges"
    return ""


def prove(place: Path, rounds: int) -> tuple[dict[str, Any], list[str]]:
    """Run it in `place`, empty; returns what the guest reported, and the faults."""
    kernel = guest_kernel(ROOT / "build/vm")
    report = lay_out(place / "tree", rounds)
    console = run_machine(place, place / "tree", kernel, LIMIT_S)
    if not report.exists():
        return {}, [f"no report; the guest's console:\n{console}"]
    facts: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    if "error" in facts:
        return facts, [f"{facts['error']}\n{facts['journal']}"]
    return facts, [f"{told['round']}: {why}" for told in facts["rounds"] if (why := fault(told))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="plain presses with core dead")
    parser.add_argument("--keep", type=Path, help="work here, and leave it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        facts, faults = prove(options.keep or Path(scratch), options.rounds)
    for told in facts.pop("rounds", []):
        print(" ".join(f"{key}={value}" for key, value in told.items()))
    print(" ".join(f"{key}={value}" for key, value in facts.items() if key not in ("error", "journal")))
    for why in faults:
        print(f"fault: {why}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
