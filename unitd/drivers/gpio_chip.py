"""The calls to the kernel's GPIO character device (uAPI v2), one method each; `gpio_line.py` decides with them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unitd.drivers import gpio_uapi as uapi


class GpioKernel:
    """Each call raises OSError when the kernel refuses; none waits."""

    def chips(self) -> list[str]:
        """The paths of all chips, such as /dev/gpiochip0. On a Pi 5 one chip may have two names."""
        return sorted(str(path) for path in Path("/dev").glob("gpiochip*"))

    def label(self, chip: str) -> str:
        """The driver's name for the chip, such as `pinctrl-rp1`."""
        with _opened(chip) as fd:
            return uapi.chip_label(_ask(fd, uapi.GET_CHIP_INFO, bytes(uapi.CHIP_INFO.size)))

    def info(self, chip: str, offset: int) -> uapi.LineInfo:
        """Who holds the line now, and how it is set."""
        with _opened(chip) as fd:
            return uapi.line_info(_ask(fd, uapi.GET_LINE_INFO, uapi.line_info_query(offset)))

    def request(self, chip: str, offset: int, consumer: str, flags: int) -> int:
        """A descriptor of the line, from which edges are read; close-on-exec. Edges are queued from now on."""
        with _opened(chip) as fd:
            return uapi.requested_fd(_ask(fd, uapi.GET_LINE, uapi.request(offset, consumer, flags)))

    def held(self, fd: int) -> uapi.Held | None:
        """Which line a descriptor from elsewhere holds; None when it is no line, or the kernel is too old to say."""
        try:
            # Our own words cannot be mistaken for it: only the kernel names an anonymous inode.
            if str(Path(f"/proc/self/fd/{fd}").readlink()) != "anon_inode:gpio-line":
                return None
            return uapi.held(Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii", errors="replace"))
        except OSError:
            return None

    def high(self, fd: int) -> bool:
        """The level of the line now."""
        bits, _ = uapi.VALUES.unpack(_ask(fd, uapi.GET_VALUES, uapi.VALUES.pack(0, 1)))
        return bool(bits & 1)


@contextmanager
def _opened(chip: str) -> Iterator[int]:
    fd = os.open(chip, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _ask(fd: int, number: int, question: bytes) -> bytes:
    answer = bytearray(question)
    fcntl.ioctl(fd, number, answer)
    return bytes(answer)
