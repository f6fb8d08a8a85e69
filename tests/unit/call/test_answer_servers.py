"""Answers of media servers to a WHIP or WHEP offer, as their makers write them, and those that cannot be taken.

Written after what is public of each; nobody's words are copied. What was offered: `video0` sendonly (H.264 as 96),
`audio1` sendonly (Opus as 97), bundled; for WHEP one `audio0` to be received.
"""

import pytest

from unitd.call.rtc.answer import read_answer, read_voice_answer
from unitd.call.rtc.gst import GstSdp
from unitd.errors import WireError

MIDS = ("video0", "audio1")
DIGEST = ":".join(["4a", "B0"] * 16)
ICE = "a=ice-ufrag:Zk3pAb12\na=ice-pwd:9bTq0sEw7yHn2vKd5mXr8aLf\n"
DTLS = f"a=fingerprint:sha-256 {DIGEST}\na=setup:passive\n"
OURS = f"a=fingerprint:sha-256 {DIGEST}\n"
HOST = "a=candidate:1 1 udp 2130706431 203.0.113.7 40000 typ host generation 0\n"


def answer(
    session: str = "a=group:BUNDLE video0 audio1\n",
    video: str = "m=video 9 UDP/TLS/RTP/SAVPF 96\n",
    audio: str = "m=audio 9 UDP/TLS/RTP/SAVPF 97\n",
    each: str = ICE + DTLS + HOST,
    direction: str = "a=recvonly\n",
    h264: str = "a=rtpmap:96 H264/90000\n",
    opus: str = "a=rtpmap:97 opus/48000/2\n",
    mids: tuple[str, str] = ("a=mid:video0\n", "a=mid:audio1\n"),
    behind: str = "",
) -> str:
    head = f"v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nc=IN IP4 0.0.0.0\nt=0 0\n{session}"
    common = f"c=IN IP4 0.0.0.0\na=rtcp-mux\n{each}{direction}"
    return f"{head}{video}{mids[0]}{common}{h264}{audio}{mids[1]}{common}{opus}{behind}".replace("\n", "\r\n")


BUNDLE = "a=group:BUNDLE video0 audio1\n"
TAKEN = {
    "mediasoup": answer(session=f"a=ice-lite\na=fingerprint:sha-256 {DIGEST}\na=msid-semantic: WMS *\n" + BUNDLE,
                        each=ICE + "a=setup:passive\n" + HOST + "a=end-of-candidates\na=ice-options:renomination\n"),
    "livekit": answer(each=ICE + DTLS.replace("passive", "active") + HOST
                      + "a=candidate:2 1 tcp 1671430143 203.0.113.7 7881 typ host tcptype passive\n"),
    "cloudflare": answer(session="a=ice-lite\n" + BUNDLE + "a=extmap-allow-mixed\n",
                         each=ICE + DTLS + HOST + HOST.replace("203.0.113.7", "2001:db8::7").replace(":1 1", ":2 1")),
    "pion": answer(session="a=msid-semantic:WMS*\n" + BUNDLE + OURS,
                   each=ICE + "a=setup:active\n" + HOST[:-14] + "\n" + HOST),
    "srs": answer(session="a=ice-lite\n" + BUNDLE + "a=msid-semantic: WMS live/livestream\n",
                  each=ICE + DTLS + "a=rtcp-rsize\n" + HOST),
    "libdatachannel": answer(session=BUNDLE + "a=group:LS video0 audio1\na=setup:active\n" + OURS
                             + ICE, each=HOST.replace("udp", "UDP")),
    "janus": answer(session=BUNDLE + "a=ice-options:trickle\n", video="m=video 9 UDP/TLS/RTP/SAVPF 96 98\n",
                    h264="a=rtpmap:96 H264/90000\na=rtpmap:98 rtx/90000\na=fmtp:98 apt=96\na=rtcp-fb:96 nack\n"),
    "gstreamer": answer(h264="a=rtpmap:96 H264/90000\na=rtcp-fb:96 nack pli\na=fmtp:96 packetization-mode=1\n"),
    "safari as a far end": answer(each=ICE + DTLS.replace("passive", "active")
                                  + HOST.replace("203.0.113.7", "9b36eaac-bb2e-49bb-bb78-21c41c499900.local")),
    "port in use from the first": answer(video="m=video 40000 UDP/TLS/RTP/SAVPF 96\n"),
    "no candidate at all": answer(each=ICE + DTLS),
    "bundle only": answer(audio="m=audio 0 UDP/TLS/RTP/SAVPF 97\na=bundle-only\n"),
    "old protocol name": answer(video="m=video 9 RTP/SAVPF 96\n", audio="m=audio 9 RTP/SAVPF 97\n"),
    "both ways although offered one way": answer(direction="a=sendrecv\n").replace("a=sendrecv", "a=recvonly", 1),
    "voice not wanted now": answer(opus="a=rtpmap:97 opus/48000/2\na=inactive\n"),
}  # fmt: skip
REFUSED = {
    "asterisk, no bundle": (answer(session=""), "does not bundle"),
    "half a bundle": (answer(session="a=group:BUNDLE video0\n"), "does not bundle"),
    "bundle in another order": (answer(session="a=group:BUNDLE audio1 video0\n"), "does not bundle"),
    "picture rejected": (answer(video="m=video 0 UDP/TLS/RTP/SAVPF 96\n"), "rejects video"),
    "voice rejected": (answer(audio="m=audio 0 UDP/TLS/RTP/SAVPF 97\n"), "rejects audio"),
    "other payload types": (
        answer(video="m=video 9 UDP/TLS/RTP/SAVPF 102\n", h264="a=rtpmap:102 H264/90000\n"), "as payload 96",
    ),
    "another codec under our number": (answer(h264="a=rtpmap:96 VP8/90000\n"), "as payload 96"),
    "mono voice": (answer(opus="a=rtpmap:97 opus/48000\n"), "as payload 97"),
    "no mids": (answer(mids=("", "")), "no usable mid"),
    "mids of its own": (
        answer(session="a=group:BUNDLE 0 1\n", mids=("a=mid:0\n", "a=mid:1\n")), "mids",
    ),
    "a third medium": (
        answer(behind="m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:video2\n"), "more media",
    ),
    "data channels": (
        answer(behind="m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:data2\n"), "which were not offered",
    ),
    "turned round": (
        "m=audio".join(reversed(answer().split("m=audio"))), "no session description",
    ),
    "no encryption": (answer(video="m=video 9 RTP/AVP 96\n"), "over RTP/AVP"),
    "SDES keys": (answer(video="m=video 9 RTP/SAVP 96\n"), "over RTP/SAVP"),
    "no fingerprint": (answer(each=ICE + "a=setup:active\n"), "fingerprint"),
    "a fingerprint of nothing": (answer(each=ICE + DTLS.replace(DIGEST, "00")), "fingerprint"),
    "nobody begins": (answer(each=ICE + DTLS.replace("passive", "actpass")), "no usable setup"),
    "no ICE": (answer(each=DTLS), "no usable ice-ufrag"),
    "it would send pictures": (answer(direction="a=sendonly\n"), "wants to send video"),
    "an error page": ("<html><body>502 Bad Gateway</body></html>", "no session description"),
    "nothing": ("", "no session description"),
}  # fmt: skip


