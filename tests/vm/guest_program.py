"""Runs in the virtual pole, as root: presses its button while core is alive, dead and starting, and writes down what
became of each press. The pins are gpio-sim's, the rest is real: kernel, systemd, the units, a broker, a hub.

usage: python3 -m tests.vm.guest_program REPORT SEEN_JSON ROUNDS
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CORE = "unitd-core.service"
CHIP = Path("/sys/kernel/config/gpio-sim/pole")
LINE = 17
LABEL = "pinctrl-bcm2711"  # as a Raspberry Pi 4 calls its header, so that `chip = "auto"` is put to the test
PRESS_S = 0.3
LIMIT_S = 120.0


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def wait(what: str, condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """What the condition gave as soon as it is true; TimeoutError naming `what`."""
    until = time.monotonic() + limit_s
    while not (found := condition()):
        if time.monotonic() > until:
            raise TimeoutError(f"not within {limit_s:.0f} s: {what}")
        time.sleep(0.02)
    return found


class Pole:
    """The chip's line and the unit behind it."""

    def __init__(self, seen: Path) -> None:
        self._seen = seen
        wait("configfs", CHIP.parent.is_dir)  # systemd mounts it
        (CHIP / "bank").mkdir(parents=True)
        (CHIP / "bank/num_lines").write_text("28")
        (CHIP / "bank/label").write_text(LABEL)
        (CHIP / "live").write_text("1")
        name = (CHIP / "bank/chip_name").read_text().strip()
        device = Path("/sys/devices/platform") / (CHIP / "dev_name").read_text().strip()
        self._pull = device / name / f"sim_gpio{LINE}" / "pull"
        shutil.chown(f"/dev/{name}", group="gpio")  # what udev does on a pole
        Path(f"/dev/{name}").chmod(0o660)
        self.touch(False)

    def touch(self, closed: bool) -> int:
        """Move the contact; the CLOCK_MONOTONIC ns just before."""
        before_ns = time.monotonic_ns()
        self._pull.write_text("pull-down" if closed else "pull-up")
        return before_ns

    def press(self) -> tuple[int, int]:
        """For 300 ms; when it began (ns, at most by so much too early) and when it ended."""
        began_ns = self.touch(True)
        time.sleep(PRESS_S)
        self.touch(False)
        return began_ns, time.monotonic_ns()

    def seen(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            known: dict[str, Any] = json.loads(self._seen.read_text())
            return known
        return {"units": {}, "presses": {}, "incidents": {}}

    def armed(self) -> int:
        """The session in which the hub knows the unit as armed; 0 for none."""
        unit: dict[str, Any] = next(iter(self.seen()["units"].values()), {})
        return int(unit.get("session", 0)) if unit.get("online") and unit.get("armed") else 0

    def presses(self) -> int:
        return sum(self.seen()["presses"].values())


def pid() -> int:
    return int(run("systemctl", "show", "--value", "--property=MainPID", CORE))


def said(event: str) -> list[dict[str, Any]]:
    """What core logged of this name, in all of its lives."""
    found = []
    for line in run("journalctl", "--no-pager", "--output=cat", f"--unit={CORE}").splitlines():
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            if isinstance(row, dict) and row.get("event") == event:
                found.append(row)
    return found


def edges() -> list[int]:
    """The times of all presses' edges, as core logged them."""
    return [row["at_mono_ns"] for row in said("chain") if row["step"] == "edge"]


def kill() -> None:
    """Core, with -9. Not by systemctl, which takes longer here than systemd's pause before the restart."""
    victim = pid()
    os.kill(victim, signal.SIGKILL)
    wait("core dead", lambda: not Path(f"/proc/{victim}").exists())


Times = tuple[int, int]
"""When a contact was first touched and when it was last let go (ns), as near as this program knows."""


def twice(pole: Pole) -> Times:
    began_ns, _ = pole.press()
    time.sleep(PRESS_S)
    return began_ns, pole.press()[1]


def spark(pole: Pole) -> Times:
    return pole.touch(True), pole.touch(False)


def killed_while_pressed(pole: Pole) -> Times:
    """Core has felt the finger and is killed before it is let go."""
    began_ns = pole.touch(True)
    time.sleep(PRESS_S)
    kill()
    pole.touch(False)
    return began_ns, time.monotonic_ns()


def over_the_start(pole: Pole, before: int) -> Times:
    """Pressed while no core runs, let go when the next process has begun."""
    began_ns = pole.touch(True)
    wait("core begins", lambda: pid() not in (0, before))
    pole.touch(False)
    return began_ns, time.monotonic_ns()


def play(pole: Pole, name: str, act: Callable[[], Times], expected: int, limit_s: float = 30.0) -> dict[str, Any]:
    """One round: what was done and what became of it."""
    before, lives, known = pole.presses(), len(said("button's line")), len(edges())
    began_ns, ended_ns = act()
    told: dict[str, Any] = {"round": name, "touched_ms": round((ended_ns - began_ns) / 1e6, 1), "expected": expected}
    if name != "alive":
        wait("core again", lambda: len(said("button's line")) > lives)
        line = said("button's line")[-1]
        told["taken_over_after_release_s"] = round((line["mono_ns"] - ended_ns) / 1e9, 3)
        told |= {key: line[key] for key in ("adopted", "kept", "waiting_edges")}
    with contextlib.suppress(TimeoutError):
        wait("the press in the control room", lambda: pole.presses() - before >= max(expected, 1), limit_s)
    told["delivered_after_release_s"] = round((time.monotonic_ns() - ended_ns) / 1e9, 3)
    time.sleep(1.0)  # a second press made of the same one would be here by now
    told["delivered"] = pole.presses() - before
    found = edges()[known:]
    told["edge_after_touch_ms"] = round((found[0] - began_ns) / 1e6, 3) if found and told["delivered"] else None
    wait("armed", pole.armed)
    return told


def killed_first(act: Callable[[], Times]) -> Callable[[], Times]:
    def both() -> Times:
        kill()
        return act()

    return both


def prove(seen: Path, rounds: int) -> dict[str, Any]:
    facts: dict[str, Any] = {"kernel": os.uname().release, "systemd": run("systemctl", "--version").split()[1]}
    pole = Pole(seen)
    run("systemctl", "start", "--no-block", CORE)
    wait("the unit armed", pole.armed, 240)
    facts["armed_after_boot_s"] = round(time.monotonic(), 1)
    done = [play(pole, "alive", pole.press, 1)]
    done += [play(pole, f"blind {n}", killed_first(pole.press), 1) for n in range(1, rounds + 1)]
    done.append(play(pole, "blind, two presses", killed_first(lambda: twice(pole)), 2))
    done.append(play(pole, "blind, a spark", killed_first(lambda: spark(pole)), 0, limit_s=5))
    done.append(play(pole, "killed while pressed", lambda: killed_while_pressed(pole), 1))
    before = pid()
    done.append(play(pole, "over the start", killed_first(lambda: over_the_start(pole, before)), 1))
    # The proof of the proof: without the store the very same press is lost.
    drop_in = Path("/etc/systemd/system") / f"{CORE}.d"
    (drop_in / "without.conf").write_text("[Service]\nFileDescriptorStoreMax=0\n")
    run("systemctl", "daemon-reload")
    session = pole.armed()
    run("systemctl", "stop", CORE)
    run("systemctl", "start", "--no-block", CORE)
    wait("armed without a store", lambda: pole.armed() > session)
    done.append(play(pole, "without the store", killed_first(pole.press), 0, limit_s=5))
    return facts | {"rounds": done}


def main() -> None:
    report, seen, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    try:
        facts = prove(seen, rounds)
    except Exception as error:
        journal = subprocess.run(
            ["journalctl", "--no-pager", "--lines=150"], capture_output=True, text=True, check=False
        )
        facts = {"error": repr(error), "journal": journal.stdout}
    report.write_text(json.dumps(facts, indent=1))
    os.sync()
    subprocess.run(["systemctl", "poweroff", "--force", "--force"], check=False)


if __name__ == "__main__":
    main()
