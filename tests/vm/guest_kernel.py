"""A Debian kernel for the virtual pole, and gpio-sim built for it: Debian's kernels have the GPIO character device, but
no simulated chip. Everything comes from Debian by apt's own download and stays in one folder; nothing is installed.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

HEADERS = "linux-headers-amd64"
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "configfs")
"""What the guest needs beyond the built-in drivers; their dependencies come along."""
SOURCES = ("drivers/gpio/gpio-sim.c", "drivers/gpio/gpiolib.h", "kernel/irq/irq_sim.c")


@dataclass(frozen=True)
class GuestKernel:
    """`image` for QEMU, `modules` in the order in which they are to be loaded, gpio-sim the last."""

    version: str
    image: Path
    modules: tuple[Path, ...]


def guest_kernel(place: Path) -> GuestKernel:
    """The kernel in `place`; made there when it is not, which takes half a minute, downloads 225 MB and keeps 9."""
    version = _version()
    base = place / version
    if not base.exists():
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            work = Path(scratch)
            _unpack(work, version)
            ordered: list[Path] = []
            for name in MODULES:
                _with_dependencies(work / "root/lib/modules" / version / "kernel", name, ordered)
            ordered.append(_build(work, version, work / "gpio-sim"))
            keep = work / "keep"
            keep.mkdir()
            (work / f"root/boot/vmlinuz-{version}").rename(keep / "vmlinuz")
            for number, module in enumerate(ordered):
                module.rename(keep / f"{number:02}-{module.name}")
            keep.rename(base)  # whole or not at all
    return GuestKernel(version, base / "vmlinuz", tuple(sorted(base.glob("*.ko"))))


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def _depends(package: str) -> list[str]:
    said = _run("apt-cache", "depends", "--no-recommends", "--no-suggests", package)
    return re.findall(r"^ +Depends: (linux-\S+)$", said, re.MULTILINE)


def _version() -> str:
    """The newest kernel of this Debian, such as 6.1.0-56-amd64."""
    found = re.search(r"linux-headers-(\S+)", " ".join(_depends(HEADERS)))
    if found is None:
        raise RuntimeError(f"no {HEADERS} in apt's lists: the virtual pole needs Debian, and apt-get update")
    return found[1]


def _unpack(base: Path, version: str) -> None:
    headers = f"linux-headers-{version}"
    source = "linux-source-" + ".".join(version.split(".")[:2])
    packages = [f"linux-image-{version}", headers, *_depends(headers)]
    _run("apt-get", "download", "-q", *packages, source, cwd=base)
    for package in base.glob("*.deb"):
        if package.name.startswith("linux-source"):
            tarball = f"./usr/src/{source}.tar.xz"
            wanted = " ".join(f"{source}/{name}" for name in SOURCES)
            unpack = (
                f"dpkg-deb --fsys-tarfile {package.name} | tar -xO {tarball} | tar -xJ --strip-components=1 {wanted}"
            )
            _run("sh", "-c", unpack, cwd=base)
        else:
            _run("dpkg", "-x", package.name, "root", cwd=base)
        package.unlink()


def _build(base: Path, version: str, here: Path) -> Path:
    """gpio-sim with the interrupt simulator that it needs, as one module."""
    headers = base / "root/usr/src" / f"linux-headers-{version}"
    makefile = headers / "Makefile"
    makefile.write_text(makefile.read_text().replace("include /usr/src", f"include {base}/root/usr/src"))
    here.mkdir(exist_ok=True)
    for name in SOURCES:
        text = (base / name).read_text(encoding="utf-8")
        # The one name that irq_sim.c uses and the kernel does not export; the two are the same here.
        text = text.replace("irq_to_desc(irqnum)", "irq_data_to_desc(irq_get_irq_data(irqnum))")
        (here / Path(name).name).write_text(text, encoding="utf-8")
    (here / "Kbuild").write_text("obj-m := gpio-simulator.o\ngpio-simulator-y := gpio-sim.o irq_sim.o\n")
    _run("make", "-C", str(headers), f"M={here}", "modules")
    return here / "gpio-simulator.ko"


def _with_dependencies(modules: Path, name: str, ordered: list[Path]) -> None:
    """Add the module after those it depends on."""
    found = [path for path in modules.rglob("*.ko") if path.stem.replace("-", "_") == name.replace("-", "_")]
    if not found or found[0] in ordered:
        return  # built in, or there already
    depends = re.search(rb"\0depends=([^\0]*)\0", found[0].read_bytes())
    for each in filter(None, depends[1].decode().split(",") if depends else ()):
        _with_dependencies(modules, each, ordered)
    ordered.append(found[0])
