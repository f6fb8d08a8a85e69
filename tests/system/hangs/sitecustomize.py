"""Makes a real process of the unit hang on order. Python loads it at its start when PYTHONPATH names this directory.

- SIGUSR1: the main thread, and with it the event loop, sits in a blocking call for ever. Other threads go on.
- SIGUSR2: core's press thread waits for ever at its next turn. The event loop goes on.
- HANG_IMPORT=MODULE with HANG_ONCE=FILE: whoever imports MODULE waits for ever, if FILE is there; FILE is removed
  first, so that the next process gets through. gpiozero imports `hw_sim.devices.gpio` when it opens the pins.
- HANG_SERIAL=FILE: whoever reads a serial port while FILE is there waits for ever, once: FILE is removed first.
"""

import contextlib
import os
import signal
import sys
import time
from types import ModuleType


def _hang(*_: object) -> None:
    while True:
        time.sleep(3600)


def _hang_press_thread(*_: object) -> None:
    from unitd.model import contact

    contact.deadline_ns = _hang  # type: ignore[assignment]


class _HangingImport:
    def find_spec(self, name: str, _path: object = None, _target: ModuleType | None = None) -> None:
        if name == os.environ.get("HANG_IMPORT"):
            with contextlib.suppress(OSError):
                os.unlink(os.environ["HANG_ONCE"])  # noqa: PTH108 - nothing is imported here that is not already
                _hang()


def _hang_a_read() -> None:
    import serial

    real = serial.Serial.read

    def read(port: serial.Serial, size: int = 1) -> bytes:
        with contextlib.suppress(OSError):
            os.unlink(os.environ["HANG_SERIAL"])  # noqa: PTH108
            _hang()
        return bytes(real(port, size))

    serial.Serial.read = read


if "HANG_SERIAL" in os.environ:
    _hang_a_read()
signal.signal(signal.SIGUSR1, _hang)
signal.signal(signal.SIGUSR2, _hang_press_thread)
sys.meta_path.insert(0, _HangingImport())  # type: ignore[arg-type]
