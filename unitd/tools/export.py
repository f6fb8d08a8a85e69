"""`unitd export`: evidence out of the unit, beside the live recorder (docs/evidence.md). This is its command line."""

import getpass
import os
import sys
from pathlib import Path
from typing import Any

from unitd.config import Config
from unitd.errors import StoreError
from unitd.evidence.export import Done, Watcher, default_name, export
from unitd.evidence.gather import Order, understand


def run(config: Config, order: Order, output: Path | None) -> int:
    """The command: makes what was asked for, with progress on a terminal, and says in one last line what it is.

    Returns the exit status. Raises StoreError, one line, when it could not be made; what was done is kept.
    """
    if output is not None and output.suffix.lower() == ".mp4":
        return _clip(config, order, output)
    asked = understand(config, order)
    target = Path(default_name(asked, order.begin)) if output is None else output
    _beside(target)
    zipped = target.suffix.lower() == ".zip"
    with _Bar() as watcher:
        if zipped:
            from unitd.evidence.pack import export_zip

            done = export_zip(config, order, asked, target, watcher)
        else:
            done = export(config, order, asked, target, watcher)
    print(told(done))
    return 0


def told(done: Done) -> str:
    """The last line: where, how much, and whether it is sealed. Pure."""
    size = f"{done.files} files, {done.bytes / 1e6:.1f} MB"
    if done.finished_before:
        return f"{done.path}: finished already ({size}); nothing was done"
    minutes = "NO FOOTAGE"
    if done.segments:
        minutes = f"{done.footage_s / 60:.1f} minutes of {', '.join(done.cameras) or 'sound'}"
    if done.seal is not None:
        n = done.seal.checkpoint.checkpoint.n
        state = f"sealed by the unit (checkpoint {n}): unitd verify {done.path}"
        if not done.seal.checkpoint.signature:
            state = f"sealed in the unit's log (checkpoint {n}), not signed: the unit has no key"
    else:
        state = (
            f"NOT sealed, {done.unsealed}: it shows no change since it was made only if you keep its SHA256SUMS safe"
        )
    notes = f"; {done.notes} remark(s) in manifest.json" if done.notes else ""
    return f"{done.path}: {size}, {minutes}{notes}; {state}"


def who_asks() -> str:
    """The person at the keyboard: who called sudo, else the login name; "" when there is none."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return ""


def _beside(target: Path) -> None:
    """Raises StoreError when `target` would lie nowhere: with no stick mounted the unit's own card would fill."""
    if not target.parent.is_dir():
        raise StoreError(f"there is no directory {target.parent}; is the stick mounted, and the name right?")


def _clip(config: Config, order: Order, output: Path) -> int:
    """One camera's film alone."""
    _beside(output)
    from unitd.evidence.clip import gather, write_clip
    from unitd.evidence.view import LONGEST_GAP_S

    if not order.incident:
        raise StoreError("one MP4 is made of an incident (--incident); for --from and --to give a directory or a .zip")
    if len(order.cameras) > 1:
        raise StoreError("one MP4 holds one camera; give a directory or a .zip for several")
    lock, name, footage, unreadable = gather(config, order.incident, order.cameras[0] if order.cameras else None)
    with _Bar() as bar:
        bar.phase("joining", sum(item.extent.whole_bytes for item in footage))
        done = write_clip(config, lock, name, footage, unreadable, output, bar.step)
    size = f"{done.duration_s:.1f} s, {done.pictures} pictures, {done.bytes / 1e6:.1f} MB"
    print(f"{output}: camera {done.camera}, {size}")
    if done.shortened_gaps:
        print(f"{done.shortened_gaps} gap(s) longer than {LONGEST_GAP_S:.0f} s are shortened to that")
    if done.parts > 1:
        print(f"the camera changed the shape of its pictures: this is the longest of {done.parts} parts")
    if done.unreadable:
        print(f"left out, unreadable: {', '.join(done.unreadable)}")
    return 0


class _Bar(Watcher):
    """A bar on a terminal that says what is being done; elsewhere nothing but what `say` gets."""

    def __init__(self) -> None:
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            tqdm.monitor_interval = 0
            self._bar = tqdm(unit="B", unit_scale=True, leave=False)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def phase(self, what: str, total_bytes: int = 0) -> None:
        if self._bar is not None:
            self._bar.set_description_str(what, refresh=False)
            if total_bytes:
                self._bar.total = total_bytes
            self._bar.refresh()

    def step(self, done_bytes: int) -> None:
        if self._bar is not None:
            self._bar.update(done_bytes)
            if not done_bytes:
                self._bar.refresh()

    def say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        print(f"unitd export: {text}", file=sys.stderr)
