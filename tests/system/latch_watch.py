"""Sees every press that core latches, however briefly the latch stands: inotify(7) on the latch directory."""

import ctypes
import os
import select
import struct
import threading
import time
from pathlib import Path

IN_MOVED_TO = 0x80
_HEAD = struct.Struct("iIII")


class LatchWatch:
    """Watches `directory` from its making until `close`; `seen` is press id -> CLOCK_MONOTONIC ns. Thread-safe.

    A latch is renamed into place, so a name that arrives is a whole latch. The kernel queues 16384 events.
    """

    def __init__(self, directory: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._descriptor < 0 or libc.inotify_add_watch(self._descriptor, bytes(directory), IN_MOVED_TO) < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self.seen: dict[str, int] = {}
        self._end_read, self._end_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="latch watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.close(self._end_write)
        self._thread.join(5.0)
        os.close(self._end_read)
        os.close(self._descriptor)

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._descriptor, self._end_read], [], [])
            if self._end_read in ready:
                return
            data = os.read(self._descriptor, 64 * 1024)
            while data:
                _, _, _, size = _HEAD.unpack_from(data)
                name = data[_HEAD.size : _HEAD.size + size].rstrip(b"\0").decode()
                data = data[_HEAD.size + size :]
                if name.endswith(".json") and not name.startswith("."):
                    self.seen.setdefault(name.removesuffix(".json"), time.monotonic_ns())
