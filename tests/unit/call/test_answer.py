"""Answers as different makers write them, and answers that nobody should trust."""

import random
import re

import pytest

from unitd.call.rtc.answer import MAX_CANDIDATES, read_answer, read_candidate
from unitd.call.rtc.gst import GstSdp
from unitd.errors import WireError
from unitd.messages.duplex import MAX_SDP_BYTES

DIGEST = ":".join(["4A", "B0"] * 16)
TRANSPORT = f"""a=ice-ufrag:Zk3p
a=ice-pwd:9bTq0sEw7yHn2vKd5mXr8aLf
a=ice-options:trickle
a=fingerprint:sha-256 {DIGEST}
a=setup:active
"""
HOST = "candidate:1467250027 1 udp 2122260223 192.168.0.196 46243 typ host generation 0 ufrag Zk3p network-id 1"

CHROME = f"""v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE video0 audio1
a=extmap-allow-mixed
a=msid-semantic: WMS
m=video 9 UDP/TLS/RTP/SAVPF 96 98
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a={HOST}
{TRANSPORT}a=mid:video0
a=recvonly
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:98 rtx/90000
a=fmtp:98 apt=96
m=audio 9 UDP/TLS/RTP/SAVPF 97
c=IN IP4 0.0.0.0
{TRANSPORT}a=mid:audio1
a=sendrecv
a=msid:- 8d2c6a1e
a=rtcp-mux
a=rtpmap:97 OPUS/48000/2
a=fmtp:97 minptime=10;useinbandfec=1
a=ssrc:1399694169 cname:uI8
"""
FIREFOX = f"""v=0
o=mozilla...THIS_IS_SDPARTA-99.0 4962303333179871722 0 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 {DIGEST}
a=group:BUNDLE video0 audio1
a=ice-options:trickle
a=msid-semantic:WMS *
m=video 9 UDP/TLS/RTP/SAVPF 96 98
c=IN IP4 0.0.0.0
a=recvonly
a=fmtp:96 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1
a=fmtp:98 apt=96
a=ice-pwd:e3baa26dd2fa5030d881d385f1e36cce
a=ice-ufrag:58b99ead
a=mid:video0
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 ccm fir
a=rtcp-mux
a=rtpmap:96 H264/90000
a=rtpmap:98 rtx/90000
a=setup:active
a=ssrc:1 cname:{{b2266c86-259f-4853-8662-ea94cf0835a3}}
m=audio 0 UDP/TLS/RTP/SAVPF 97
c=IN IP4 0.0.0.0
a=bundle-only
a=sendrecv
a=fmtp:97 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=ice-pwd:e3baa26dd2fa5030d881d385f1e36cce
a=ice-ufrag:58b99ead
a=mid:audio1
a=rtcp-mux
a=rtpmap:97 opus/48000/2
a=setup:active
"""
SAFARI = CHROME.replace("WMS\n", "WMS -\n").replace(
    HOST, "candidate:1 1 udp 2113937151 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 51503 typ host generation 0"
)
AIORTC = CHROME.replace(
    "sha-256 " + DIGEST, f"sha-256 {DIGEST}\na=fingerprint:sha-512 {':'.join(['0F'] * 64)}"
).replace("generation 0 ufrag Zk3p network-id 1", "")
PION = (
    CHROME.replace("a=ice-ufrag:Zk3p", "a=ice-ufrag:LRFhjmiXmxHgiPMc")
    .replace("a=setup:active\n", "a=setup:active\na=end-of-candidates\n")
    .replace("s=-", "s=-\na=msid-semantic:WMS*")
)
JANUS = (
    CHROME.replace("s=-", "s=VideoCall 42")
    .replace("c=IN IP4 0.0.0.0", "c=IN IP4 10.0.0.7")
    .replace("a=recvonly\n", "a=recvonly\na=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\n")
    .replace("setup:active", "setup:passive")
)
MAKERS = {"chrome": CHROME, "firefox": FIREFOX, "safari": SAFARI, "aiortc": AIORTC, "pion": PION, "janus": JANUS}


def crlf(sdp: str) -> str:
    return sdp.replace("\n", "\r\n")


