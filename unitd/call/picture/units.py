"""Encoded pictures on their way through the process: access units, and the group of pictures in hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Profile = Literal["main", "sub"]

MAX_UNIT_BYTES = 4_000_000
"""More than any camera of this class sends in one picture (4K at its best quality: about 1 MB)."""
MAX_GOP_UNITS = 300
MAX_GOP_BYTES = 12_000_000


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One picture of H.264 as Annex B, parameter sets before each keyframe. `source_ns` is the camera's own time line,
    monotonic within one connection; `arrival_mono_ns` is when it reached this machine."""

    data: bytes
    keyframe: bool
    source_ns: int
    arrival_mono_ns: int


class GroupOfPictures:
    """The pictures since the last keyframe, so that a new peer sees something at once. Bounded: a group that grows
    past MAX_GOP_UNITS or MAX_GOP_BYTES is let go until the next keyframe (counted in `let_go`)."""

    def __init__(self) -> None:
        self._units: list[AccessUnit] = []
        self._bytes = 0
        self.let_go = 0

    def add(self, unit: AccessUnit) -> None:
        """Take the next picture; one that no keyframe in hand precedes is not kept."""
        if unit.keyframe:
            self._units, self._bytes = [], 0
        elif not self._units:
            return
        self._units.append(unit)
        self._bytes += len(unit.data)
        if len(self._units) > MAX_GOP_UNITS or self._bytes > MAX_GOP_BYTES:
            self.clear()
            self.let_go += 1

    def clear(self) -> None:
        """Forget the group: its source has gone."""
        self._units, self._bytes = [], 0

    def __len__(self) -> int:
        return len(self._units)

    def __iter__(self) -> Iterator[AccessUnit]:
        return iter(self._units)
