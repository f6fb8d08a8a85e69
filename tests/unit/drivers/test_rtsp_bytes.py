"""Bytes of an RTSP connection: taken apart however they are cut, and nonsense is refused in one way only."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.drivers.rtsp_auth import authorization, parse_challenges
from unitd.drivers.rtsp_wire import MAX_HEAD_BYTES, Incoming, Message, Packet, RtspError
from unitd.drivers.sdp import parse_sdp, resolve

ANSWER = b"RTSP/1.0 200 OK\r\nCSeq: 4\r\nContent-Length: 5\r\nX: 1\r\nX: 2\r\n\r\n$\0\0\1a"
REQUEST = b"ANNOUNCE rtsp://cam/ RTSP/1.0\nCSeq: 9\n\n"
PIECES = [b"$\0\0\3abc", ANSWER, b"\r\n\r\n", b"$\1\0\0", REQUEST, b"$\0\0\1z"]

piece = st.one_of(
    st.sampled_from(PIECES),
    st.binary(max_size=40),
    st.sampled_from(
        [b"RTSP/1.0 ", b"Content-Length: ", b"\r\n\r\n", b"99999999999", b"-1", b"$", b"OPTIONS * RTSP/1.0"]
    ),
)


def taken(data: bytes, cuts: list[int]) -> list[object]:
    incoming, found, at = Incoming(), list[object](), 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        incoming.feed(data[at:cut])
        found += [
            (item.channel, bytes(item.data)) if isinstance(item, Packet) else (item.status, item.method, item.headers)
            for item in incoming.take()
        ]
        at = cut
    return found


@given(st.lists(st.integers(0, 10_000), max_size=12))
def test_all_that_is_whole_is_found_however_it_is_cut(cuts: list[int]) -> None:
    assert taken(b"".join(PIECES), cuts) == [
        (0, b"abc"),
        (200, "", {"cseq": "4", "content-length": "5", "x": "1, 2"}),
        (1, b""),
        (0, "ANNOUNCE", {"cseq": "9"}),
        (0, b"z"),
    ]


@given(st.lists(piece, max_size=30))
def test_any_bytes_are_taken_or_refused(pieces: list[bytes]) -> None:
    incoming = Incoming()
    with contextlib.suppress(RtspError):
        for one in pieces:
            incoming.feed(one)
            assert all(isinstance(item, Message | Packet) for item in incoming.take())


def test_a_head_without_an_end_and_endless_rubbish_are_refused() -> None:
    for data in (b"RTSP/1.0 200 OK\r\nX: " + b"y" * (MAX_HEAD_BYTES + 1), b"\0" * (2 << 20)):
        incoming = Incoming()
        incoming.feed(data)
        with pytest.raises(RtspError, match="not RTSP"):
            incoming.take()


@given(st.text(alphabet='DigestBasc realm="nonce,qp= \\stale', max_size=80))
def test_any_challenge_can_be_answered_or_is_left_out(header: str) -> None:
    for challenge in parse_challenges(header):
        assert "\n" not in authorization(challenge, "u", "p", "PLAY", "rtsp://x", 1)


def test_challenges_in_one_header_or_in_several_are_ranked() -> None:
    header = (
        'Basic realm="c", Digest realm="c", nonce="2", algorithm=MD5, Digest realm="c", nonce="3", algorithm=SHA-512'
    )
    assert [(one.scheme, one.nonce) for one in parse_challenges(header)] == [("digest", "2"), ("basic", "")]


def test_the_example_of_rfc_2617() -> None:
    header = (
        'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    text = authorization(parse_challenges(header)[0], "Mufasa", "Circle Of Life", "GET", "/dir/index.html", 1)
    assert 'response="670fd8c2df070c60b045671b8b24ff02"' in text  # the RFC's, without qop (RFC 2069 errata)
    assert text.endswith(", algorithm=MD5") is False


@given(st.binary(max_size=300))
def test_any_description_is_understood_or_refused(data: bytes) -> None:
    with contextlib.suppress(RtspError):
        parse_sdp("m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n" + data.decode("utf-8", "replace"))


def test_parameter_sets_with_start_codes_or_without_padding_are_mended() -> None:
    head = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 sprop-parameter-sets="
    assert parse_sdp(head + "AAAAAWdCAB4,aM4=").parameter_sets == (b"\x67\x42\x00\x1e", b"\x68\xce")
    assert parse_sdp(head + "Z0IAHg,!!,aM4").parameter_sets == (b"\x67\x42\x00\x1e", b"\x68\xce")


def test_addresses_are_appended_not_resolved() -> None:
    assert resolve("rtsp://c/a?x=1", "track1") == "rtsp://c/a?x=1/track1"
    assert resolve("rtsp://c/a/", "/track1") == "rtsp://c/a/track1"
    assert resolve("rtsp://c/a/", "*") == "rtsp://c/a/"
    assert resolve("rtsp://c/a/", "RTSP://d/b") == "RTSP://d/b"
