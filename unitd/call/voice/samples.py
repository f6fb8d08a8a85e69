"""Sound as numbers in -1..1, and back to what cards and codecs take. Pure; the sums are in C (native/sound.c)."""

import ctypes

import numpy as np
import numpy.typing as npt

from unitd.call.native.binding import bind

F32 = npt.NDArray[np.float32]


class Samples:
    """`count` numbers that C reads and writes. Their address is taken once: that costs as much as a small sum."""

    def __init__(self, count: int) -> None:
        self.all: F32 = np.zeros(count, np.float32)
        self.at: int = self.all.ctypes.data


ADDRESS, NUMBER, REAL = ctypes.c_void_p, ctypes.c_int, ctypes.c_float
"""Of C's arguments and results."""


class SoundSums:
    """The functions of native/sound.c. Raises DeviceError when they were never compiled."""

    def __init__(self) -> None:
        span = (ADDRESS, ctypes.c_longlong, ctypes.c_longlong, ctypes.c_double, ctypes.c_double)
        native = bind(
            {
                "sound_samples": (None, ADDRESS, ADDRESS, NUMBER),
                "sound_pcm": (None, ADDRESS, ADDRESS, NUMBER),
                "sound_energy": (REAL, ADDRESS, NUMBER),
                "sound_peak": (NUMBER, ADDRESS, NUMBER),
                "sound_add": (None, ADDRESS, ADDRESS, NUMBER, REAL),
                "sound_mixed": (NUMBER, ADDRESS, ADDRESS, NUMBER),
                "sound_pass": (None, ADDRESS, ADDRESS, ADDRESS, NUMBER, REAL, ADDRESS, NUMBER),
                "sound_read": (None, *span, ADDRESS, NUMBER, NUMBER, ADDRESS, NUMBER, NUMBER),
            }
        )
        self.samples, self.pcm = native.unitd_sound_samples, native.unitd_sound_pcm
        self.energy = native.unitd_sound_energy
        self.peak, self.add, self.mixed = native.unitd_sound_peak, native.unitd_sound_add, native.unitd_sound_mixed
        self.passed, self.read = native.unitd_sound_pass, native.unitd_sound_read


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
