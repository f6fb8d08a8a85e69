"""What is left of the echo after the linear filter is turned down, where the caller is not heard. Pure.

In each of some 30 bands it follows how much of the found echo is still there while nobody else speaks (`leak`), and
turns down what that explains. What it does not explain is the caller, who passes at once. Nothing is turned down below
the street's own noise, so the line does not go dead with every word of the operator. The sums are in C
(native/residual.c).
"""

import ctypes
import weakref

import numpy as np

from unitd.call.native.binding import bind, made
from unitd.call.native.library import library
from unitd.call.voice.samples import ADDRESS, F32, NUMBER, Samples

HOP = 480
FRAME = 2 * HOP
EDGES = np.array(sorted({round(float(edge)) for edge in (*range(0, 20, 2), *np.geomspace(20, 481, 24))}))
"""Bands in bins of 50 Hz: 100 Hz wide below 1 kHz, about a third of an octave above."""
LOWEST_GAIN = 0.03
"""-30 dB"""
OVER = 2.5
"""The leak is a mean; speech swings round it."""
EXPECTED = 1.5
LEAK_DOWN = 0.05
LEAK_UP = 0.001
LEAK_AT_FIRST = 0.3
LEAST_LEAK = 1e-4
ECHO_HEARD = 1e-6
ECHO_RINGS = 0.6
NOISE_AT_FIRST = 1e-3
NOISE_UP = 1.003
NOISE_DOWN = 0.2
LEAST_NOISE = 1e-7
"""What 16 bits leave of a bin or two: a microphone that gave nothing for a while is none that never heard a street."""
OPEN_AT_ONCE = 0.7
CLOSE = 0.35


class _Plan(ctypes.Structure):
    """`struct residual_plan`"""

    _fields_ = (
        ("hop", ctypes.c_int),
        ("bands", ctypes.c_int),
        ("edges", ctypes.c_void_p),
        ("window", ctypes.c_void_p),
        *(
            (name, ctypes.c_float)
            for name in (
                *("lowest_gain", "over", "expected_over", "leak_down", "leak_up", "leak_at_first", "least_leak"),
                *("echo_heard", "echo_rings", "noise_up", "noise_down", "noise_at_first", "least_noise"),
                *("open_at_once", "close"),
            )
        ),
    )


_EDGES = EDGES.astype(np.int32)
_WINDOW = np.sqrt(np.hanning(FRAME + 1)[:FRAME]).astype(np.float32)
_PLAN = _Plan(
    hop=HOP,
    bands=len(EDGES) - 1,
    edges=_EDGES.ctypes.data,
    window=_WINDOW.ctypes.data,
    lowest_gain=LOWEST_GAIN,
    over=OVER,
    expected_over=EXPECTED,
    leak_down=LEAK_DOWN,
    leak_up=LEAK_UP,
    leak_at_first=LEAK_AT_FIRST,
    least_leak=LEAST_LEAK,
    echo_heard=ECHO_HEARD,
    echo_rings=ECHO_RINGS,
    noise_up=NOISE_UP,
    noise_down=NOISE_DOWN,
    noise_at_first=NOISE_AT_FIRST,
    least_noise=LEAST_NOISE,
    open_at_once=OPEN_AT_ONCE,
    close=CLOSE,
)


class ResidualSuppressor:
    """Two hops of 10 ms in and out, HOP samples late. Not thread-safe; 0.05 ms a call, during which other threads run.
    A sample that is no number counts as 0. Raises DeviceError when the C half was never compiled."""

    def __init__(self) -> None:
        native = bind(
            {
                "residual_new": (ADDRESS, ADDRESS),
                "residual_free": (None, ADDRESS),
                "residual_expect": (None, ADDRESS, ADDRESS, NUMBER),
                "residual_block": (None, *(ADDRESS,) * 4),
            },
            library(),
        )
        self._expect, self._block = native.unitd_residual_expect, native.unitd_residual_block
        self._state = made(native.unitd_residual_new(ctypes.addressof(_PLAN)))
        finalizer = weakref.finalize(self, native.unitd_residual_free, self._state)
        finalizer.atexit = False  # a thread may still be in it
        self._rest, self._echo, self._power = Samples(2 * HOP), Samples(2 * HOP), Samples(2 * int(EDGES[-1]))
        self.out = Samples(2 * HOP)

    def expect(self, power: F32) -> None:
        """How much echo the filter expects to have left, by bins of 25 Hz over 20 ms: it has not learned for long.
        Raises ValueError for more bins than there are."""
        self._power.all[: len(power)] = power
        self._expect(self._state, self._power.at, len(power))

    def block(self, rest: F32, echo: F32) -> F32:
        """The next 2 * HOP samples of the filter's output and of the echo it found. What is returned holds until the
        next call. Raises ValueError for another length."""
        if rest.shape != (2 * HOP,) or echo.shape != (2 * HOP,):
            raise ValueError(f"{2 * HOP} samples, not {rest.shape} and {echo.shape}")
        self._rest.all[:], self._echo.all[:] = rest, echo
        self._block(self._state, self._rest.at, self._echo.at, self.out.at)
        return self.out.all

    def run(self, rest: Samples, echo: Samples, expected: Samples) -> None:
        """`expect` and `block`, into `out`. `rest` and `echo` may be longer than 2 * HOP: their beginnings count."""
        self._expect(self._state, expected.at, len(expected.all))
        self._block(self._state, rest.at, echo.at, self.out.at)
