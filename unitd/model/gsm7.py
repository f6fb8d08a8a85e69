"""The GSM 7-bit default alphabet with its extension table (3GPP TS 23.038, 6.2.1), of which messages are made. Pure.

A character of the extension table costs two septets. What is not in the alphabet is replaced by the nearest that is,
so that every text can be sent and a limit in septets can be kept.
"""

import unicodedata

ESCAPE = 0x1B
ALPHABET = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The character of each septet 0..127; ESCAPE leads into EXTENSION."""
EXTENSION = {
    "\f": 0x0A,
    "^": 0x14,
    "{": 0x28,
    "}": 0x29,
    "\\": 0x2F,
    "[": 0x3C,
    "~": 0x3D,
    "]": 0x3E,
    "|": 0x40,
    "€": 0x65,
}

_SEPTETS = {char: bytes((value,)) for value, char in enumerate(ALPHABET) if value != ESCAPE}
_SEPTETS |= {char: bytes((ESCAPE, value)) for char, value in EXTENSION.items()}
_NEAREST = {
    "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ħ": "h", "Ħ": "H", "ı": "i", "þ": "th", "Þ": "Th",
    "œ": "oe", "Œ": "OE", "ẞ": "SS", "ŧ": "t", "Ŧ": "T", "ŋ": "n", "Ŋ": "N", "ç": "c",
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "´": "'", "`": "'",
    "“": '"', "”": '"', "„": '"', "″": '"', "«": '"', "»": '"',
    "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-",
    "•": "*", "·": ".", "…": "...", "⁄": "/", "×": "x", "÷": "/", "°": " deg", "©": "(c)", "®": "(r)", "¢": "c",
    "Α": "A", "Β": "B", "Ε": "E", "Ζ": "Z", "Η": "H", "Ι": "I", "Κ": "K", "Μ": "M", "Ν": "N", "Ο": "O", "Ρ": "P",
    "Τ": "T", "Υ": "Y", "Χ": "X",
}  # fmt: skip
UNKNOWN = "?"


def to_gsm(text: str) -> str:
    """`text` in the alphabet alone: accents that it lacks are dropped, the rest becomes UNKNOWN. Any text is accepted.

    What a font does not show (joiners, byte order marks, variation selectors) is left out; other control characters
    become spaces.
    """
    return "".join(_nearest(char) for char in unicodedata.normalize("NFC", text))


def _nearest(char: str) -> str:
    if char in _SEPTETS and char != "\f":
        return char
    if char in _NEAREST:
        return _NEAREST[char]
    category = unicodedata.category(char)
    if category in ("Mn", "Me", "Cf"):
        return ""
    if category[0] in "ZC":
        return " "
    plain = "".join(_NEAREST.get(part, part) for part in unicodedata.normalize("NFKD", char))
    return "".join(part for part in plain if part in _SEPTETS) or UNKNOWN


def length_septets(text: str) -> int:
    """How many septets `to_gsm(text)` takes."""
    return sum(len(_SEPTETS[char]) for char in to_gsm(text))


def septets(text: str) -> bytes:
    """`to_gsm(text)` as one septet in each byte, not packed yet."""
    return b"".join(_SEPTETS[char] for char in to_gsm(text))


def cut(text: str, most_septets: int, mark: str = "..") -> str:
    """`to_gsm(text)` in at most `most_septets`; what was cut ends with `mark` where that fits."""
    text = to_gsm(text)
    if length_septets(text) <= most_septets:
        return text
    room = most_septets - length_septets(mark)
    if room < 1:
        mark, room = "", most_septets
    kept, used = 0, 0
    for char in text:
        used += len(_SEPTETS[char])
        if used > room:
            break
        kept += 1
    return text[:kept].rstrip() + mark


def pack(values: bytes) -> bytes:
    """Septets to octets as 6.1.2.1.1 says: eight septets in seven octets, the first in the lowest bits."""
    bits, count, octets = 0, 0, bytearray()
    for value in values:
        bits |= (value & 0x7F) << count
        count += 7
        while count >= 8:
            octets.append(bits & 0xFF)
            bits >>= 8
            count -= 8
    if count:
        octets.append(bits)
    return bytes(octets)
