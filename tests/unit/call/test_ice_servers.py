"""STUN and TURN servers, whoever named them: what goes on to webrtcbin was written here."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.call.link.ice_servers import MOST_SERVERS, TlsServer, usable
from unitd.call.link.link_header import MOST_LINKS, ice_servers_in
from unitd.messages.duplex import IceServer

USER = {"username": "u", "credential": "p"}
WRITTEN = re.compile(r"turn://[A-Za-z0-9%._~-]+:[A-Za-z0-9%._~-]+@[A-Za-z0-9.:\[\]-]+:\d+\?transport=(udp|tcp)")


def one(url: str, **user: str) -> IceServer:
    return IceServer(urls=(url,), **user)


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("turn:t.example", "turn://u:p@t.example:3478?transport=udp"),
        ("turn:t.example:443?transport=tcp", "turn://u:p@t.example:443?transport=tcp"),
        ("turn:[2001:db8::7]:3478", "turn://u:p@[2001:db8::7]:3478?transport=udp"),
        ("turn:192.0.2.7", "turn://u:p@192.0.2.7:3478?transport=udp"),
    ],
)
def test_ok__turn(url: str, written: str) -> None:
    assert usable([one(url, **USER)]).turn == (written,)


def test_ok__turn_behind_tls_is_never_handed_on_as_such() -> None:
    found = usable([one("turns:t.example", **USER), one("turns:t.example:443?transport=tcp", **USER)])
    assert found.turn_tls == (TlsServer("t.example", 5349, "u:p"), TlsServer("t.example", 443, "u:p"))
    assert not found.turn


def test_ok__stun_the_first_one() -> None:
    assert usable([one("stun:a.example"), one("stun:b.example:19302")]).stun == "stun://a.example:3478"


def test_credentials_cannot_change_the_address() -> None:
    found = usable([one("turn:t.example", username="u@evil.example/", credential="p:x?#%@")])
    assert found.turn == ("turn://u%40evil.example%2F:p%3Ax%3F%23%25%40@t.example:3478?transport=udp",)


@pytest.mark.parametrize(
    "url",
    [
        "turn:", "turn:t.example:0", "turn:t.example:65536", "turn:t.example?transport=sctp", "turn:t.example?x=1",
        "turn:u:p@t.example", "turn://t.example", "turns:t.example?transport=udp", "stuns:t.example", "http://t.example",
        "turn:224.0.0.1", "turn:0.0.0.0", "turn:[::]", "turn:2130706433", "turn:0x7f.1", "turn:127.1", "turn:a..b",
        "turn:t.example\r\nX: y", "turn:t.exämple", "turn:-t.example", "turn:" + "a" * 300, "file:///etc/passwd",
    ],
)  # fmt: skip
def test_fail__turn_urls_that_are_none(url: str) -> None:
    found = usable([one(url, **USER)])
    assert not found.turn
    assert not found.turn_tls
    assert found.refused == (url[:80],)


def test_fail__turn_without_a_user() -> None:
    assert usable([one("turn:t.example"), one("turns:t.example", username="u")]).refused


def test_many_servers_are_a_few() -> None:
    found = usable([one(f"turn:t{n}.example", **USER) for n in range(100)])
    assert len(found.turn) == MOST_SERVERS
    assert len(found.refused) <= 8


@given(st.text(), st.text(), st.text())
def test_whatever_comes_a_written_url_is_well_formed(url: str, username: str, credential: str) -> None:
    for prefix in ("", "turn:", "turns:", "stun:"):
        found = usable([one(prefix + url, username=username, credential=credential)])
        assert all(WRITTEN.fullmatch(each) for each in found.turn)


# --- Link headers ----------------------------------------------------------------------------------------------------


def test_ok__the_headers_of_rfc_9725() -> None:
    values = [
        '<stun:stun.example.net>; rel="ice-server"',
        '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; credential="my\\"Password"; '
        'credential-type="password", <https://x.example/>; rel="next"',
    ]
    assert ice_servers_in(values) == (
        IceServer(urls=("stun:stun.example.net",)),
        IceServer(urls=("turn:turn.example.net?transport=udp",), username="user", credential='my"Password'),
    )


def test_links_of_another_relation_or_credential_are_left_out() -> None:
    assert (
        ice_servers_in(['<turn:a>; rel="preload"', '<turn:a>; rel="ice-server"; credential-type="oauth"', "<turn:a"])
        == ()
    )


def test_a_flood_of_links_is_a_few_and_costs_no_time() -> None:
    began_s = time.perf_counter()
    assert len(ice_servers_in(['<stun:a>; rel="ice-server"'] * 100_000)) == MOST_LINKS
    for nasty in (
        "<a>" + " ;a" * 50_000,
        '<a>;a="' + "\\" * 50_000,
        "<" * 50_000,
        "<a>" + ";" * 50_000,
        "<a>;a" + " " * 50_000,
    ):
        ice_servers_in([nasty])
    assert time.perf_counter() - began_s < 1.0


@given(st.lists(st.text()))
def test_no_header_raises(values: list[str]) -> None:
    ice_servers_in(values)
