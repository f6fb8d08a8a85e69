"""Stills that units have sent at a press: `<directory>/<incident_id>/<sha256>.jpg`, and what is said of each beside it.

Kept here for ever, like the clips. What a unit sends is looked at before it is kept: a JPEG, of the size and digest it
says, with names that are names.
"""

import hashlib
import re
from pathlib import Path

import msgspec
from aiohttp import web

from unitd.messages.control_room import ClockQuality, Still

MOST_OF_INCIDENT = 64
"""A unit sends one from each camera at a press: past this somebody plays with the button, or with the unit."""
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


class KeptStill(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one still besides its file. `utc_us` is the unit's clock, as good as `clock` says."""

    unit: str
    incident_id: str
    camera: str
    utc_us: int
    mono_ns: int
    clock: ClockQuality
    width: int
    height: int
    sha256: str
    received_utc_us: int

    @property
    def url(self) -> str:
        return f"/stills/{self.incident_id}/{self.sha256}.jpg"


class StillBook:
    """`keep` and `load` block on the disk and raise OSError; they come from one thread. The rest does not block."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._of: dict[str, list[KeptStill]] = {}

    def load(self) -> None:
        """Find what an earlier run has kept; what cannot be read is left out."""
        for path in sorted(self._directory.glob("*/*.json")):
            try:
                self._add(msgspec.json.decode(path.read_bytes(), type=KeptStill))
            except (OSError, msgspec.MsgspecError):
                continue

    def keep(self, unit: str, still: Still, received_utc_us: int) -> bool:
        """Store a still; whether it is new. Raises ValueError when it is none."""
        if not _PLAIN.fullmatch(still.incident_id) or not _PLAIN.fullmatch(still.camera):
            raise ValueError("a still's names")
        if not still.jpeg.startswith(b"\xff\xd8") or hashlib.sha256(still.jpeg).hexdigest() != still.sha256:
            raise ValueError("a still that is not what it says")
        known = [each for each in self._of.get(still.incident_id, []) if each.unit == unit]
        if len(known) >= MOST_OF_INCIDENT or any(each.sha256 == still.sha256 for each in known):
            return False
        kept = KeptStill(
            unit=unit,
            incident_id=still.incident_id,
            camera=still.camera,
            utc_us=still.at.utc_us,
            mono_ns=still.at.mono_ns,
            clock=still.at.clock,
            width=still.width,
            height=still.height,
            sha256=still.sha256,
            received_utc_us=received_utc_us,
        )
        folder = self._directory / still.incident_id
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{still.sha256}.jpg").write_bytes(still.jpeg)
        (folder / f"{still.sha256}.json").write_bytes(msgspec.json.encode(kept))
        self._add(kept)
        return True

    def of(self, incident_id: str) -> list[KeptStill]:
        """The incident's stills in the order in which they were taken."""
        return sorted(self._of.get(incident_id, []), key=lambda each: (each.mono_ns, each.camera))

    async def handle_get(self, request: web.Request) -> web.StreamResponse:
        """GET /stills/<incident>/<sha256>.jpg on the console listener: only what is in the book."""
        incident_id, sha256 = request.match_info["incident"], request.match_info["sha256"]
        if not any(each.sha256 == sha256 for each in self._of.get(incident_id, [])):
            raise web.HTTPNotFound(text="no such still\n")
        response = web.FileResponse(self._directory / incident_id / f"{sha256}.jpg")
        response.content_type = "image/jpeg"
        return response

    def _add(self, kept: KeptStill) -> None:
        self._of.setdefault(kept.incident_id, []).append(kept)
