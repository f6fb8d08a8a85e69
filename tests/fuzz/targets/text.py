"""The configuration, the duplex endpoint's messages, an upload's order and answer, a list of units for a broker."""

from __future__ import annotations

import contextlib
import http.client
import io
import ssl
from unittest.mock import patch

from tests.fuzz.target import Target, registry
from tests.fuzz.targets.stored import PLACE
from unitd.config import load
from unitd.errors import ConfigError, WireError
from unitd.messages import duplex
from unitd.record.put import PutError, PutFailedError, put_clip
from unitd.tools.broker_acl import Access, AccessError, acl, read_units

CONFIG_WORDS = (
    b"schema = 1\n",
    b"[button]\n",
    b"[[brokers]]\n",
    b"[[cameras]]\n",
    b"[[endpoints]]\n",
    b"[dome]\n",
    b"[modem]\n",
    b"[upload]\n",
    b"[ring]\n",
    b"pin = 17\n",
    b'name = "a"\n',
    b'host = "h"\n',
    b'url = "rtsp://u:p@c/m"\n',
    b'"""',
    b"'''",
    b"inf",
    b"nan",
    b"[[",
    b"{",
)


def config(data: bytes) -> None:
    file = PLACE / "unit.toml"
    file.write_bytes(data)
    try:
        load(file)
    except ConfigError as error:
        assert "\n" not in str(error)
        assert error.key
        assert error.remedy


def duplex_message(data: bytes) -> None:
    """As a binary and as a text message: the far end chooses."""
    with contextlib.suppress(WireError):
        duplex.decode(data)
    with contextlib.suppress(WireError):
        duplex.decode(data.decode("utf-8", "surrogateescape"))


def units(data: bytes) -> None:
    file = PLACE / "units"
    file.write_bytes(data)
    with contextlib.suppress(AccessError):
        acl(Access(units=read_units(file)))


class _Server:
    """Answers whatever it is sent with `data`."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def sendall(self, _data: bytes) -> None: ...

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)

    def close(self) -> None: ...


def upload(data: bytes) -> None:
    """The URL of an order, a line break, and what the server answers."""
    url, _, answer = data.partition(b"\n")
    clip = PLACE / "clip.mp4"
    clip.write_bytes(b"footage")

    def connect(connection: http.client.HTTPSConnection) -> None:
        connection.sock = _Server(answer)  # type: ignore[assignment]

    with patch.object(http.client.HTTPSConnection, "connect", connect), contextlib.suppress(PutError, PutFailedError):
        put_clip(
            url.decode("utf-8", "replace"),
            "token",
            clip,
            ("evidence.example",),
            ssl.create_default_context,
            lambda: None,
        )


TARGETS = registry(
    Target(
        "upload",
        upload,
        (
            b"https://evidence.example",
            b"HTTP/1.1 201 Created\r\n",
            b"Content-Length: ",
            b"Transfer-Encoding: chunked\r\n",
            b"\r\n\r\n",
        ),
        share=0.1,
    ),
    Target("config", config, CONFIG_WORDS, share=0.15),
    Target(
        "duplex", duplex_message, (b'"type"', b'"answer"', b'"ice"', b'"sdp"', b'"peer"', b'"candidate"', b'"ping"')
    ),
    Target("units", units, (b"pole-1\n", b"#"), share=0.3),
)
