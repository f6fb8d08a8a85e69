"""Bytes of an RTSP connection (RFC 2326) taken apart: messages both ways and interleaved packets. Pure: no sockets.

The one place where bytes from a camera become messages; it raises RtspError and nothing else. Cameras of the field end
lines with LF alone, put empty lines between messages and send requests themselves: all that is read.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 256 * 1024
"""A description is a few kB; a length beyond this is damage, and is not waited for."""

MAX_GARBAGE_BYTES = 1024 * 1024
_INTERLEAVED = 0x24
_LINE_ENDS = (0x0D, 0x0A)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_START = re.compile(rb"\$|RTSP/|[A-Z_]{4,16} (?:rtsp:|\*)")
_METHOD = re.compile(r"[A-Z_]{3,20}")


class RtspError(Exception):
    """The camera refused, broke the protocol or closed."""


class UnsupportedStreamError(RtspError):
    """A stream that this driver does not understand and another may."""


@dataclass(frozen=True)
class Message:
    """An answer (`status` is not 0) or a request of the camera's (`method` is not empty).

    Names of headers are in lower case. Of a header that comes several times the values are joined by ", ".
    """

    status: int
    reason: str
    method: str
    headers: dict[str, str]
    body: bytes


class Packet(NamedTuple):
    """An interleaved packet (RFC 2326, 10.12)."""

    channel: int
    data: memoryview


class Incoming:
    """What came and has not been taken yet; not above MAX_HEAD_BYTES + MAX_BODY_BYTES plus one `feed`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.garbage_bytes = 0

    def feed(self, data: bytes | memoryview) -> None:
        self._buffer += data

    def take(self) -> list[Message | Packet]:
        """All that is whole, in order. Raises RtspError when this cannot be RTSP."""
        if not self._buffer:
            return []
        whole = memoryview(bytes(self._buffer))
        found: list[Message | Packet] = []
        at, end = 0, len(whole)
        while at < end:
            if whole[at] == _INTERLEAVED:
                if end - at < 4:
                    break
                size = whole[at + 2] << 8 | whole[at + 3]
                if end - at < 4 + size:
                    break
                found.append(Packet(whole[at + 1], whole[at + 4 : at + 4 + size]))
                at += 4 + size
            elif whole[at] in _LINE_ENDS:
                at += 1
            else:
                step, message = self._other(at)
                if message is not None:
                    found.append(message)
                if not step:
                    break
                at += step
        del self._buffer[:at]
        return found

    def take_short(self) -> Message | None:
        """The message that is there but for the end of its body, as of a camera that counts wrong."""
        head_end = _HEAD_END.search(self._buffer)
        if not self._buffer.startswith(b"RTSP/") or head_end is None or head_end.end() == len(self._buffer):
            return None
        head = parse_head(bytes(self._buffer[: head_end.start()]))
        body = bytes(self._buffer[head_end.end() :])
        self._buffer.clear()
        return Message(head.status, head.reason, head.method, head.headers, body)

    def _other(self, at: int) -> tuple[int, Message | None]:
        """A message at `at` and its length, or so many bytes of garbage; 0 when more must come."""
        start = _START.search(self._buffer, at)
        if start is None or start.start() > at:
            return self._garbage(at, start.start() if start is not None else None)
        head_end = _HEAD_END.search(self._buffer, at, at + MAX_HEAD_BYTES)
        if head_end is None:
            if len(self._buffer) - at > MAX_HEAD_BYTES:
                raise RtspError("not RTSP: a message without an end")
            return 0, None
        head = parse_head(bytes(self._buffer[at : head_end.start()]))
        text = head.headers.get("content-length", "0").split(",")[0].strip()
        if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) > MAX_BODY_BYTES:
            raise RtspError(f"not RTSP: a body of {text[:20]!r} bytes")
        stop = head_end.end() + int(text)
        if len(self._buffer) < stop:
            return 0, None
        body = bytes(self._buffer[head_end.end() : stop])
        return stop - at, Message(head.status, head.reason, head.method, head.headers, body)

    def _garbage(self, at: int, start: int | None) -> tuple[int, None]:
        """Skip what is no start of anything; the last few bytes may become one when more comes."""
        step = start - at if start is not None else max(0, len(self._buffer) - at - 64)
        self.garbage_bytes += step
        if self.garbage_bytes > MAX_GARBAGE_BYTES:
            raise RtspError("not RTSP")
        return step, None


def parse_head(head: bytes) -> Message:
    """A message without its body. Raises RtspError."""
    first, *lines = head.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    words = first.strip().split(" ", 2)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if colon:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if words[0].startswith("RTSP/"):
        if len(words) < 2 or not re.fullmatch(r"[1-9]\d\d", words[1], re.ASCII):
            raise RtspError("not an RTSP answer")
        return Message(int(words[1]), words[2] if len(words) > 2 else "", "", headers, b"")
    if len(words) == 3 and _METHOD.fullmatch(words[0]):
        return Message(0, "", words[0], headers, b"")
    raise RtspError("not an RTSP message")
