"""QEMU as a pole's computer: a Debian kernel of its own under this machine's /usr, and the checkout installed in it.

The root is the scratch directory that tests/system/nspawn.py lays out, over 9p; only the kernel, the devices and the
time are the guest's. KVM is not asked for, so it is some ten times slower than the host, and runs anywhere.
Needs root (for the layout's owners).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.system.nspawn import INSTALLED_AT, ROOT, _relocated
from tests.vm.guest_kernel import GuestKernel

BUSYBOX = Path("/bin/busybox")
INIT = """#!/busybox sh
b=/busybox
$b mount -t devtmpfs dev /dev; $b mount -t proc proc /proc; $b mount -t sysfs sys /sys
for m in {modules}; do $b insmod /modules/$m; done
o=trans=virtio,version=9p2000.L,msize=524288,cache=loose
$b mount -t 9p -o $o tree /root || $b poweroff -f
$b mount -t 9p -o ro,$o usr /root/usr
$b mount -t 9p -o ro,$o checkout /root{installed_at}
{binds}
exec $b switch_root /root /usr/lib/systemd/systemd
"""


def _initrd(scratch: Path, tree: Path, kernel: GuestKernel) -> Path:
    place = scratch / "initrd"
    for name in ("dev", "proc", "sys", "root", "modules"):
        (place / name).mkdir(parents=True)
    (place / "busybox").write_bytes(BUSYBOX.read_bytes())
    for module in kernel.modules:
        (place / "modules" / module.name).write_bytes(module.read_bytes())
    relocated = tree / "srv/relocated"
    relocated.mkdir(parents=True)
    binds = []
    for argument in _relocated(relocated):
        source, target = argument.removeprefix("--bind-ro=").split(":")
        binds.append(f"$b mount -o bind /root/{Path(source).relative_to(tree)} /root{target}")
    text = INIT.format(
        modules=" ".join(module.name for module in kernel.modules), installed_at=INSTALLED_AT, binds="\n".join(binds)
    )
    (place / "init").write_text(text, encoding="utf-8")
    for program in ("init", "busybox"):
        (place / program).chmod(0o755)
    archive = scratch / "initrd.cpio"
    make = f"cd {place} && find . | {BUSYBOX} cpio -o -H newc > {archive}"
    subprocess.run(["sh", "-c", make], check=True, capture_output=True)
    return archive


def run_machine(scratch: Path, tree: Path, kernel: GuestKernel, limit_s: float) -> str:
    """Boot `tree` and wait until the guest powers itself off; returns its console. RuntimeError when it does not within
    `limit_s`."""
    shares = {"tree": (tree, ""), "usr": (Path("/usr"), ",readonly=on"), "checkout": (ROOT, ",readonly=on")}
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-M", "q35", "-cpu", "Nehalem", "-smp", "2"]
    command += ["-m", "768", "-nographic", "-no-reboot", "-nic", "none"]
    for tag, (path, options) in shares.items():
        command += ["-fsdev", f"local,id={tag},path={path},security_model=passthrough,multidevs=remap{options}"]
        command += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    command += ["-kernel", str(kernel.image), "-initrd", str(_initrd(scratch, tree, kernel))]
    command += ["-append", "console=ttyS0 panic=-1 quiet systemd.show_status=no"]
    console = scratch / "console.log"
    with console.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            process.wait(timeout=limit_s)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"the guest did not end within {limit_s:.0f} s:\n{_tail(console)}") from error
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    return _tail(console)


def _tail(console: Path) -> str:
    return console.read_text(encoding="utf-8", errors="replace")[-6000:]


def privileged() -> bool:
    return os.geteuid() == 0
