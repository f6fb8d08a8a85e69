"""Pictures of a camera from record.sock: a blocking client and a decoder, for one thread."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import av
import msgspec

from unitd.errors import DeviceError, WireError
from unitd.messages.media import (
    HEADER_BYTES,
    MAX_REQUEST_BYTES,
    MediaRequest,
    Profile,
    decode_answer,
    unpack_header,
)
from unitd.sense.motion import HEIGHT, WIDTH, Picture

TIMEOUT_S = 6.0
"""Longer than record's own patience with a camera (5 s), so that its answer is heard."""

LOOK_EVERY_S = 0.2


class PictureClient:
    """One connection. Blocking, one thread. Raises DeviceError for whatever ends it. `beat` is called at least every
    TIMEOUT_S as long as the thread gets on, pictures or not."""

    def __init__(self, path: Path, camera: str, profile: Profile, beat: Callable[[], None]) -> None:
        self._beat = beat
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(TIMEOUT_S)
            self._socket.connect(str(path))
            self._socket.sendall(msgspec.json.encode(MediaRequest(camera, profile, relaxed=True)) + b"\n")
            self._file: BinaryIO = self._socket.makefile("rb")
            answer = decode_answer(self._file.readline(MAX_REQUEST_BYTES))
            if not answer.ok:
                raise DeviceError(answer.error)
            self._decoder: Any = av.CodecContext.create(answer.codec, "r")
            self._decoder.thread_count = 1
        except (OSError, WireError, ValueError, av.error.FFmpegError) as error:
            self.close()
            raise DeviceError(f"record.sock: {error}") from None
        self.decoded = 0

    def pictures(self) -> Iterator[tuple[Picture, float]]:
        """Yield (grey picture of WIDTH x HEIGHT, monotonic seconds), at most one each LOOK_EVERY_S."""
        due = 0.0
        try:
            while True:
                self._beat()
                header = unpack_header(self._exactly(HEADER_BYTES))
                packet = av.Packet(self._exactly(header.length_bytes))
                for frame in self._decoder.decode(packet):
                    self.decoded += 1
                    now = time.monotonic()
                    if now >= due:
                        due = now + LOOK_EVERY_S
                        yield frame.reformat(WIDTH, HEIGHT, "gray").to_ndarray(), now
        except (OSError, WireError, ValueError, av.error.FFmpegError) as error:
            raise DeviceError(f"record.sock: {error}") from None

    def close(self) -> None:
        self._socket.close()

    def _exactly(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) != count:
            raise DeviceError("record.sock: the stream ended")
        return data
