"""Candidates on their way to a WHIP server: in the offer, or in a fragment of it (RFC 8840, RFC 9725 4.3). Pure.

Everything here is bundled, so the first media section speaks for all.
"""

import re
from collections.abc import Sequence


def with_candidates(sdp: str, candidates: Sequence[str]) -> str:
    """The description with these candidates at the end of its first media section."""
    lines = sdp.replace("\r\n", "\n").rstrip("\n").split("\n")
    starts = [index for index, line in enumerate(lines) if line.startswith("m=")]
    if not starts:
        return sdp
    end = starts[1] if len(starts) > 1 else len(lines)
    out = [*lines[:end], *(f"a={text}" for text in candidates), *lines[end:]]
    return "\r\n".join(out) + "\r\n"


def fragment(sdp: str, candidates: Sequence[str]) -> str:
    """The `application/trickle-ice-sdpfrag` that tells of these candidates of the description."""
    found = {name: _first(rf"(?m)^a={name}:(\S+)", sdp) for name in ("ice-ufrag", "ice-pwd", "mid")}
    group = _first(r"(?m)^a=(group:BUNDLE[^\r\n]*)", sdp)
    media = _first(r"(?m)^(m=[^\r\n]*)", sdp)
    lines = [f"a=ice-ufrag:{found['ice-ufrag']}", f"a=ice-pwd:{found['ice-pwd']}"]
    lines += [f"a={group}"] if group else []
    lines += [media, f"a=mid:{found['mid']}", *(f"a={text}" for text in candidates)]
    return "\r\n".join(lines) + "\r\n"


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match is not None else ""
