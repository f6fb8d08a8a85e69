"""Answers to an offer of two pictures: the second may be taken, refused or left out, and nothing else."""

import pytest

from tests.unit.call.test_answer import CHROME, TRANSPORT, crlf
from unitd.call.rtc.answer import read_answer
from unitd.call.rtc.gst import GstSdp
from unitd.errors import WireError

MIDS = ("video0", "audio1", "video2", "application3")
SECOND = f"""m=video 9 UDP/TLS/RTP/SAVPF 98 100
c=IN IP4 0.0.0.0
{TRANSPORT}a=mid:video2
a=recvonly
a=rtcp-mux
a=rtpmap:98 H264/90000
a=rtcp-fb:98 nack
a=fmtp:98 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:100 rtx/90000
a=fmtp:100 apt=98
"""
DATA = f"""m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
{TRANSPORT}a=mid:application3
a=sctp-port:5000
"""


def answer(second: str, group: str, data: str = DATA) -> str:
    return crlf(CHROME.replace("BUNDLE video0 audio1", f"BUNDLE {group}") + second + data)


def sections(sdp: str) -> list[str]:
    return [line.split(" ")[0] + " " + line.split(" ")[1] for line in sdp.splitlines() if line.startswith("m=")]


def test_a_second_picture_that_was_offered_is_taken_with_its_own_payload() -> None:
    read = read_answer(answer(SECOND, "video0 audio1 video2 application3"), MIDS, pip=True)
    assert read.has_pip
    assert sections(read.sdp) == ["m=video 9", "m=audio 9", "m=video 9", "m=application 9"]
    assert "a=rtpmap:98 H264/90000" in read.sdp
    assert "a=fmtp:100 apt=98" in read.sdp
    assert GstSdp.SDPMessage.new_from_text(read.sdp)[0] == GstSdp.SDPResult.OK


@pytest.mark.parametrize(
    ("second", "group"),
    [
        (SECOND.replace("m=video 9", "m=video 0"), "video0 audio1 application3"),
        (SECOND.replace("m=video 9", "m=video 0"), "video0 audio1 video2 application3"),
        ("m=video 0 UDP/TLS/RTP/SAVPF 98\nc=IN IP4 0.0.0.0\na=inactive\n", "video0 audio1 application3"),
        ("", "video0 audio1 application3"),
    ],
)
def test_it_may_be_refused_or_left_out(second: str, group: str) -> None:
    read = read_answer(answer(second, group), MIDS, pip=True)
    assert not read.has_pip
    assert sections(read.sdp) == ["m=video 9", "m=audio 9", "m=video 0", "m=application 9"]
    assert read.sdp.count("a=fingerprint:") == 4


@pytest.mark.parametrize(
    ("second", "group", "reason"),
    [
        (SECOND.replace("98", "96"), "video0 audio1 video2 application3", "no h264"),
        (SECOND.replace("H264", "VP8"), "video0 audio1 video2 application3", "no h264"),
        (SECOND.replace("mid:video2", "mid:video9"), "video0 audio1 video9 application3", "mid"),
        (SECOND.replace("a=recvonly", "a=sendonly"), "video0 audio1 video2 application3", "wants to send"),
        (SECOND, "video0 audio1 application3", "bundle"),
        (SECOND + SECOND, "video0 audio1 video2 application3", "more media"),
    ],
)
def test_another_second_picture_than_was_offered_is_refused(second: str, group: str, reason: str) -> None:
    with pytest.raises(WireError, match=f"(?i){reason}"):
        read_answer(answer(second, group), MIDS, pip=True)


def test_a_second_picture_that_was_not_offered_is_refused() -> None:
    with pytest.raises(WireError, match="more media"):
        read_answer(answer(SECOND, "video0 audio1 video2"), ("video0", "audio1"))
