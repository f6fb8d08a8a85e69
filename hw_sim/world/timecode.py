"""A time code drawn as black and white blocks in the picture, so that glass to glass can be measured.

Layout (fractions of the picture, so any decoder, scaler or browser canvas can find it):

- two rows of 20 cells in the top left corner; a cell is `CELL_W` of the picture's width by `CELL_H` of
  its height, so the whole block covers half the width and 4/45 of the height (16x16 pixels a cell at
  640x360, that is one H.264 macroblock; 8x8 at 320x180);
- each row starts with a white and a black cell, by which a reader finds black and white levels and
  refuses a picture without a code; 18 payload cells follow, white is 1;
- payload: row 0 then row 1, 36 bits, most significant first: 32 bits of monotonic milliseconds
  (CLOCK_MONOTONIC of the simulator's machine, modulo 2**32), then 4 bits of check: the exclusive-or of
  the eight nibbles of the time, exclusive-or 0b1010.

To read: average the middle half of each cell (luma), compare with the middle of the white and black
reference cells. The same in JavaScript is a `getImageData` of `x=(col+0.5)*CELL_W*width`,
`y=(row+0.5)*CELL_H*height`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ROWS = 2
COLS = 20
CELL_W = 1 / 40
"""Width of a cell, as a fraction of the picture's width."""
CELL_H = 2 / 45
"""Height of a cell, as a fraction of the picture's height."""
REFERENCE_CELLS = (1, 0)
"""The first two cells of each row: white, black."""
CHECK_XOR = 0b1010
MIN_CONTRAST = 60.0
"""Least difference of the white and black references, of 255, for a code to be believed."""
MODULUS_MS = 1 << 32

U8 = npt.NDArray[np.uint8]


def check_nibble(value_ms: int) -> int:
    """The 4 check bits of a 32-bit time."""
    check = CHECK_XOR
    for shift in range(0, 32, 4):
        check ^= (value_ms >> shift) & 0xF
    return check


def cells_of(value_ms: int) -> npt.NDArray[np.bool_]:
    """The cells, shape (ROWS, COLS), True for white, of a time in milliseconds (taken modulo 2**32)."""
    value_ms %= MODULUS_MS
    payload = (value_ms << 4) | check_nibble(value_ms)
    bits = [(payload >> shift) & 1 for shift in range(35, -1, -1)]
    per_row = COLS - len(REFERENCE_CELLS)
    rows = [[*REFERENCE_CELLS, *bits[row * per_row : (row + 1) * per_row]] for row in range(ROWS)]
    return np.array(rows, dtype=np.bool_)


def draw_time_code(picture: U8, mono_ns: int) -> None:
    """Draw the code for a monotonic time into a picture (H, W) or (H, W, channels), in place."""
    height, width = picture.shape[:2]
    cells = cells_of(mono_ns // 1_000_000)
    x_edges = np.rint(np.arange(COLS + 1) * CELL_W * width).astype(int)
    y_edges = np.rint(np.arange(ROWS + 1) * CELL_H * height).astype(int)
    block = np.repeat(np.repeat(cells, np.diff(y_edges), axis=0), np.diff(x_edges), axis=1)
    # 16..235: full-range black and white overshoot in a limited-range encoder without adding contrast.
    shades = np.where(block, np.uint8(235), np.uint8(16))
    target = picture[: shades.shape[0], : shades.shape[1]]
    target[...] = shades if picture.ndim == 2 else shades[..., np.newaxis]


def read_time_code(picture: npt.NDArray[np.generic]) -> int | None:
    """The monotonic milliseconds (modulo 2**32) drawn in an RGB (H, W, 3+) or grey (H, W) picture.

    None when there is no code, it is too faint, or its check bits disagree (one wrong cell is always
    noticed). Works on scaled pictures as long as a cell keeps about 4 pixels each way.
    """
    if picture.ndim not in (2, 3):
        return None
    height, width = picture.shape[:2]
    if width * CELL_W < 3 or height * CELL_H < 3:
        return None
    top = picture[: int(np.ceil(height * CELL_H * ROWS)), : int(np.ceil(width * CELL_W * COLS))]
    luma = top.astype(np.float32)
    if luma.ndim == 3:
        luma = luma[..., :3].mean(axis=2)
    means = np.empty((ROWS, COLS), dtype=np.float32)
    for row in range(ROWS):
        y0, y1 = _middle(row, CELL_H * height)
        for col in range(COLS):
            x0, x1 = _middle(col, CELL_W * width)
            means[row, col] = luma[y0:y1, x0:x1].mean()
    white, black = float(means[:, 0].min()), float(means[:, 1].max())
    if white - black < MIN_CONTRAST:
        return None
    bits = means[:, len(REFERENCE_CELLS) :].reshape(-1) > (white + black) / 2
    payload = 0
    for bit in bits:
        payload = (payload << 1) | int(bit)
    value_ms = payload >> 4
    return value_ms if check_nibble(value_ms) == payload & 0xF else None


def age_ms(code_ms: int, now_mono_ns: int) -> int:
    """Milliseconds from the time in a code to `now_mono_ns`, across the wrap at 2**32 ms (49.7 days)."""
    age = (now_mono_ns // 1_000_000 - code_ms) % MODULUS_MS
    return age - MODULUS_MS if age >= MODULUS_MS // 2 else age


def _middle(index: int, size: float) -> tuple[int, int]:
    first = int((index + 0.25) * size)
    return first, max(first + 1, int((index + 0.75) * size))
