"""A container that boots a real systemd with this checkout installed, for tests.

No image is made: the root is a scratch directory with the host's /usr read-only, a minimal /etc, and the checkout
bound read-only at /opt/unitd. systemd-nspawn runs in a mount namespace of its own with cgroup2 mounted, so that a
host with cgroup1 will do and the host's own systemd (if any) is not asked. Needs root; `sudo -n` is tried.

Limits: without cgroup controllers of the host the memory ceilings are not enforced inside, and neither is
DeviceAllow=. seccomp, the mount sandbox, the watchdog, users and groups are.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
INSTALLED_AT = "/opt/unitd"
BOOT_LIMIT_S = 30.0
MACHINE_ID = "5d1f0e7a9c3b4d2e8f60718293a4b5c6"  # any; a missing one would make systemd "first boot" and preset all
ETC = (
    *("passwd", "group", "shadow", "gshadow", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
    *("alternatives", "ssl", "dbus-1", "alsa", "localtime", "protocols", "services"),
)

# Runs as root in its own mount namespace: cgroup2 for systemd, /usr for the container, then nspawn in its place.
START = """
set -e
mount -t cgroup2 none /sys/fs/cgroup
mount --bind /usr "$1/usr"
mount -o remount,bind,ro "$1/usr"
tree=$1; shift
# Ends with whoever started it, even when that is killed.
exec setpriv --pdeathsig TERM systemd-nspawn --quiet --directory="$tree" --machine=unitd-test \\
    --register=no --keep-unit --private-network --console=pipe --boot "$@"
"""


class ContainerError(AssertionError):
    """The container could not do what the test needs; the message holds what the container said."""


def as_root(command: list[str]) -> list[str]:
    """The command as root: as it is, or by `sudo -n`."""
    if os.geteuid() == 0:
        return command
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n", "-E", *command]
    raise ContainerError("booting a container needs root or a sudo that asks no password")


def wait_until(condition: Callable[[], bool], limit_s: float, what: str) -> float:
    """Seconds until the condition held; ContainerError naming `what` when it did not within the limit."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > limit_s:
            raise ContainerError(f"not within {limit_s:.0f} s: {what}")
        time.sleep(0.05)  # between two looks, not instead of one
    return time.monotonic() - started


