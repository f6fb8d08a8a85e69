"""Fail when a Python package that would be imported is not the pinned one.

The environment sees the distribution's packages (gi comes from there), and pip is content with an old one
that happens to satisfy a requirement. This compares what `import` would find with constraints.txt and makes
sure that no direct dependency in pyproject.toml lacks a pin.

Run by tools/setup.sh with the environment's own interpreter; reads files only. Exit 1 and one line per fault.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("", "sim", "test")


def canonical(name: str) -> str:
    """The name as packaging standards compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(text: str) -> dict[str, str]:
    """Pins by canonical name from lines `name==version`; ValueError on any other kind of line."""
    pins: dict[str, str] = {}
    for line in text.splitlines():
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        name, separator, version = entry.partition("==")
        if not separator:
            raise ValueError(f"constraints.txt: {entry!r} is not name==version")
        pins[canonical(name)] = version.partition(";")[0].strip()
    return pins


def wanted_here(project: dict[str, object]) -> list[Requirement]:
    """Direct requirements (base, sim, test) whose markers hold for this interpreter and machine."""
    base: object = project["dependencies"]
    extras: object = project["optional-dependencies"]
    assert isinstance(base, list) and isinstance(extras, dict)
    lines = [*base, *(line for group in EXTRAS if group for line in extras.get(group, []))]
    environment = {key: str(value) for key, value in default_environment().items()} | {"extra": ""}
    found = [Requirement(line) for line in lines]
    return [r for r in found if r.marker is None or r.marker.evaluate(environment)]


def faults(pins: dict[str, str], direct: list[Requirement]) -> list[str]:
    """One line for each pin that is missing and each installed version that differs from its pin."""
    out = [f"{r.name}: no pin in constraints.txt" for r in direct if canonical(r.name) not in pins]
    must_be_here = {canonical(r.name) for r in direct}
    for name, pinned in sorted(pins.items()):
        try:
            # The first match on sys.path, which is what `import` takes as well.
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            if name in must_be_here:
                out.append(f"{name}: not installed, {pinned} is pinned")
            continue
        if version != pinned:
            out.append(f"{name}: {version} would be imported, {pinned} is pinned")
    return out


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = read_pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    found = faults(pins, wanted_here(project))
    for line in found:
        print(f"check_versions: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
