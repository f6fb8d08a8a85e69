"""How long a far end may hold pictures back before it shows them: not at all. Pure.

A browser holds every picture until the latest one of the last seconds would have been there as well: a keyframe that
took long makes all that follow late, for ten seconds and more. To see at once what happens now is worth more here than
an even step. The header extension is WebRTC's own (http://www.webrtc.org/experiments/rtp-hdrext/playout-delay): two
numbers of 12 bits, in 10 ms; with 0 and 500 ms at most Chromium shows each picture as soon as it is decoded.
"""

import re

URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
EXTENSION_ID = 9
"""Of the header extension in our offer; webrtcbin numbers its own from 1."""
LEAST_MS, MOST_MS = 0, 100
SAID = ((LEAST_MS // 10) << 12 | MOST_MS // 10).to_bytes(3, "big")
_VIDEO = re.compile(r"(?m)^m=video [^\r\n]*\r\n(?:(?!m=)[^\r\n]*\r\n)*")


def offered(sdp: str) -> str:
    """The offer with the extension in each picture's section."""
    return _VIDEO.sub(lambda section: f"{section[0]}a=extmap:{EXTENSION_ID} {URI}\r\n", sdp)
