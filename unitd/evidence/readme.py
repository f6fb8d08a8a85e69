"""README.txt of an evidence directory: for somebody who has never heard of any of this. Under 4 kB."""

from unitd.config import Config
from unitd.evidence.manifest import AUDIO_STREAM, CONVERSATION, EvidenceFile
from unitd.evidence.times import CORRECTED

_CLOCK = {
    "synced": "the unit's clock was right (set by the network)",
    "held": "the unit's clock had been right before and had not been changed since",
    "unknown": "the unit's clock was NOT known to be right: trust the order, not the time of day",
    CORRECTED: "worked out afterwards, when the unit's clock was right again",
}

_TEXT = """\
EVIDENCE FROM A STREET HELP POINT

{what}
Place:     {site}
Unit:      {unit}
From:      {begin}
To:        {end}
Time:      {clock}
Pictures:  {cameras}
Sound:     {sound}

WHAT IS WHAT
view/        Watch these: one film for each camera. Double-click; any player will do (VLC, a web browser).
{audio}segments/    The original recording, exactly as the unit wrote it, about ten seconds a file. They play as well.
{stills}{typed}chain/       The unit's own logs, in which each line holds the fingerprint of the line before.
checkpoints/ What the unit signed: the state of those logs (missing when the export was not sealed).
manifest.json, SHA256SUMS   The list of all files with their fingerprints, and remarks ("notes").
certificate.pem             The unit's public key (missing when it has none).

The films in view/ hold the same pictures as segments/, joined; where the recording has a gap the picture
stands still, for {gap:.0f} seconds at most. Nothing was coded anew.

KEEP IT AS IT IS
Work on a copy. Opening a file does not change it; editing, renaming or saving it again does, and will show.

HOW TO CHECK IT
With the unit's software, on any computer:
    unitd verify .  --trust ca.pem  --heads heads.jsonl
ca.pem and heads.jsonl come from the control room, not from here: with them it is also proven which unit made
this and that nothing was left out. It says in plain words what is proven and what is not.

Without it, on Linux (in this directory):
    sha256sum -c SHA256SUMS
    openssl x509 -in certificate.pem -noout -pubkey > ../key.pem
    openssl pkeyutl -verify -rawin -pubin -inkey ../key.pem \\
        -in checkpoints/NUMBER.json -sigfile checkpoints/NUMBER.sig
The first shows that the files belong together; the others that the unit signed (take the highest NUMBER).
docs/evidence.md of the software says how the rest fits, line by line.
"""


def readme(
    config: Config,
    what: str,
    begin: str,
    end: str,
    clock: str,
    files: list[EvidenceFile],
    longest_gap_s: float,
) -> bytes:
    """The text. `what`: one line on what happened; `begin` and `end` in words. Pure."""
    site = config.site
    cameras = sorted({file.stream for file in files if file.kind == "segment" and file.stream != AUDIO_STREAM})
    voices = any(file.kind == "segment" and file.stream == AUDIO_STREAM for file in files)
    typed = any(file.path == CONVERSATION for file in files)
    stills = any(file.kind == "still" for file in files)
    return _TEXT.format(
        what=what,
        site=", ".join(part for part in (site.name, site.address) if part),
        unit=config.unit.id,
        begin=begin,
        end=end,
        clock=_CLOCK.get(clock, clock),
        cameras=", ".join(cameras) or "NONE: nothing was recorded, or nothing is left of it",
        sound="both voices of the call" if voices else "none of the call; a camera's own sound is in its film",
        audio="audio/       The voices alone: left the street, right the loudspeaker.\n" if voices else "",
        typed=f"{CONVERSATION}            What was typed and said on the loudspeaker, line by line.\n" if typed else "",
        stills="stills/      Pictures taken at the moment of the press.\n" if stills else "",
        gap=longest_gap_s,
    ).encode()
