"""The units as an installer gets them, booted once for real by systemd in a container.

One boot serves all tests here, in the order they are written; each leaves the unit armed and idle or says so.
The press comes from the simulated pins, over a socket bound into the container; broker and hub run inside.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hw_sim.devices.gpio_bench import GpioBench
from hw_sim.pki import Pki
from tests.system.nspawn import Container, booted, make_tree, wait_until

UNIT = "pole-nspawn"
BUTTON, YELLOW = 17, 22
PROCESSES = ("core", "field", "record", "call", "sense")
WORKERS = PROCESSES[1:]
BROKER_PORT = 8883
WORKER_WATCHDOG_S = 6
"""Shorter than in the field, so that a hung worker is seen within the test's time. Core keeps its own."""
CORE_WATCHDOG_S = 10
CORE_START_S = 5
HANG = "/run/unitd/hang"
"""While this file is there, the next core hangs at its start (tests/system/hangs)."""

CONFIG = f"""
schema = 1
[unit]
id = "{UNIT}"
[[brokers]]
name = "main"
host = "127.0.0.1"
port = {BROKER_PORT}
"""

CORE_DROP_IN = f"""
[Service]
TimeoutStartSec={CORE_START_S}
Environment=GPIOZERO_PIN_FACTORY=hwsim HW_SIM_GPIO=/run/hw-sim/gpio.sock
Environment=PYTHONPATH=/opt/unitd/tests/system/hangs HANG_IMPORT=hw_sim.devices.gpio HANG_ONCE={HANG}
"""

CONTROL_ROOM_UNIT = f"""
[Service]
WorkingDirectory=/opt/unitd
ExecStart=/opt/unitd/.venv/bin/python3 -m tests.system.control_room_program {BROKER_PORT} /srv/control-room
[Install]
WantedBy=multi-user.target
"""


SPEAKS = (
    "import asyncio; from unitd.call.voice.speech import spoken; "
    "print('samples', len(asyncio.run(spoken('Stay where you are.', 'en-gb'))))"
)


def _in_the_sandbox_of_call(tree: Path, program: str) -> str:
    """A unit like call's own that runs `program` once."""
    whole = (tree / "etc/systemd/system/unitd-call.service").read_text(encoding="utf-8")
    service = whole.partition("[Service]")[2].partition("[Install]")[0]
    not_here = ("Type=", "Exec", "Notify", "Watchdog", "Restart", "Timeout", "FileDescriptor", "Runtime")
    kept = [line for line in service.splitlines() if not line.startswith(not_here)]
    start = f'ExecStart=/opt/unitd/.venv/bin/python3 -c "{program}"'
    return "\n".join(["[Service]", "Type=oneshot", start, "Environment=PYTHONPATH=/opt/unitd", *kept, ""])


