"""An export as a child process of `record`, which so keeps its memory small: `python -m unitd.tools.export_job`.

Reads one ExportJob as JSON from stdin and writes one ExportResult as JSON to stdout.
"""

import contextlib
import os
import sys
from pathlib import Path

import msgspec

from unitd.config import Config
from unitd.errors import UnitdError
from unitd.evidence.clip import gather, write_clip

NICENESS = 10


class ExportJob(msgspec.Struct, frozen=True, kw_only=True):
    config: Config
    incident_id: str
    camera: str | None
    output: str


class ExportResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """With `error` empty the clip is at `output`; `pictures` counts its frames."""

    error: str = ""
    bytes: int = 0
    pictures: int = 0
    camera: str = ""


def run(job: ExportJob) -> ExportResult:
    """Do the export; never raises for what can be said in `error`."""
    try:
        lock, camera, footage, unreadable = gather(job.config, job.incident_id, job.camera)
        done = write_clip(job.config, lock, camera, footage, unreadable, Path(job.output), lambda _: None)
    except UnitdError as error:
        return ExportResult(error=str(error))
    return ExportResult(bytes=done.bytes, pictures=done.pictures, camera=done.camera)


def main() -> int:
    with contextlib.suppress(OSError):  # a service's sandbox may forbid it, and its CPU weight serves as well
        os.nice(NICENESS)
    result = run(msgspec.json.decode(sys.stdin.buffer.read(), type=ExportJob))
    sys.stdout.buffer.write(msgspec.json.encode(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
