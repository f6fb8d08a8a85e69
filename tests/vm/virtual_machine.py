"""QEMU as a pole's computer: a Debian kernel of its own under this machine's /usr, and the checkout installed in it.

The root is the scratch directory that tests/system/nspawn.py lays out, over 9p; only the kernel, the devices and the
time are the guest's. KVM is not asked for, so it is some ten times slower than the host, and runs anywhere.
Needs root (for the layout's owners).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.system.nspawn import INSTALLED_AT, ROOT, relocated
from tests.vm.guest_kernel import GuestKernel
from tests.vm.initrd import archive, static_program

POLE = "/pole"
"""Where the initial file system has the machine's root, as init.c expects it."""


def _initrd(scratch: Path, tree: Path, kernel: GuestKernel) -> Path:
    """Its first process and a plan for it: modules, shares, and the copies that stand over files of the checkout."""
    files = {"init": static_program(Path(__file__).with_name("init.c"), scratch / "init")}
    plan = []
    for module in kernel.modules:
        files[module.name] = module.read_bytes()
        plan.append(f"module /{module.name}")
    plan += [f"share tree {POLE} rw", f"share usr {POLE}/usr ro", f"share checkout {POLE}{INSTALLED_AT} ro"]
    copies = tree / "srv/relocated"
    copies.mkdir(parents=True)
    for copy, target in relocated(copies):
        plan.append(f"bind {POLE}/{copy.relative_to(tree)} {POLE}{target}")
    files["plan"] = ("\n".join(plan) + "\n").encode()
    made = scratch / "initrd.cpio"
    made.write_bytes(archive(["dev", POLE[1:]], files))
    return made


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