@dataclass
class Container:
    """A booted container. Methods block; commands run as root inside it."""

    tree: Path
    leader: int
    process: subprocess.Popen[bytes]

    def run(self, *command: str, check: bool = True, timeout_s: float = 30.0) -> str:
        """What the command printed (both streams) inside the container."""
        enter = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", *command]
        done = subprocess.run(
            as_root(enter),
            start_new_session=True,  # no signal meant for the inside may reach the tests' own process group
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            raise ContainerError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}")
        return done.stdout

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit, by name."""
        said = self.run("systemctl", "show", unit, f"--property={','.join(names)}")
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def active(self, unit: str) -> bool:
        return self.show(unit, "ActiveState")["ActiveState"] == "active"

    def main_pid(self, unit: str) -> int:
        """Inside the container; 0 while there is none."""
        return int(self.show(unit, "MainPID")["MainPID"])

    def signal(self, unit: str, name: str) -> int:
        """Send a signal to the main process and return its pid; ContainerError when there is none."""
        pid = self.main_pid(unit)
        if pid == 0:
            raise ContainerError(f"{unit} has no main process to signal: {self.show(unit, 'ActiveState', 'Result')}")
        self.run("systemctl", "kill", "--kill-who=main", f"--signal={name}", unit)
        return pid

    def journal(self, *arguments: str) -> str:
        return self.run("journalctl", "--no-pager", "--output=cat", *arguments, check=False)


def relocated(scratch: Path) -> list[tuple[Path, str]]:
    """(copy, place inside): for each file of .venv that names this checkout, a copy that names /opt/unitd.

    The scripts' first lines and the editable install hold that path, which the sandbox may hide (/home, /tmp).
    """
    copies = []
    site = next((ROOT / ".venv" / "lib").glob("python3*")) / "site-packages"
    for file in [ROOT / ".venv/bin/unitd", ROOT / ".venv/bin/hw-sim", *site.glob("__editable__*")]:
        if not file.is_file():
            continue
        copy = scratch / file.name
        copy.write_text(file.read_text(encoding="utf-8").replace(str(ROOT), INSTALLED_AT), encoding="utf-8")
        copy.chmod(0o755)
        copies.append((copy, f"{INSTALLED_AT}/{file.relative_to(ROOT)}"))
    return copies


def make_tree(tree: Path) -> None:
    """Lay out a root file system in which the units are installed and enabled the way an installer does it."""
    before = os.umask(0o022)  # the unit's account must be able to read what is laid out here
    try:
        _lay_out(tree)
    finally:
        os.umask(before)


def _lay_out(tree: Path) -> None:
    for name in ("usr", "etc", "var", "run", "tmp", "opt/unitd", "root", "proc", "sys", "dev"):
        (tree / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        if Path("/", name).exists():
            (tree / name).symlink_to(f"usr/{name}")
    for name in ETC:
        if Path("/etc", name).exists():
            subprocess.run(as_root(["cp", "-a", f"/etc/{name}", str(tree / "etc")]), check=True)
    (tree / "etc/machine-id").write_text(MACHINE_ID + "\n", encoding="ascii")
    (tree / "etc/os-release").symlink_to("../usr/lib/os-release")
    # No file-system-wide updates at boot: what they would make is made here.
    subprocess.run(
        ["tools/install.sh"], cwd=ROOT, env=os.environ | {"DESTDIR": str(tree)}, check=True, stdin=subprocess.DEVNULL
    )
    # What the host's /usr would make an account for is not wanted here, only ours.
    sysusers = tree / "etc/sysusers.d/unitd.conf"
    subprocess.run(as_root(["systemd-sysusers", f"--root={tree}", str(sysusers)]), check=True, capture_output=True)
    system = tree / "etc/systemd/system"
    (system / "default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    for unit in ("ldconfig.service", "systemd-hwdb-update.service", "systemd-journal-catalog-update.service"):
        (system / unit).symlink_to("/dev/null")
    units = [*(f"unitd-{name}.service" for name in ("core", "field", "record", "call", "sense")), "unitd.target"]
    subprocess.run(["systemctl", f"--root={tree}", "enable", *units], check=True, capture_output=True)


@contextlib.contextmanager
def booted(scratch: Path, tree: Path, *binds: str) -> Iterator[Container]:
    """Boot `tree` (see make_tree) and yield it once systemd answers; it is gone afterwards, whatever happened."""
    console = scratch / "console.log"
    copies = [f"--bind-ro={copy}:{place}" for copy, place in relocated(scratch)]
    arguments = [f"--bind-ro={ROOT}:{INSTALLED_AT}", *copies, *binds]
    command = as_root(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", START, "start", str(tree), *arguments]
    )
    with console.open("wb") as output:
        # A pipe as input that never speaks: nspawn ends when its input does.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True)
    try:
        leader = _leader(process, console)
        container = Container(tree, leader, process)

        def answers() -> bool:
            return "basic.target" in container.run(
                "systemctl", "list-units", "--state=active", "--type=target", "--plain", "--no-legend", check=False
            )

        wait_until(answers, BOOT_LIMIT_S, "systemd reached basic.target")
        yield container
    finally:
        _end(process)


def _leader(process: subprocess.Popen[bytes], console: Path) -> int:
    """The pid, outside, of the container's systemd."""
    found: list[int] = []

    def there() -> bool:
        if process.poll() is not None:
            raise ContainerError(f"systemd-nspawn ended: {console.read_text(errors='replace')}")
        found[:] = [pid for pid in _descendants(process.pid) if _comm(pid) == "systemd"]
        return bool(found)

    wait_until(there, BOOT_LIMIT_S, "the container's systemd started")
    return found[0]


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(deeper for child in children for deeper in _descendants(child))]


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the container: asked first, then killed with all that is in it."""
    below = _descendants(process.pid)
    for sig, limit_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        if process.poll() is None:
            target = [process.pid, *below] if sig == signal.SIGKILL else [_nspawn_of(process.pid)]
            subprocess.run(as_root(["kill", f"-{int(sig)}", *map(str, target)]), check=False, capture_output=True)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=limit_s)
    if process.stdin:
        process.stdin.close()
    if process.poll() is None:
        print("nspawn: the container would not end", file=sys.stderr)


def _nspawn_of(pid: int) -> int:
    return next((each for each in (pid, *_descendants(pid)) if _comm(each) == "systemd-nspawn"), pid)
