"""Sound as numbers in -1..1, and back to what cards and codecs take. Pure; the sums are in C (native/sound.c)."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from unitd.call.native.library import brief

F32 = npt.NDArray[np.float32]


class Samples:
    """`count` numbers that C reads and writes. Their address is taken once: that costs as much as a small sum."""

    def __init__(self, count: int) -> None:
        self.all: F32 = np.zeros(count, np.float32)
        self.at: int = self.all.ctypes.data


def typed(function: Any, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A C function that takes plain numbers and addresses."""
    function.restype, function.argtypes = result, arguments
    made: Callable[..., Any] = function
    return made


ADDRESS = ctypes.c_void_p
NUMBER = ctypes.c_int


class SoundSums:
    """The functions of native/sound.c. Raises DeviceError when they were never compiled."""

    def __init__(self) -> None:
        native = brief()
        real = ctypes.c_double
        whole = ctypes.c_longlong
        self.samples = typed(native.unitd_sound_samples, None, ADDRESS, ADDRESS, NUMBER)
        self.pcm = typed(native.unitd_sound_pcm, None, ADDRESS, ADDRESS, NUMBER)
        self.energy = typed(native.unitd_sound_energy, ctypes.c_float, ADDRESS, NUMBER)
        self.peak = typed(native.unitd_sound_peak, NUMBER, ADDRESS, NUMBER)
        self.add = typed(native.unitd_sound_add, None, ADDRESS, ADDRESS, NUMBER, ctypes.c_float)
        self.mixed = typed(native.unitd_sound_mixed, NUMBER, ADDRESS, ADDRESS, NUMBER)
        self.mix = typed(
            native.unitd_sound_pass, None, ADDRESS, ADDRESS, ADDRESS, NUMBER, ctypes.c_float, ADDRESS, NUMBER
        )
        self.read = typed(
            native.unitd_sound_read,
            None,
            *(ADDRESS, whole, whole, real, real, ADDRESS, NUMBER, NUMBER, ADDRESS, NUMBER, NUMBER),
        )


class Pcm:
    """Frames of `count` samples between 16 bit and numbers. Not thread-safe."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._made = ctypes.create_string_buffer(2 * count)
        self._made_at = ctypes.addressof(self._made)
        sums = SoundSums()
        self._samples, self._pcm = sums.samples, sums.pcm

    def read(self, pcm: bytes, into: Samples) -> None:
        """Signed 16 bit as numbers. Raises ValueError for another length."""
        if len(pcm) != 2 * self._count or len(into.all) != self._count:
            raise ValueError(f"{len(pcm)} bytes for {self._count} samples")
        self._samples(pcm, into.at, self._count)

    def made(self, samples: Samples) -> bytes:
        """Numbers as signed 16 bit; what is louder than full scale is clipped. Raises ValueError for another length."""
        if len(samples.all) != self._count:
            raise ValueError(f"{len(samples.all)} samples for {self._count}")
        self._pcm(samples.at, self._made_at, self._count)
        return self._made.raw
