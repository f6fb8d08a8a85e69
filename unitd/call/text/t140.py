"""Letters as they are typed: ITU-T T.140 as RFC 4103 and RFC 8865 carry it. Pure.

U+0008 takes the last letter back, U+2028 (or CR, LF, CR LF) ends a line, U+FEFF says nothing, U+FFFD stands where
letters were lost. A letter is a code point, so that one U+0008 takes back what the person at the keys sees as one.
"""

import unicodedata
from dataclasses import dataclass

ERASE, NEW_LINE, LOST = "\u0008", "\u2028", "\ufffd"
MAX_LINE = 300
"""Letters; the line is ended then, and the next begins."""
ENDS = frozenset("\u2028\u2029\r\n")
ERASES = frozenset("\u0008\u007f")
TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Bidirectional overrides: they would turn other people's letters round on a display. Scripts that run from right to
left do without them."""
UNSEEN = ("Cc", "Cs", "Cn", "Co")
"""Control codes (T.140's own are read above), surrogates, what is no letter, private use."""


@dataclass(frozen=True)
class Taken:
    """What became of some letters: `letters` to pass on, as the one who sees them must apply them, and the lines that
    they ended."""

    letters: str = ""
    lines: tuple[str, ...] = ()


class Writing:
    """One writer's open line. Everything that comes is bounded and cleaned: what is passed on, applied in order, gives
    the same line as this one has."""

    def __init__(self) -> None:
        self.open = ""
        self._was_return = False

    def take(self, text: str) -> Taken:
        letters: list[str] = []
        lines: list[str] = []
        for letter in text:
            after_return, self._was_return = self._was_return, letter == "\r"
            if letter in ENDS:
                if not (letter == "\n" and after_return):
                    self._end(letters, lines)
            elif letter in ERASES:
                if self.open:
                    self.open = self.open[:-1]
                    letters.append(ERASE)
            elif letter == LOST or (letter not in TURNS and unicodedata.category(letter) not in UNSEEN):
                if letter == "\ufeff":
                    continue
                self.open += letter
                letters.append(letter)
                if len(self.open) >= MAX_LINE:
                    self._end(letters, lines)
        return Taken("".join(letters), tuple(lines))

    def _end(self, letters: list[str], lines: list[str]) -> None:
        letters.append(NEW_LINE)
        if self.open.strip():
            lines.append(self.open.strip())
        self.open = ""


def pieces(text: str, most: int) -> list[str]:
    """`text` in pieces of at most `most` letters."""
    return [text[at : at + most] for at in range(0, len(text), most)]
