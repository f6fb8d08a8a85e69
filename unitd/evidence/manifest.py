"""`manifest.json` of an evidence directory: what belongs to it (docs/evidence.md). Shared by export and verify."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FileKind = Literal["segment", "still", "view", "audio", "readme"]
SegmentState = Literal["whole", "abandoned", "recovered", "open"]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
RelativePath = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$", max_length=200)
]

AUDIO_STREAM = "audio"
CONVERSATION = "conversation.txt"


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base: frozen; a field that is not known would be a change that nobody looks at."""


class EvidenceFile(_Part, frozen=True, kw_only=True):
    """`stream`, `boot`, `seq` and `state` are a segment's."""

    path: RelativePath
    bytes: int
    sha256: Sha256
    kind: FileKind
    stream: str = ""
    boot: int = 0
    seq: int = 0
    state: SegmentState | None = None


class Span(_Part, frozen=True, kw_only=True):
    """What was asked for, lexicographic on (boot, monotonic ns); `to_*` are None while the incident is open."""

    from_boot: int
    from_mono_ns: int
    to_boot: int | None = None
    to_mono_ns: int | None = None


class IncidentPart(_Part, frozen=True, kw_only=True):
    """The lock's fields as they were at the export."""

    incident_id: str
    kind: str
    outcome: str | None = None
    raised_utc_us: int = 0
    clock: str = "unknown"


class Made(_Part, frozen=True, kw_only=True):
    """When the export was made, by the unit's clocks."""

    utc_us: int
    clock: str
    boot: int
    mono_ns: int


class BootTime(_Part, frozen=True, kw_only=True):
    """UTC minus CLOCK_MONOTONIC of a boot, as found out, and how far that is to be trusted."""

    offset_us: int
    clock: str


class Manifest(_Part, frozen=True, kw_only=True):
    version: Literal[1]
    unit: str
    site: str
    incident: IncidentPart | None
    span: Span
    made: Made
    by: str
    software: str
    files: tuple[EvidenceFile, ...]
    times: dict[str, BootTime]
    notes: tuple[str, ...]
