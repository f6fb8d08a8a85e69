"""The linear half of the canceller: learns the way from the horn to the microphone and takes its echo out. Pure.

A partitioned-block Kalman filter in the frequency domain (Enzner and Vary, Signal Processing 86, 2006; Kuech, Mabande
and Enzner, ICASSP 2014). Its step is the Kalman gain: what the filter still does not know against what else is heard.
So it holds still by itself while the caller speaks, without a double-talk detector that can be wrong; that is why it
stands before WebRTC's own canceller, whose suppressor halves the caller's words (docs/adr/0014-echo-canceller.md).

The sums are in C (native/echo_filter.c): numpy's forty small steps cost twice as much in a call, where a block comes
every 20 ms and finds cold caches, as in a benchmark.
"""

import weakref

import numpy as np
import numpy.typing as npt

from unitd.call.native.binding import bind, made
from unitd.call.native.library import library
from unitd.call.voice.samples import ADDRESS, F32, NUMBER, REAL, Samples

C64 = npt.NDArray[np.complex64]

BLOCK = 960
"""20 ms, as the card gives them: no delay of its own."""
PARTS = 20
"""400 ms: buffers of both cards, up to 250 ms, and a street's answer of 150 ms."""
BINS = int(9000 * 2 * BLOCK / 48_000) + 1
"""Up to 9 kHz, where a horn ends; above, the microphone passes as it is."""
STAYS = 0.9995
"""How much of what was learned still holds 20 ms later: people move, clocks drift by a few ppm."""
DOUBT_AT_FIRST = 1e-3
"""Variance of each coefficient before anything was heard (the whole way is some -15 to 0 dB over a few partitions)."""
OTHERS_SMOOTHING = 0.8
SOUND = 0.005
LEAST_DOUBT = 1e-6
LEARNED_BLOCKS = 250
"""5 s of sound"""
LEAST = 1e-7


class EchoFilter:
    """Blocks of BLOCK samples in -1..1: what the horn plays and what the microphone hears at the same instant of one
    clock, the horn's sound up to PARTS blocks ahead. Not thread-safe. 0.09 ms a block, during which other threads run.

    While the horn has been silent for longer than the filter is, the microphone passes as it is, and what was learned
    is kept, but doubted more and more. A sample that is no number counts as 0. Raises DeviceError when the C half was
    never compiled.
    """

    def __init__(self) -> None:
        native = bind(
            {
                "echo_filter_new": (ADDRESS, *(NUMBER,) * 3, *(REAL,) * 4),
                "echo_filter_free": (None, ADDRESS),
                "echo_filter_block": (REAL, *(ADDRESS,) * 6),
                "echo_filter_loudness": (REAL, ADDRESS),
                "echo_filter_doubt": (None, ADDRESS, REAL),
                "echo_filter_way": (None, ADDRESS, ADDRESS),
            },
            library(),
        )
        make, self._block = native.unitd_echo_filter_new, native.unitd_echo_filter_block
        self._native = native
        self._state = made(make(BLOCK, PARTS, BINS, STAYS, DOUBT_AT_FIRST, OTHERS_SMOOTHING, LEAST))
        finalizer = weakref.finalize(self, native.unitd_echo_filter_free, self._state)
        finalizer.atexit = False  # a thread may still be in it
        self.far, self.near = Samples(BLOCK), Samples(BLOCK)
        self.rest, self.echo, self.expected = Samples(BLOCK), Samples(BLOCK), Samples(BINS)
        buffers = (self.far, self.near, self.rest, self.echo, self.expected)
        self._buffers = tuple(each.at for each in buffers)
        self._learned_blocks = 0
        self.far_peak = 0.0
        """Of the last block of the horn."""

    def doubt(self) -> None:
        """What was learned may no longer hold (a card was opened anew): learn fast again, from what is known. Where
        there was hardly an echo none is expected elsewhere: the caller is not turned down for it."""
        doubt = DOUBT_AT_FIRST
        if self._learned_blocks >= LEARNED_BLOCKS:
            loudness = self._native.unitd_echo_filter_loudness(self._state)
            doubt = min(max(4 * loudness / PARTS, LEAST_DOUBT), DOUBT_AT_FIRST)
        self._native.unitd_echo_filter_doubt(self._state, doubt)

    @property
    def way(self) -> C64:
        """What is known of the way, by partition and bin; made for each who asks."""
        way = np.empty((PARTS, BINS), np.complex64)
        self._native.unitd_echo_filter_way(self._state, way.ctypes.data)
        return way

    def block(self, far: F32, near: F32) -> tuple[F32, F32, F32]:
        """The microphone's block without the echo, the echo that was found in it, and how much echo is expected to be
        left, as a power in each of BINS bins (of a spectrum over BLOCK samples). The three hold until the next call.
        Raises ValueError for another length."""
        if far.shape != (BLOCK,) or near.shape != (BLOCK,):
            raise ValueError(f"blocks of {BLOCK} samples, not {far.shape} and {near.shape}")
        self.far.all[:], self.near.all[:] = far, near
        self.run()
        return self.rest.all, self.echo.all, self.expected.all

    def run(self) -> None:
        """`block`, of what was laid into `far` and `near`; it is then in `rest`, `echo` and `expected`."""
        self.far_peak = self._block(self._state, *self._buffers)
        self._learned_blocks += self.far_peak > SOUND
