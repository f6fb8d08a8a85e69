"""Sound as numbers in -1..1, and back to what cards and codecs take. Pure."""

import ctypes

import numpy as np
import numpy.typing as npt

from unitd.call.native.library import brief

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]

_SCALE = np.float32(1 / 32767)
_SIGNED = np.dtype("<i2")


def samples_of(pcm: bytes) -> F32:
    """Signed 16 bit as numbers."""
    return np.frombuffer(pcm, _SIGNED) * _SCALE


def pcm_of(samples: F32) -> bytes:
    """Numbers as signed 16 bit; what is louder than full scale is clipped."""
    count = len(samples)
    held = np.ascontiguousarray(samples, np.float32)
    pcm = ctypes.create_string_buffer(2 * count)
    brief().unitd_sound_pcm(ctypes.c_void_p(held.ctypes.data), pcm, count)
    return pcm.raw