@pytest.mark.parametrize("maker", MAKERS)
def test_every_makers_answer_is_taken_and_understood_by_gstreamer(maker: str) -> None:
    for sdp in (MAKERS[maker], crlf(MAKERS[maker])):
        read = read_answer(sdp)
        result, message = GstSdp.SDPMessage.new_from_text(read.sdp)
        assert result == GstSdp.SDPResult.OK
        assert message.medias_len() == 2
        assert message.get_media(0).get_media() == "video"
        assert message.get_media(1).get_media() == "audio"
        assert "96 98" in read.sdp.splitlines()[5]
        assert read.sdp.count("a=fingerprint:sha-256 ") == 2
        assert "useinbandfec=1" in read.sdp


def test_only_known_lines_go_on() -> None:
    odd = CHROME.replace("a=rtcp-mux\n", "a=rtcp-mux\na=simulcast:recv 1;2\na=crypto:1 x inline:y\nb=AS:1\n", 1)
    assert read_answer(odd).sdp == read_answer(CHROME).sdp


def test_its_candidates_come_apart_from_it_and_are_few() -> None:
    assert read_answer(CHROME).candidates == ((0, HOST),)
    many = CHROME.replace(f"a={HOST}\n", "".join(f"a={HOST.replace('46243', str(port))}\n" for port in range(1, 200)))
    assert len(read_answer(many).candidates) == MAX_CANDIDATES


VIDEO_AT, AUDIO_AT = CHROME.index("m=video"), CHROME.index("m=audio")
REFUSED = {
    "empty": "",
    "no media": CHROME[:VIDEO_AT],
    "only video": CHROME[:AUDIO_AT],
    "only audio": CHROME[:VIDEO_AT] + CHROME[AUDIO_AT:],
    "other order": CHROME[:VIDEO_AT] + CHROME[AUDIO_AT:] + CHROME[VIDEO_AT:AUDIO_AT],
    "a third": CHROME + CHROME[AUDIO_AT:],
    "data channel": CHROME.replace("m=audio 9 UDP/TLS/RTP/SAVPF 97", "m=application 9 UDP/DTLS/SCTP 97"),
    "video rejected": CHROME.replace("m=video 9", "m=video 0"),
    "audio rejected": CHROME.replace("m=audio 9", "m=audio 0"),
    "no H.264": CHROME.replace("H264", "VP8"),
    "no Opus": CHROME.replace("OPUS/48000/2", "PCMU/8000"),
    "another payload": CHROME.replace("SAVPF 96 98", "SAVPF 102 98"),
    "payload of nonsense": CHROME.replace("SAVPF 96 98", "SAVPF 96 x"),
    "no encryption": CHROME.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
    "no fingerprint": re.sub(r"a=fingerprint.*\n", "", CHROME),
    "half a fingerprint": CHROME.replace(DIGEST, DIGEST[:50]),
    "fingerprint of an unknown kind": CHROME.replace("sha-256", "md5"),
    "no ufrag": re.sub(r"a=ice-ufrag.*\n", "", CHROME),
    "a password of one letter": re.sub(r"a=ice-pwd.*\n", "a=ice-pwd:x\n", CHROME),
    "a password of 10 kB": re.sub(r"a=ice-pwd.*\n", f"a=ice-pwd:{'x' * 10_000}\n", CHROME),
    "no setup": re.sub(r"a=setup.*\n", "", CHROME),
    "actpass": CHROME.replace("setup:active", "setup:actpass"),
    "same mid twice": CHROME.replace("mid:audio1", "mid:video0"),
    "no mids": re.sub(r"a=mid.*\n", "", CHROME),
    "no bundle": re.sub(r"a=group.*\n", "", CHROME),
    "wants to send a picture": CHROME.replace("a=recvonly", "a=sendonly"),
    "NUL": CHROME.replace("s=-", "s=\x00"),
    "not ASCII": CHROME.replace("s=-", "s=Leitstelle Köln"),
    "too long": CHROME + "a=x\n" * MAX_SDP_BYTES,
    "JSON": '{"type":"answer"}',
    "printf": CHROME.replace("a=mid:video0", "a=mid:%s%n%n"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_answer_to_our_offer_is_refused_with_a_reason(what: str) -> None:
    with pytest.raises(WireError, match="answer"):
        read_answer(REFUSED[what])


def test_mids_of_another_offer_are_refused() -> None:
    assert read_answer(CHROME, ("video0", "audio1"))
    with pytest.raises(WireError, match="mids"):
        read_answer(CHROME, ("video4", "audio5"))


def test_broken_answers_are_read_or_refused_and_what_is_read_is_good() -> None:
    rng = random.Random(7)
    read = 0
    for _ in range(3000):
        lines = rng.choice(list(MAKERS.values())).splitlines()
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(lines))
            match rng.randrange(4):
                case 0:
                    del lines[at]
                case 1:
                    lines.insert(at, rng.choice(lines))
                case 2:
                    cut = rng.randint(0, len(lines[at]))
                    lines[at] = lines[at][:cut] + chr(rng.randint(1, 300)) + lines[at][cut:]
                case _:
                    lines[at] = lines[at][: rng.randint(0, len(lines[at]))]
        try:
            answer = read_answer("\n".join(lines))
        except WireError:
            continue
        read += 1
        assert GstSdp.SDPMessage.new_from_text(answer.sdp)[0] == GstSdp.SDPResult.OK
        assert read_answer(answer.sdp).sdp == answer.sdp
    assert read > 300


@pytest.mark.parametrize(
    "text",
    [
        HOST,
        "candidate:2 1 UDP 1 2001:db8::7 5000 typ srflx raddr 10.0.0.1 rport 9",
        "candidate:3 1 udp 1 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 5 typ host",
        f"a={HOST}",
    ],
)
def test_usable_candidates_are_taken(text: str) -> None:
    assert read_candidate(text) == text.removeprefix("a=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidate:",
        "rubbish",
        HOST.replace("udp", "tcp"),
        HOST.replace("46243", "0"),
        HOST.replace("46243", "70000"),
        HOST.replace("192.168.0.196", "example.org"),
        HOST.replace("192.168.0.196", "224.0.0.1"),
        HOST.replace("192.168.0.196", "0.0.0.0"),
        HOST.replace("192.168.0.196", "1.2.3.4\r\na=x"),
        HOST + "\x00",
        HOST + " é",
        HOST + " x y" * 300,
    ],
)
def test_rubbish_candidates_are_let_go(text: str) -> None:
    assert read_candidate(text) is None


