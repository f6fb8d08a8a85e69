"""Record's chain without an end: parts that speak only of files which are gone go as well, the oldest first.

Some 0.6 kB of chain are written for each segment there ever was: without this a small disk that is full of footage
would lose 3 % of it to the chain each year.
"""

import time
from pathlib import Path

from unitd.store.chain import Chain
from unitd.store.chain_read import MAX_LINE_BYTES, Part, older_parts, parsed

LOOK_EVERY_S = 600.0


class ChainAge:
    """For the thread that makes room. A part stays while one file that it names is there, and the part before it too:
    an extract begins before its span does."""

    def __init__(self, evidence_dir: Path, chain: Chain) -> None:
        self._directory, self._chain = evidence_dir, chain
        self._path = evidence_dir / "record.chain"
        self._done: set[int] = set()
        self._holds = ""
        self._look_at_s = 0.0

    def forget(self) -> None:
        """Another disk is there now: nothing that is known of the chain's parts holds."""
        self._done, self._holds, self._look_at_s = set(), "", 0.0

    def prune(self) -> int:
        """Look at one part, every LOOK_EVERY_S; how many went (one at most but for a start). Raises OSError. Blocks:
        0.15 s for a part whose files have all gone, else one stat."""
        now_s = time.monotonic()
        if now_s < self._look_at_s:
            return 0
        self._look_at_s = now_s + LOOK_EVERY_S
        if self._holds and self._is_there(self._holds):
            return 0
        parts = older_parts(self._path)
        self._done &= {part.first_n for part in parts}
        part = next((each for each in parts if each.first_n not in self._done), None)
        if part is None:
            return 0
        self._holds = self._first_held(part)
        if self._holds:
            return 0
        self._done.add(part.first_n)
        return self._chain.prune(part.first_n)

    def _first_held(self, part: Part) -> str:
        """A file that the part names and that is there; "" for none. What cannot be read names nothing."""
        with part.path.open("rb") as lines:
            while raw := lines.readline(MAX_LINE_BYTES):
                line = parsed(raw) or {}
                file = line.get("file")
                if isinstance(file, str) and line.get("kind") != "evict" and self._is_there(file):
                    return file
        return ""

    def _is_there(self, file: str) -> bool:
        try:
            (self._directory / file).stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except ValueError:  # damage
            return False
        return True
