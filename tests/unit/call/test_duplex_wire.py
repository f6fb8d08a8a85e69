"""The one boundary where a relay's messages come in: known ones are understood, everything else is a WireError."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.errors import WireError
from unitd.messages import duplex

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["type", "peer", "sdp", "n", "x"]), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"type":"peer_joined","peer":"p1","later":1}', duplex.PeerJoined(peer="p1")),
        ('{"type":"peer_left","peer":"p1"}', duplex.PeerLeft(peer="p1")),
        ('{"type":"answer","peer":"p1","sdp":"v=0"}', duplex.Answer(peer="p1", sdp="v=0")),
        (
            '{"type":"ice","peer":"p1","candidate":"candidate:1","sdp_mline_index":1}',
            duplex.Ice(peer="p1", candidate="candidate:1", sdp_mline_index=1),
        ),
        ('{"type":"ice","peer":"p1","candidate":""}', duplex.Ice(peer="p1", candidate="")),
        ('{"type":"restart","peer":"p1"}', duplex.Restart(peer="p1")),
        ('{"type":"ping","n":3}', duplex.Ping(n=3)),
    ],
)
def test_ok__what_a_relay_sends(text: str, message: object) -> None:
    assert duplex.decode(text) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"type":"hello"}',
        '{"type":"dance","peer":"p1"}',
        '{"type":"answer","peer":"p1"}',
        '{"type":"answer","peer":"","sdp":"v=0"}',
        json.dumps({"type": "answer", "peer": "p" * 65, "sdp": "v=0"}),
        json.dumps({"type": "answer", "peer": "p", "sdp": "v" * (duplex.MAX_SDP_BYTES + 1)}),
        json.dumps({"type": "ice", "peer": "p", "candidate": "c" * (duplex.MAX_CANDIDATE_BYTES + 1)}),
        '{"type":"ice","peer":"p1","candidate":"c","sdp_mline_index":-1}',
        '{"type":"ice","peer":"p1","candidate":"c","sdp_mline_index":99999999999999999999}',
        "[" * 50_000,
        " " * (duplex.MAX_MESSAGE_BYTES + 1),
    ],
)
def test_fail__what_is_no_message(text: str) -> None:
    with pytest.raises(WireError):
        duplex.decode(text)


@given(ANYTHING)
def test_nothing_but_a_wire_error_comes_out(value: object) -> None:
    try:
        duplex.decode(json.dumps(value))
    except WireError as error:
        assert "duplex" in str(error)


@given(st.binary(max_size=200))
def test_no_bytes_break_it(data: bytes) -> None:
    with pytest.raises(WireError):
        duplex.decode(b"\x00" + data)


def test_what_the_unit_sends_is_tagged() -> None:
    hello = duplex.Hello(unit="u", incident_id="i", kind="panic", cameras=("dome",))
    assert json.loads(duplex.encode(hello)) == {
        "type": "hello",
        "version": 1,
        "unit": "u",
        "incident_id": "i",
        "kind": "panic",
        "cameras": ["dome"],
        "watch": False,
        "quick_answers": [],
    }
