"""What a run says while it works: one line that is written over on a terminal, one line a part otherwise."""

from __future__ import annotations

import sys
import time


class Progress:
    """Writes to stderr, so that the table alone is on stdout."""

    def __init__(self, parts: int) -> None:
        self._parts, self._part = parts, 0
        self._terminal = sys.stderr.isatty()
        self._start_s = time.monotonic()
        self._name = ""

    def part(self, name: str) -> None:
        """The next part begins."""
        self._part += 1
        self._name = name
        self._write(f"{self._head()}\n" if not self._terminal else f"\r\033[K{self._head()}")

    def step(self, what: str) -> None:
        """How far it is; shown only where lines can be written over."""
        if self._terminal:
            self._write(f"\r\033[K{self._head()}: {what}")

    def end(self) -> None:
        self._write(f"{chr(13) if self._terminal else ''}took {time.monotonic() - self._start_s:.0f} s\n")

    def _head(self) -> str:
        return f"[{self._part}/{self._parts}, {time.monotonic() - self._start_s:3.0f} s] {self._name}"

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
