"""ICE candidates, rewritten so that media takes the emulated link: each side sees one host candidate, the relay's.

Pure text work on SDP (RFC 8866) and candidate lines (RFC 8839). A link of None leaves everything as it is.
"""

RELAY_HOST = "127.0.0.1"
PRIORITY = 2130706431
"""Type preference 126 (host), local preference 65535, component 1: RFC 8445 section 5.1.2.1."""


def candidate(port: int, host: str = RELAY_HOST) -> str:
    """The one candidate that a side is given: the link's socket at its end."""
    return f"candidate:1 1 udp {PRIORITY} {host} {port} typ host"


def rewrite_sdp(sdp: str, port: int, host: str = RELAY_HOST) -> str:
    """`sdp` with every candidate (host, reflexive, mDNS, TCP) gone and ours in each media section."""
    lines: list[str] = []
    in_media = False
    for line in sdp.replace("\r\n", "\n").rstrip("\n").split("\n"):
        if line.startswith(("a=candidate:", "a=end-of-candidates")):
            continue
        if line.startswith("m="):
            if in_media:
                lines.append(f"a={candidate(port, host)}")
            in_media = True
        lines.append(line)
    if in_media:
        lines.append(f"a={candidate(port, host)}")
    return "\r\n".join(lines) + "\r\n"