def voice(**changes: str) -> str:
    text = "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\na=group:BUNDLE audio0\n"
    text += "m=audio 9 UDP/TLS/RTP/SAVPF 97\nc=IN IP4 0.0.0.0\na=mid:audio0\na=sendonly\na=rtcp-mux\n"
    text += ICE + DTLS + HOST + "a=rtpmap:97 opus/48000/2\na=fmtp:97 useinbandfec=1\n"
    for old, new in changes.items():
        assert old.replace("_", " ") in text
        text = text.replace(old.replace("_", " "), new)
    return text.replace("\n", "\r\n")


def understood(sdp: str, medias: int) -> None:
    result, message = GstSdp.SDPMessage.new_from_text(sdp)
    assert result == GstSdp.SDPResult.OK
    assert message.medias_len() == medias


@pytest.mark.parametrize("maker", TAKEN)
def test_ok__a_servers_answer_is_taken(maker: str) -> None:
    read = read_answer(TAKEN[maker], MIDS, hears=False)
    understood(read.sdp, 2)
    assert "a=sendrecv" not in read.sdp
    assert "a=sendonly" not in read.sdp
    assert all(" tcp " not in text for _, text in read.candidates)


@pytest.mark.parametrize("what", REFUSED)
def test_fail__an_answer_that_cannot_be_taken_says_why(what: str) -> None:
    sdp, reason = REFUSED[what]
    with pytest.raises(WireError, match=reason):
        read_answer(sdp, MIDS, hears=False)


def test_ok__a_voice_to_be_heard() -> None:
    read = read_voice_answer(voice(), ("audio0",))
    understood(read.sdp, 1)
    assert "a=sendonly" in read.sdp
    assert len(read.candidates) == 1


@pytest.mark.parametrize(
    ("sdp", "reason"),
    [
        (voice(**{"m=audio_9": "m=audio 0"}), "rejects audio"),
        (voice(**{"m=audio_9": "m=video 9"}), "has media"),
        (voice(**{"a=mid:audio0": "a=mid:0"}), "has mid"),
        (voice(**{"97_opus/48000/2": "97 PCMU/8000"}), "as payload 97"),
        (voice() + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", "has media"),
        ("", "no session description"),
    ],
)
def test_fail__no_voice_that_could_be_heard(sdp: str, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        read_voice_answer(sdp, ("audio0",))
