"""RTSP 1.0 messages (RFC 2326): parsing requests, writing answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MAX_HEAD_BYTES = 8192
MAX_BODY_BYTES = 65_536
METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    454: "Session Not Found",
    455: "Method Not Valid In This State",
    461: "Unsupported Transport",
    500: "Internal Server Error",
    505: "RTSP Version Not Supported",
}


class BadRequestError(ValueError):
    """What arrived is not an RTSP request."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names in lower case."""

    method: str
    uri: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The path of the URI without slashes at its ends, `*` for none."""
        return self.uri if self.uri == "*" else urlsplit(self.uri).path.strip("/")


@dataclass(slots=True)
class Answer:
    """One answer, before CSeq is added."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def pack(self, cseq: str) -> bytes:
        """The bytes on the wire."""
        lines = [f"RTSP/1.0 {self.status} {REASONS.get(self.status, 'Unknown')}", f"CSeq: {cseq}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


def parse_request(head: bytes) -> Request:
    """A request from its head, the empty line included or not. `BadRequestError` on anything else."""
    lines = head.decode("utf-8", "replace").strip().split("\r\n")
    first = lines[0].split()
    if len(first) != 3 or not first[2].startswith("RTSP/"):
        raise BadRequestError(lines[0][:80])
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequestError(line[:80])
        headers[name.strip().lower()] = value.strip()
    try:
        urlsplit(first[1])
    except ValueError as error:
        raise BadRequestError(str(error)) from None
    return Request(first[0].upper(), first[1], headers)


def body_bytes(request: Request) -> int:
    """The length of the body that follows; `BadRequestError` when absurd."""
    text = request.headers.get("content-length", "0")
    if not text.isdecimal() or int(text) > MAX_BODY_BYTES:
        raise BadRequestError(f"Content-Length: {text[:20]}")
    return int(text)


@dataclass(frozen=True, slots=True)
class Transport:
    """The first transport of a SETUP that this server can do: RTP and RTCP channels or client ports."""

    interleaved: bool
    rtp: int
    rtcp: int


def choose_transport(header: str) -> Transport | None:
    """The first acceptable one of a Transport header (alternatives by comma), or None."""
    for offer in header.split(","):
        parts = [part.strip() for part in offer.split(";")]
        values = dict(part.partition("=")[::2] for part in parts[1:] if "=" in part)
        if "multicast" in parts:
            continue
        if parts[0].upper() == "RTP/AVP/TCP":
            pair = _pair(values.get("interleaved", "0-1"), 255)
            if pair is not None:
                return Transport(True, *pair)
        elif parts[0].upper() in ("RTP/AVP", "RTP/AVP/UDP"):
            pair = _pair(values.get("client_port", ""), 65_535)
            if pair is not None and pair[0] > 0:
                return Transport(False, *pair)
    return None


def _pair(text: str, highest: int) -> tuple[int, int] | None:
    first, dash, second = text.partition("-")
    if not first.isdecimal() or (dash and not second.isdecimal()):
        return None
    pair = int(first), int(second) if dash else int(first) + 1
    return pair if max(pair) <= highest else None
