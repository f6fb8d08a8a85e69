"""Short-time objective intelligibility: C. H. Taal, R. C. Hendriks, R. Heusdens, J. Jensen, "An Algorithm for
Intelligibility Prediction of Time-Frequency Weighted Noisy Speech", IEEE TASLP 19(7), 2011. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RATE_HZ = 10_000
FRAME = 256
STEP = 128
FFT = 512
BANDS = 15
LOWEST_HZ = 150.0
SEGMENT_FRAMES = 30
"""384 ms."""
RANGE_DB = 40.0
"""Frames of the clean speech that are further below its loudest are silence and not judged."""
CLIP_DB = -15.0
_TINY = 1e-12

F64 = npt.NDArray[np.float64]


def stoi(clean: F64, heard: F64) -> float | None:
    """0 to 1 for `heard`, aligned with `clean`, both at RATE_HZ. None when there is too little speech to judge."""
    frames_clean, frames_heard = _spoken(clean, heard)
    if len(frames_clean) < SEGMENT_FRAMES:
        return None
    bands = _bands()
    x = np.sqrt(bands @ np.abs(np.fft.rfft(frames_clean, FFT).T) ** 2)
    y = np.sqrt(bands @ np.abs(np.fft.rfft(frames_heard, FFT).T) ** 2)
    segments_x = np.lib.stride_tricks.sliding_window_view(x, SEGMENT_FRAMES, axis=1)
    segments_y = np.lib.stride_tricks.sliding_window_view(y, SEGMENT_FRAMES, axis=1)
    gain = np.linalg.norm(segments_x, axis=2) / (np.linalg.norm(segments_y, axis=2) + _TINY)
    limit = 1 + 10 ** (-CLIP_DB / 20)
    clipped = np.minimum(segments_y * gain[..., None], segments_x * limit)
    centred_x = segments_x - segments_x.mean(axis=2, keepdims=True)
    centred_y = clipped - clipped.mean(axis=2, keepdims=True)
    norm = np.linalg.norm(centred_x, axis=2) * np.linalg.norm(centred_y, axis=2) + _TINY
    return float(np.mean(np.sum(centred_x * centred_y, axis=2) / norm))


def _spoken(clean: F64, heard: F64) -> tuple[F64, F64]:
    """The windowed frames of both in which the clean one speaks."""
    window = np.hanning(FRAME + 2)[1:-1]
    length = min(len(clean), len(heard))
    if length < FRAME:
        return np.zeros((0, FRAME)), np.zeros((0, FRAME))
    frames_clean = np.lib.stride_tricks.sliding_window_view(clean[:length], FRAME)[::STEP] * window
    frames_heard = np.lib.stride_tricks.sliding_window_view(heard[:length], FRAME)[::STEP] * window
    level_db = 20 * np.log10(np.linalg.norm(frames_clean, axis=1) + _TINY)
    spoken = level_db > level_db.max() - RANGE_DB
    return frames_clean[spoken], frames_heard[spoken]


def _bands() -> F64:
    """Which bins of the spectrum belong to which third of an octave."""
    bins_hz = np.linspace(0, RATE_HZ / 2, FFT // 2 + 1)
    centres_hz = LOWEST_HZ * 2.0 ** (np.arange(BANDS) / 3)
    lower, upper = centres_hz * 2.0 ** (-1 / 6), centres_hz * 2.0 ** (1 / 6)
    return np.array([(bins_hz >= low) & (bins_hz < high) for low, high in zip(lower, upper, strict=True)], np.float64)
