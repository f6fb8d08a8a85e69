"""The file-descriptor store's protocol, with a socket of our own as systemd's notify socket."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from unitd.runtime.fd_store import FdStore

PID = 4711


def listen(address: str) -> socket.socket:
    systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd.bind(address)
    systemd.settimeout(5)
    return systemd


@pytest.mark.parametrize("abstract", [False, True])
def test_a_descriptor_is_handed_over_with_its_name(tmp_path: Path, abstract: bool) -> None:
    address = f"\0unitd-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with listen(address) as systemd:
        store = FdStore({"NOTIFY_SOCKET": address.replace("\0", "@")}, PID)
        reading, writing = os.pipe()
        assert store.keep("button", reading)
        message, fds, _, _ = socket.recv_fds(systemd, 4096, 4)
        assert message == b"FDSTORE=1\nFDNAME=button\nFDPOLL=0"
        os.write(writing, b"edge")
        os.close(reading)
        assert os.read(fds[0], 10) == b"edge"  # the copy is the same pipe, and outlives ours
        assert store.drop("button")
        assert systemd.recv(4096) == b"FDSTOREREMOVE=1\nFDNAME=button"
        for fd in (writing, *fds):
            os.close(fd)


def consecutive(count: int) -> int:
    """Copies of a descriptor at `count` numbers in a row from the one returned."""
    first = 200
    for index in range(count):
        os.dup2(0, first + index)
    return first


def test_what_was_inherited_is_found_by_name_once(tmp_path: Path) -> None:
    first = consecutive(3)
    environ = {"LISTEN_PID": str(PID), "LISTEN_FDS": "3", "LISTEN_FDNAMES": "button:stale:button", "OTHER": "x"}
    store = FdStore(environ, PID, first)
    assert environ == {"OTHER": "x"}
    assert store.take("button") == [first, first + 2]
    assert store.take("button") == []
    assert not os.get_inheritable(first)
    assert store.drop_rest() == ["stale"]
    with pytest.raises(OSError):
        os.fstat(first + 1)
    for fd in (first, first + 2):
        os.close(fd)


def test_what_nobody_took_is_closed_at_systemd_too(tmp_path: Path) -> None:
    first = consecutive(2)
    with listen(str(tmp_path / "notify")) as systemd:
        names = {"LISTEN_PID": str(PID), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "old:"}
        store = FdStore({"NOTIFY_SOCKET": str(tmp_path / "notify"), **names}, PID, first)
        assert sorted(store.drop_rest()) == ["", "old"]
        assert systemd.recv(4096) == b"FDSTOREREMOVE=1\nFDNAME=old"
    for fd in (first, first + 1):
        with pytest.raises(OSError):
            os.fstat(fd)


@pytest.mark.parametrize(
    "environ",
    [
        {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "button"},
        {"LISTEN_PID": str(PID), "LISTEN_FDS": "-1", "LISTEN_FDNAMES": "button"},
        {"LISTEN_PID": str(PID), "LISTEN_FDS": "many", "LISTEN_FDNAMES": "button"},
        {"LISTEN_PID": str(PID), "LISTEN_FDS": "", "LISTEN_FDNAMES": "button"},
        {"LISTEN_FDS": "1"},
    ],
)
def test_variables_that_are_not_ours_are_not_believed(environ: dict[str, str]) -> None:
    first = consecutive(1)
    store = FdStore(environ, PID, first)
    assert store.take("button") == []
    assert environ == {}
    os.fstat(first)  # and what is not ours is not closed
    os.close(first)


def test_descriptors_that_are_not_open_are_passed_over() -> None:
    store = FdStore({"LISTEN_PID": str(PID), "LISTEN_FDS": "999", "LISTEN_FDNAMES": "button"}, PID, 5000)
    assert store.take("button") == []


def test_outside_systemd_nothing_is_sent(tmp_path: Path) -> None:
    store = FdStore({}, PID)
    assert not store.keep("button", 0)
    assert not store.drop("button")
    dead = FdStore({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, PID)
    assert not dead.keep("button", 0)
    with pytest.raises(ValueError):
        store.keep("a:b", 0)
