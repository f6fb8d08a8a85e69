"""The stills of incidents that nobody keeps any more go with age, like footage. Their own dates are not trusted."""

from collections.abc import Callable
from pathlib import Path

from unitd.store.eviction import Victim
from unitd.store.locks import Lock, read_released

STILLS = ".stills"

IsOld = Callable[[Lock], bool]


def old_stills(evidence_dir: Path, state_dir: Path, is_old: IsOld) -> list[list[Victim]]:
    """By incident, the stills whose lock was released (it is in `locks/released/`, and not in `locks/` again) and
    `is_old`. Of an incident without any lock they stay: nobody has said that they may go. Raises OSError. Blocks."""
    try:
        incidents = sorted(path for path in (evidence_dir / STILLS).iterdir() if path.is_dir())
    except FileNotFoundError:
        return []
    found = []
    for directory in incidents:
        if (state_dir / "locks" / f"{directory.name}.json").exists():
            continue
        released = read_released(state_dir, directory.name)
        if released is not None and is_old(released):
            files = sorted(path for path in directory.iterdir() if path.is_file())
            found.append([Victim(f"{STILLS}/{directory.name}/{path.name}", path.stat().st_size) for path in files])
            if not files:
                directory.rmdir()
    return [each for each in found if each]