@dataclass
class Unit:
    """The booted unit, the pins of its street side, and its control room."""

    container: Container
    bench: GpioBench
    control_room: Path

    def seen(self) -> dict[str, Any]:
        """What the hub knows now."""
        try:
            found: dict[str, Any] = json.loads((self.control_room / "seen.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"units": {}, "incidents": {}, "presses": {}}
        return found

    def armed(self) -> bool:
        known = self.seen()["units"].get(UNIT, {})
        return bool(known.get("online") and known.get("armed"))

    def received(self, incident_id: str) -> bool:
        return self.seen()["incidents"].get(incident_id) not in (None, "raised", "sent")

    def presses(self) -> int:
        """All presses that the hub holds, of all incidents."""
        return sum(self.seen()["presses"].values())

    def wait(self, process: str, pid_before: int, limit_s: float) -> float:
        """Seconds until the process runs again as another one than `pid_before`."""
        unit = f"unitd-{process}.service"
        return wait_until(
            lambda: self.container.active(unit) and self.container.main_pid(unit) not in (0, pid_before),
            limit_s,
            f"{unit} back",
        )

    def press(self) -> str:
        """Press for 200 ms and return the id of the incident that the control room gets to know of it."""
        before = set(self.seen()["incidents"])
        self.bench.press(BUTTON, 200)
        wait_until(lambda: bool(set(self.seen()["incidents"]) - before), 10, "the alarm in the control room")
        (incident_id,) = set(self.seen()["incidents"]) - before
        return str(incident_id)


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unit]:
    scratch = tmp_path_factory.mktemp("nspawn")
    tree = scratch / "tree"
    make_tree(tree)
    system = tree / "etc/systemd/system"
    _drop_in(system / "unitd-core.service.d", CORE_DROP_IN)
    for worker in WORKERS:
        _drop_in(system / f"unitd-{worker}.service.d", f"[Service]\nWatchdogSec={WORKER_WATCHDOG_S}\n")
    control_room = tree / "srv/control-room"
    _lay_out_keys(control_room, tree / "etc/unitd/tls")
    (tree / "etc/unitd/unit.toml").write_text(CONFIG, encoding="utf-8")
    (system / "control-room.service").write_text(CONTROL_ROOM_UNIT, encoding="utf-8")
    (system / "speaks.service").write_text(_in_the_sandbox_of_call(tree, SPEAKS), encoding="utf-8")
    subprocess.run(["systemctl", f"--root={tree}", "enable", "control-room.service"], check=True, capture_output=True)
    pins = scratch / "pins"
    pins.mkdir()
    # The tree is the container's own directory, so what the hub writes there can be read from here.
    with GpioBench(pins / "gpio.sock") as bench:
        (pins / "gpio.sock").chmod(0o777)
        with booted(scratch, tree, f"--bind={pins}:/run/hw-sim") as container:
            try:
                yield Unit(container, bench, control_room)
            finally:
                # Shown by pytest with a failure, lost otherwise.
                print(container.journal("--lines=200"))


def _drop_in(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "test.conf").write_text(text, encoding="utf-8")


def _lay_out_keys(control_room: Path, tls: Path) -> None:
    pki = Pki(control_room)
    mine = pki.unit(UNIT)
    tls.mkdir(parents=True, exist_ok=True)
    shutil.copy(mine.ca_file, tls / "ca.pem")
    shutil.copy(mine.cert_file, tls / "unit.pem")
    shutil.copy(mine.key_file, tls / "unit.key")


def test_core_is_ready_when_armed(unit: Unit) -> None:
    wait_until(lambda: unit.container.active("unitd-core.service"), 15, "core READY")
    # READY means that the button's line is in core's hand, not that a process exists.
    assert unit.bench.held(BUTTON)
    shown = unit.container.show("unitd-core.service", "WatchdogUSec", "User", "NRestarts")
    assert shown == {"WatchdogUSec": f"{CORE_WATCHDOG_S}s", "User": "unitd", "NRestarts": "0"}


def test_keys_are_the_units_alone(unit: Unit) -> None:
    assert unit.container.run("stat", "-c", "%a %U %G", "/etc/unitd/tls/unit.key").strip() == "640 root unitd"


def test_all_five_run_though_nothing_is_fitted(unit: Unit) -> None:
    for process in PROCESSES:
        wait_until(lambda p=process: unit.container.active(f"unitd-{p}.service"), 20, f"{process} READY")  # type: ignore[misc]
    assert unit.container.active("unitd.target")


def test_a_press_goes_through_to_the_control_room(unit: Unit) -> None:
    wait_until(unit.armed, 15, "the unit is armed in the control room's eyes")
    incident_id = unit.press()
    wait_until(lambda: unit.received(incident_id), 10, "received")
    unit.bench.wait_output(YELLOW, "steady", timeout_s=10)


def test_core_signs_in_its_sandbox_and_no_other_process_sees_the_key(unit: Unit) -> None:
    """The press before has been locked: its checkpoint is signed by a child of core, in core's sandbox."""
    state = "/var/lib/unitd"
    wait_until(lambda: "body" in unit.container.run("cat", f"{state}/checkpoints.log", check=False), 20, "a checkpoint")
    assert unit.container.run("stat", "-c", "%a %U", f"{state}/signing", f"{state}/signing/evidence.key").split() == [
        "700", "unitd", "600", "unitd",
    ]  # fmt: skip
    for worker in WORKERS:
        pid = unit.container.main_pid(f"unitd-{worker}.service")
        seen = unit.container.run("ls", f"/proc/{pid}/root{state}/signing", check=False)
        assert "evidence" not in seen, worker
    pid = unit.container.main_pid("unitd-core.service")
    assert "evidence.csr" in unit.container.run("ls", f"/proc/{pid}/root{state}/signing")


def test_a_text_is_spoken_in_the_sandbox_of_call(unit: Unit) -> None:
    unit.container.run("systemctl", "start", "speaks.service", check=False)
    said = unit.container.journal("--unit=speaks.service")
    found = re.search(r"samples (\d+)", said)
    assert found, said
    assert int(found[1]) > 24_000


def test_a_killed_core_is_back_in_the_same_incident(unit: Unit) -> None:
    before = set(unit.seen()["incidents"])
    session = unit.seen()["units"][UNIT]["session"]
    pid = unit.container.signal("unitd-core.service", "KILL")
    took_s = unit.wait("core", pid, 5)
    assert took_s < 3
    wait_until(lambda: unit.seen()["units"][UNIT]["session"] > session and unit.armed(), 15, "a new session, armed")
    assert set(unit.seen()["incidents"]) == before
    assert set(unit.seen()["units"][UNIT]["open"]) == before


def test_each_killed_worker_is_back(unit: Unit) -> None:
    pids = {worker: unit.container.signal(f"unitd-{worker}.service", "KILL") for worker in WORKERS}
    for worker, pid in pids.items():
        unit.wait(worker, pid, 15)


def test_whatever_hangs_is_restarted_and_the_press_meanwhile_is_sent(unit: Unit) -> None:
    """Workers stand still; core's loop sits in a blocking call, and its successor hangs in opening the pins."""
    pids = {name: unit.container.signal(f"unitd-{name}.service", "STOP") for name in WORKERS}
    presses = unit.presses()
    unit.container.run("touch", HANG)
    pids["core"] = unit.container.signal("unitd-core.service", "USR1")
    unit.bench.press(BUTTON, 200)
    wait_until(lambda: "json" in unit.container.run("ls", "/run/unitd/latch"), 2, "the press is latched")
    assert unit.presses() == presses
    for name, pid in pids.items():
        unit.wait(name, pid, CORE_WATCHDOG_S + CORE_START_S + 10)
        journal = unit.container.journal(f"--unit=unitd-{name}.service")
        assert "Watchdog timeout" in journal
    journal = unit.container.journal("--unit=unitd-core.service")
    assert "start operation timed out" in journal
    assert "in _hang" in journal  # where each thread stood, for an engineer
    wait_until(lambda: unit.presses() == presses + 1, 5, "the press in the control room")
    wait_until(unit.armed, 20, "armed again")


@pytest.mark.parametrize("option", ["rw", "ro"])
def test_a_full_and_a_read_only_disk_keep_core_from_nothing(unit: Unit, option: str) -> None:
    """All of /var that core may touch is one full file system without its directories, then read-only as well."""
    run = unit.container.run
    places = ("/var/lib", "/var/tmp")
    for place in places:
        # filled before it is put there: core, which tries its disk each second, would take the one inode
        size, aside = "size=4k,nr_inodes=2", f"/run/full{place}"
        run("mkdir", "-p", aside)
        run("mount", "-t", "tmpfs", "-o", f"{size},mode=1777", "tmpfs", aside)
        run("sh", "-c", f"head -c 4096 /dev/zero > {aside}/full")
        run("mount", "-o", f"remount,{option},{size}", aside)
        run("mount", "--bind", aside, place)
    pid = unit.container.signal("unitd-core.service", "KILL")
    unit.wait("core", pid, 10)
    wait_until(unit.armed, 20, f"armed on a disk that is full and {option}")
    presses = unit.presses()
    unit.bench.press(BUTTON, 200)
    wait_until(lambda: unit.presses() > presses, 10, "the press in the control room")
    for place in places:
        run("umount", "--lazy", place)
        run("umount", "--lazy", f"/run/full{place}")


def test_stopping_the_target_ends_all_five_and_keeps_the_latch_directory(unit: Unit) -> None:
    unit.container.run("sh", "-c", "echo kept > /run/unitd/probe")
    unit.container.run("systemctl", "stop", "unitd.target", timeout_s=40)
    for process in PROCESSES:
        name = f"unitd-{process}.service"
        wait_until(
            lambda name=name: unit.container.show(name, "ActiveState")["ActiveState"] in ("inactive", "failed"),  # type: ignore[misc]
            8,
            f"{name} ended",
        )
        # A process that had to be killed, or that ended with an error, leaves another result.
        assert unit.container.show(name, "Result")["Result"] == "success", name
    assert unit.container.run("cat", "/run/unitd/probe").strip() == "kept"


def test_nobody_was_killed_by_the_sandbox(unit: Unit) -> None:
    """A forbidden system call shows as an error inside, never as a death; SIGSYS here means the filter is wrong."""
    assert "status=31/SYS" not in unit.container.journal()