OFFERED = ("video0", "audio1", "application2")
DATA = f"""m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
{TRANSPORT}a=mid:application2
a=sctp-port:5000
a=max-message-size:262144
"""


def _with_data(section: str) -> str:
    return CHROME.replace("BUNDLE video0 audio1", "BUNDLE video0 audio1 application2") + section


def test_data_channels_that_were_offered_are_taken() -> None:
    read = read_answer(_with_data(DATA), OFFERED)
    assert "a=group:BUNDLE video0 audio1 application2\r\n" in read.sdp
    section = read.sdp.partition("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n")[2]
    assert (
        "a=sctp-port:5000" in section
        and f"a=fingerprint:sha-256 {DIGEST}" in section
        and "a=mid:application2" in section
    )


@pytest.mark.parametrize(
    "answer",
    [
        CHROME,
        CHROME + DATA.replace("m=application 9", "m=application 0"),
        _with_data(DATA.replace("m=application 9", "m=application 0")),
        CHROME + "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\n",
        CHROME + "m=application 0 DTLS/SCTP 5000\na=mid:application2\n",
        _with_data(DATA.replace("a=mid:application2", "a=mid:other")),
    ],
    ids=["left out", "rejected", "rejected but bundled", "rejected without a name", "an old draft's", "another's name"],
)
def test_data_channels_may_be_rejected(answer: str) -> None:
    """Written with port 0, out of the bundle, and with a fingerprint: webrtcbin refuses the whole answer without."""
    sdp = read_answer(answer, OFFERED).sdp
    assert "a=group:BUNDLE video0 audio1\r\n" in sdp
    section = sdp.partition("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n")[2]
    assert f"a=fingerprint:sha-256 {DIGEST}" in section


@pytest.mark.parametrize(
    ("answer", "offered", "reason"),
    [
        (_with_data(DATA), OFFERED[:2], "not offered"),
        (_with_data(DATA + DATA), OFFERED, "more media"),
        (_with_data("m=application 9 UDP/DTLS/SCTP webrtc datachannel\n"), OFFERED, "cannot be read"),
        (_with_data(DATA.replace("a=setup:active", "a=setup:actpass")), OFFERED, "setup"),
    ],
)
def test_data_channels_that_are_refused(answer: str, offered: tuple[str, ...], reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        read_answer(answer, offered)
