"""What core does with the button's line, with a FIFO in its place: argument 1 is the FIFO, argument 2 the report.

Writes one JSON line per life to the report: whether the descriptor was inherited, and the bytes that waited in it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from pathlib import Path

from unitd.runtime.fd_store import FdStore
from unitd.runtime.watchdog import notify


def main() -> None:
    fifo, report = Path(sys.argv[1]), Path(sys.argv[2])
    store = FdStore()
    inherited = store.take("button")
    if inherited:
        fd = inherited[0]
    else:
        fd = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)  # both ends: it outlives the test's writer
        store.keep("button", fd)
    waited = os.read(fd, 4096).decode() if select.select([fd], [], [], 0)[0] else ""
    with report.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"pid": os.getpid(), "inherited": len(inherited), "waited": waited}) + "\n")
    notify("READY=1")
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
