"""Candidates in an offer and in a fragment of it."""

from unitd.call.link.sdpfrag import fragment, with_candidates

OFFER = "\r\n".join(
    (
        "v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE video0 audio1",
        "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:video0", "a=ice-ufrag:abcd", "a=ice-pwd:0123456789",
        "m=audio 0 UDP/TLS/RTP/SAVPF 97", "a=mid:audio1", "",
    )
)  # fmt: skip
CANDIDATE = "candidate:1 1 UDP 2015363327 192.0.2.2 41914 typ host"


def test_candidates_of_a_bundle_stand_in_its_first_section() -> None:
    lines = with_candidates(OFFER, [CANDIDATE]).split("\r\n")
    assert lines.index(f"a={CANDIDATE}") == lines.index("m=audio 0 UDP/TLS/RTP/SAVPF 97") - 1
    assert lines[-1] == ""
    assert with_candidates(OFFER, []) == OFFER


def test_a_fragment_says_whose_candidates_they_are() -> None:
    assert fragment(OFFER, [CANDIDATE]).split("\r\n") == [
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789",
        "a=group:BUNDLE video0 audio1",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=mid:video0",
        f"a={CANDIDATE}",
        "",
    ]


def test_what_is_no_description_does_no_harm() -> None:
    assert with_candidates("v=0", [CANDIDATE]) == "v=0"
    assert CANDIDATE in fragment("", [CANDIDATE])
