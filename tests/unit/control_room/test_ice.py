"""Candidates: each side of a linked call sees the relay's address and nothing else."""

from hw_sim.control_room.ice import candidate, rewrite_sdp

SDP = "\r\n".join(
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        "a=candidate:1 1 UDP 2015363327 192.0.2.4 53421 typ host",
        "a=candidate:2 1 TCP 1015021823 192.0.2.4 9 typ host tcptype active",
        "a=mid:0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 97",
        "a=candidate:3 1 udp 2113937151 6f5a9c3e-0000-4000-8000-000000000000.local 50000 typ host",
        "a=mid:1",
        "a=end-of-candidates",
        "",
    ]
)


def test_every_candidate_is_replaced_by_one_in_each_section() -> None:
    lines = rewrite_sdp(SDP, 40123).split("\r\n")
    found = [line for line in lines if "candidate" in line]
    assert found == [f"a={candidate(40123)}"] * 2
    assert lines.index(found[0]) < lines.index("m=audio 9 UDP/TLS/RTP/SAVPF 97")


def test_all_else_stays_in_order_and_line_ends_are_crlf() -> None:
    kept = [line for line in SDP.split("\r\n") if "candidate" not in line]
    out = rewrite_sdp(SDP.replace("\r\n", "\n"), 40123)
    assert [line for line in out.split("\r\n") if "candidate" not in line] == kept
    assert "\n" not in out.replace("\r\n", "")


def test_no_media_no_candidate() -> None:
    assert "candidate" not in rewrite_sdp("v=0\r\ns=-\r\n", 1)
