"""What the small picture needs of GStreamer, loaded in the midst of a call.

While a thread loads libraries it holds the dynamic loader's lock, and every other thread that asks the loader for a
name waits for it: GStreamer's Python binding does so in many calls, with Python's own lock in its hands. So the whole
process stood still, the voice too, for as long as the disk took: 0.05 s from memory, 1.5 s from this machine's cold
disk, more from a board's card. Now a child loads them first: what is read by then is in memory.
"""

import contextlib
import subprocess
import sys
import threading

from unitd.call.rtc.gst import Gst

DECODER = "avdec_h264"
COLD_S = 20.0
"""35 MB of libraries at 2 MB/s. A disk that is slower is not waited for."""
_LOAD = "import ctypes, sys\nfor path in sys.argv[1:]:\n    ctypes.CDLL(path)"

_lock = threading.Lock()
_loaded: set[str] = set()


def load(names: tuple[str, ...]) -> None:
    """Have the plugins of these elements in memory and loaded; an element that is not there is passed over. Blocks,
    0.2 s when all is in memory; any thread but the loop's. Not done before a link is thin: most calls never need
    it."""
    with _lock:
        missing = [name for name in names if name not in _loaded]
        paths = [path for path in map(_path_of, missing) if path is not None]
        if paths:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                subprocess.run(
                    [sys.executable, "-I", "-S", "-c", _LOAD, *paths],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=COLD_S,
                    check=False,
                )
        for name in missing:
            Gst.ElementFactory.make(name)
        _loaded.update(missing)


def _path_of(name: str) -> str | None:
    """The file that an element is in."""
    factory = Gst.ElementFactory.find(name)
    plugin = None if factory is None else factory.get_plugin()
    path = None if plugin is None else plugin.get_filename()
    return None if path is None else str(path)
