"""Set-up: quick and offline when all is there; otherwise it says what a person must do, and touches nothing."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BARE_NAME = "mosquitto"
QUICK_S = 3.0  # 0.3 s on an idle machine; a set-up that runs pip or apt again takes more than 4


def programs(folder: Path, *without: str, **instead: str) -> dict[str, str]:
    """An environment whose PATH has the system's programs except `without`, and scripts for `instead`."""
    folder.mkdir()
    for place in ("/usr/bin", "/bin", "/usr/sbin"):
        for program in Path(place).iterdir():
            link = folder / program.name
            if program.name not in without and program.name not in instead and not link.exists():
                link.symlink_to(program)
    for name, body in instead.items():
        script = folder / name.replace("_", "-")
        script.unlink(missing_ok=True)
        script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        script.chmod(0o755)
    return os.environ | {"PATH": str(folder)}


def setup(env: dict[str, str], *before: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, str(ROOT / "tools" / "setup.sh"), "sim"],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_second_run_is_quick_and_needs_no_network() -> None:
    offline = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    started = time.monotonic()
    done = setup(dict(os.environ), *offline)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - started < QUICK_S


def test_without_apt_it_lists_what_to_install_and_stops(tmp_path: Path) -> None:
    done = setup(programs(tmp_path / "bin", "apt-get"))
    assert done.returncode == 2
    assert "no apt" in done.stderr
    assert f"\n    {BARE_NAME}\n" in done.stderr


def test_without_root_and_sudo_it_says_what_root_must_do(tmp_path: Path) -> None:
    env = programs(tmp_path / "bin", "sudo", id="echo 1000", dpkg_query="exit 1", apt_get="echo called >&2; exit 99")
    done = setup(env)
    assert done.returncode == 2
    assert "apt-get install" in done.stderr and BARE_NAME in done.stderr
    assert "called" not in done.stderr


def test_an_unknown_set_is_refused() -> None:
    done = subprocess.run([str(ROOT / "tools/setup.sh"), "all"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "say sim or test" in done.stderr
