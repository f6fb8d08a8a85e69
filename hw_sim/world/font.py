"""A 5x7 bitmap font for the caption in the picture: no font files, the same pixels on every machine."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]

GLYPH_W = 5
GLYPH_H = 7

# One row of 7 five-bit numbers a glyph, the left pixel in the highest bit.
_GLYPHS: dict[str, tuple[int, int, int, int, int, int, int]] = {
    " ": (0, 0, 0, 0, 0, 0, 0),
    "0": (14, 17, 19, 21, 25, 17, 14),
    "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 2, 4, 8, 31),
    "3": (31, 2, 4, 2, 1, 17, 14),
    "4": (2, 6, 10, 18, 31, 2, 2),
    "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14),
    "7": (31, 1, 2, 4, 8, 8, 8),
    "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12),
    "A": (14, 17, 17, 31, 17, 17, 17),
    "B": (30, 17, 17, 30, 17, 17, 30),
    "C": (14, 17, 16, 16, 16, 17, 14),
    "D": (28, 18, 17, 17, 17, 18, 28),
    "E": (31, 16, 16, 30, 16, 16, 31),
    "F": (31, 16, 16, 30, 16, 16, 16),
    "G": (14, 17, 16, 23, 17, 17, 15),
    "H": (17, 17, 17, 31, 17, 17, 17),
    "I": (14, 4, 4, 4, 4, 4, 14),
    "J": (7, 2, 2, 2, 2, 18, 12),
    "K": (17, 18, 20, 24, 20, 18, 17),
    "L": (16, 16, 16, 16, 16, 16, 31),
    "M": (17, 27, 21, 21, 17, 17, 17),
    "N": (17, 17, 25, 21, 19, 17, 17),
    "O": (14, 17, 17, 17, 17, 17, 14),
    "P": (30, 17, 17, 30, 16, 16, 16),
    "Q": (14, 17, 17, 17, 21, 18, 13),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4),
    "U": (17, 17, 17, 17, 17, 17, 14),
    "V": (17, 17, 17, 17, 17, 10, 4),
    "W": (17, 17, 17, 21, 21, 21, 10),
    "X": (17, 17, 10, 4, 10, 17, 17),
    "Y": (17, 17, 17, 10, 4, 4, 4),
    "Z": (31, 1, 2, 4, 8, 16, 31),
    ":": (0, 12, 12, 0, 12, 12, 0),
    ".": (0, 0, 0, 0, 0, 12, 12),
    ",": (0, 0, 0, 0, 12, 4, 8),
    "-": (0, 0, 0, 31, 0, 0, 0),
    "+": (0, 4, 4, 31, 4, 4, 0),
    "/": (0, 1, 2, 4, 8, 16, 0),
    "'": (12, 4, 8, 0, 0, 0, 0),
}
_UNKNOWN = (31, 17, 17, 17, 17, 17, 31)


@lru_cache(maxsize=64)
def text_mask(text: str, scale: int) -> npt.NDArray[np.bool_]:
    """The pixels of a line of text, True where there is ink; letters are shown as capitals."""
    columns = np.zeros((GLYPH_H, max(1, len(text)) * (GLYPH_W + 1) - 1), dtype=np.bool_)
    for index, char in enumerate(text.upper()):
        left = index * (GLYPH_W + 1)
        for row, bits in enumerate(_GLYPHS.get(char, _UNKNOWN)):
            for col in range(GLYPH_W):
                columns[row, left + col] = bool(bits >> (GLYPH_W - 1 - col) & 1)
    return np.repeat(np.repeat(columns, scale, axis=0), scale, axis=1)


def draw_text(picture: U8, text: str, x: int, y: int, scale: int) -> None:
    """White text with a dark edge, its top left at (x, y), clipped to the RGB picture, in place."""
    mask = text_mask(text, scale)
    _ink(picture, mask, x + max(1, scale // 2), y + max(1, scale // 2), 20)
    _ink(picture, mask, x, y, 240)


def _ink(picture: U8, mask: npt.NDArray[np.bool_], x: int, y: int, shade: int) -> None:
    if x < 0 or y < 0:
        return
    area = picture[y : y + mask.shape[0], x : x + mask.shape[1]]
    area[mask[: area.shape[0], : area.shape[1]]] = shade
