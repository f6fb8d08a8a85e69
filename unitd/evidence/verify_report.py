"""What `unitd verify` found, for people and for programs."""

from typing import Literal

import msgspec

PROVEN, TAMPERED, UNUSABLE, UNPROVEN = 0, 1, 2, 3

Verdict = Literal["proven", "tampered", "unusable", "not_proven"]
VERDICTS: dict[int, Verdict] = {PROVEN: "proven", TAMPERED: "tampered", UNUSABLE: "unusable", UNPROVEN: "not_proven"}


class Finding(msgspec.Struct, frozen=True):
    """Something that was changed. `file`: its path in the export, or the heads file; `what` in words, with the line."""

    file: str
    what: str


class Unproven(msgspec.Struct, frozen=True):
    """Something that is not shown, why not, and how it can be."""

    what: Literal["origin", "completeness"]
    why: str
    how: str = ""


class StreamPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an export has of one stream. Times as UTC text, "" when not known."""

    stream: str
    segments: int
    begins: str = ""
    ends: str = ""
    complete_until: str = ""
    newer_s: int = 0


class Report(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`status` is the exit status. `remarks` are what an opponent would ask about; `checked` what held; `lacks` in a
    few words each what is honestly not here, so that nobody takes "proven" for "all of it"."""

    version: int = 1
    verdict: Verdict = "unusable"
    status: int = UNUSABLE
    place: str = ""
    unit: str = ""
    site: str = ""
    incident: str = ""
    made: str = ""
    by: str = ""
    tampered: list[Finding] = []
    not_proven: list[Unproven] = []
    streams: list[StreamPart] = []
    checked: list[str] = []
    lacks: list[str] = []
    remarks: list[str] = []
    error: str = ""

    def judge(self) -> None:
        """Set verdict and status from what was found."""
        if self.error:
            self.status = UNUSABLE
        elif self.tampered:
            self.status = TAMPERED
        else:
            self.status = UNPROVEN if self.not_proven else PROVEN
        self.verdict = VERDICTS[self.status]

    def lack(self, what: str) -> None:
        if what not in self.lacks:
            self.lacks.append(what)

    def accuse(self, file: str, what: str) -> None:
        self.tampered.append(Finding(file, what))
