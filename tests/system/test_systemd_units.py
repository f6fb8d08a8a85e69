"""The units as files: spelt right, closed in, and with what a help point's life depends on."""

from __future__ import annotations

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from tools import check_units

ROOT = Path(__file__).resolve().parent.parent.parent
SYSTEMD = ROOT / "systemd"
PROCESSES = check_units.PROCESSES
WORKERS = tuple(name for name in PROCESSES if name != "core")


def keys(name: str) -> dict[str, list[str]]:
    """Every `key=value` of one unit file, all sections together (no key means two things in ours)."""
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / name).read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def only(name: str, key: str) -> str:
    values = keys(name).get(key, [])
    assert len(values) == 1, f"{name}: {key} is there {len(values)} times"
    return values[0]


def test_systemd_is_content() -> None:
    assert check_units.faults(SYSTEMD) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("WatchdogSec=", "WatchdogSecs="),
        ("Restart=always", "Restart=allways"),
        ("/opt/unitd/.venv/bin/unitd core", "/opt/unitd/.venv/bin/unid core"),
        ("ProtectSystem=strict\n", "ProtectSystem=no\n"),
    ],
)
def test_the_check_can_fail(tmp_path: Path, right: str, wrong: str) -> None:
    for file in SYSTEMD.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    core = tmp_path / "unitd-core.service"
    text = core.read_text(encoding="utf-8")
    assert right in text
    core.write_text(text.replace(right, wrong), encoding="utf-8")
    if wrong == "ProtectSystem=no\n":
        # One point of hardening lost is still under the threshold; many are not.
        core.write_text("[Service]\nExecStart=/bin/true\n", encoding="utf-8")
    assert check_units.faults(tmp_path) != []


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_is_watched_bounded_and_restarted(process: str) -> None:
    name = f"unitd-{process}.service"
    assert only(name, "Type") == "notify"
    assert only(name, "NotifyAccess") == "main"
    # Whatever hangs is found, ended and started again within 15 s.
    restart_s = float(only(name, "RestartSec").removesuffix("s").replace("100m", "0.1"))
    after_s = int(only(name, "TimeoutAbortSec")) + restart_s
    assert 0 < int(only(name, "WatchdogSec")) + after_s < 15
    assert 0 < int(only(name, "TimeoutStartSec")) + after_s <= 16
    assert only(name, "TimeoutStartFailureMode") == "abort"
    assert only(name, "Restart") == "always"
    assert only(name, "StartLimitIntervalSec") == "0"
    assert only(name, "MemoryMax").endswith("M")
    assert int(only(name, "TasksMax")) > 0
    assert only(name, "Slice") == "unitd.slice"
    assert only(name, "User") == "unitd"
    assert only(name, "ExecStart") == f"/opt/unitd/.venv/bin/unitd {process} --config /etc/unitd/unit.toml"


@pytest.mark.parametrize("process", PROCESSES)
def test_the_press_latch_survives_every_process(process: str) -> None:
    name = f"unitd-{process}.service"
    assert only(name, "RuntimeDirectory") == "unitd"
    assert only(name, "RuntimeDirectoryPreserve") == "yes"
    assert only(name, "WorkingDirectory") == "/run/unitd"


@pytest.mark.parametrize("process", PROCESSES)
def test_nobody_needs_anybody(process: str) -> None:
    found = keys(f"unitd-{process}.service")
    for key in ("Requires", "Requisite", "BindsTo", "Wants", "RequiresMountsFor"):
        assert key not in found, f"{process} has {key}={found[key]}"
    # Core first and last; an order is no need, and core's own start is bounded.
    assert found.get("After", []) == ([] if process == "core" else ["unitd-core.service"])
    assert int(only("unitd-core.service", "TimeoutStartSec")) <= 10
    # These make or need something on the disk before the process starts.
    for key in ("StateDirectory", "LogsDirectory", "CacheDirectory", "PrivateTmp", "LoadCredential"):
        assert key not in found, f"{process} has {key}={found[key]}"


def test_core_is_first_in_everything() -> None:
    def figures(key: str) -> dict[str, int]:
        return {name: int(only(f"unitd-{name}.service", key)) for name in PROCESSES}

    oom, weight = figures("OOMScoreAdjust"), figures("CPUWeight")
    assert all(oom["core"] < oom[name] for name in WORKERS)
    assert all(weight["core"] > weight[name] for name in WORKERS)
    assert max(oom, key=oom.__getitem__) == "sense"
    assert "MemoryHigh" not in keys("unitd-core.service")


def test_core_opens_pins_only_and_record_and_sense_no_device() -> None:
    assert keys("unitd-core.service")["DeviceAllow"] == ["char-gpiochip rw"]
    for name in ("record", "sense"):
        assert only(f"unitd-{name}.service", "PrivateDevices") == "yes"


def test_the_target_wants_all_five_and_requires_none() -> None:
    found = keys("unitd.target")
    assert found["Wants"] == [" ".join(f"unitd-{name}.service" for name in PROCESSES)]
    assert "Requires" not in found
    for name in PROCESSES:
        assert only(f"unitd-{name}.service", "WantedBy") == "unitd.target"
        assert only(f"unitd-{name}.service", "PartOf") == "unitd.target"


def test_hardware_watchdog_is_below_what_the_board_can_do() -> None:
    parser = ConfigParser()
    parser.read(SYSTEMD / "system.conf.d" / "unitd.conf")
    assert 5 <= parser.getint("Manager", "RuntimeWatchdogSec") < 15


def test_udev_rule_keeps_modem_manager_away_and_names_ports_by_interface() -> None:
    rules = (SYSTEMD / "udev" / "78-unitd.rules").read_text(encoding="utf-8")
    for line in rules.splitlines():
        if 'SYMLINK+="unitd/modem"' in line:
            assert 'ENV{ID_USB_INTERFACE_NUM}=="02"' in line
    for vendor in ("2c7c", "1e0e"):
        assert any(vendor in line and 'ENV{ID_MM_DEVICE_IGNORE}="1"' in line for line in rules.splitlines())


def test_install_puts_everything_into_an_image(tmp_path: Path) -> None:
    done = subprocess.run(
        ["tools/install.sh"], cwd=ROOT, env={"PATH": "/usr/bin:/bin", "DESTDIR": str(tmp_path)}, check=False
    )
    assert done.returncode == 0
    assert (tmp_path / "usr/local/bin/unitd").readlink() == Path("/opt/unitd/.venv/bin/unitd"), "docs say `sudo unitd`"
    installed = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    for file in SYSTEMD.rglob("*"):
        if file.is_file():
            assert file.name in installed
