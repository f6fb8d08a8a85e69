"""An evidence directory as one zip, stored as it is: for sending on. The same names, below one directory."""

import contextlib
import os
import shutil
import time
import zipfile
from pathlib import Path

from unitd.config import Config
from unitd.errors import StoreError
from unitd.evidence.export import Done, Watcher, default_name, export, finished
from unitd.evidence.gather import Asked, Order
from unitd.evidence.workdir import MANIFEST, PART_SUFFIX, sync_name

_FILE_MODE = 0o100644


def export_zip(config: Config, order: Order, asked: Asked, target: Path, watcher: Watcher) -> Done:
    """Make `target`; it has its name only when it is whole. Needs its room twice while it is made, in `target.part`.

    Raises StoreError, one line; the directory is kept for the next try. Blocks for its length.
    """
    room = target.with_name(target.name + PART_SUFFIX)
    name = default_name(asked, order.begin)
    if target.exists():
        return _finished(config, asked, target, name)
    try:
        room.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{room}: {error.strerror}") from error
    done = export(config, order, asked, room / name, watcher)
    unfinished = room / "zip"
    try:
        watcher.phase("packing")
        pack(room / name, unfinished, name)
        unfinished.replace(target)
        sync_name(target.parent)
        shutil.rmtree(room)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise StoreError(f"{target}: {error.strerror or error}; run the same command again") from error
    return Done(
        target,
        done.files,
        done.bytes,
        done.footage_s,
        done.cameras,
        done.seal,
        done.unsealed,
        done.kept,
        done.notes,
        segments=done.segments,
    )


def _finished(config: Config, asked: Asked, target: Path, name: str) -> Done:
    """What is there already. Raises StoreError when that is something else."""
    try:
        with zipfile.ZipFile(target) as packed:
            manifest = packed.read(f"{name}/{MANIFEST}")
            sealed = any(each.startswith(f"{name}/checkpoints/") for each in packed.namelist())
    except (OSError, KeyError, zipfile.BadZipFile):
        raise StoreError(f"{target} is there and is no zip of this export; choose another --output") from None
    return finished(config, asked, target, manifest, sealed)


def pack(directory: Path, target: Path, name: str) -> None:
    """Every file of `directory` into the zip `target`, below `name`; on the medium at the end. Raises OSError."""
    date = time.gmtime()[:6]
    with target.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as packed:
            for path in sorted(path for path in directory.rglob("*") if path.is_file()):
                info = zipfile.ZipInfo(f"{name}/{path.relative_to(directory).as_posix()}", date)
                info.external_attr = _FILE_MODE << 16
                info.file_size = path.stat().st_size
                with path.open("rb") as source, packed.open(info, "w") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
