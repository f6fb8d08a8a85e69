"""Stills as a child process of `record` (`python -m unitd.record.still_job`): a hostile picture crashes the child only.

Reads one StillJob (msgpack) from stdin; writes for each camera, as soon as it is ready, a 4-byte big-endian length and
one StillResult (msgpack) to stdout. The newest picture of the group is decoded as far as DECODE_S allows, scaled to at
most WIDEST, and coded as a JPEG below LIMIT_BYTES without any metadata (no EXIF, no comment).

Measured on a shared x86_64 core: 0.2 s to start, 5 ms a picture of 720p, 20 ms for the JPEG; the child takes 45 MB
(360p) to 112 MB (three cameras of 1080p with 16 reference pictures).
"""

import contextlib
import os
import resource
import struct
import sys
import time
from collections.abc import Iterator

if __name__ == "__main__":
    with contextlib.suppress(OSError):  # before the libraries, which are most of the work: a call's set-up goes first
        os.nice(5)

import av
import msgspec
from av.codec.context import ThreadType

LIMIT_BYTES = 40_000
DECODE_S = 0.5
"""For each camera: from the keyframe on towards the newest picture. A Pi decodes 1080p about twice as fast as it is
shown, so that a group of a second is done; of a longer one the last picture reached serves."""

STEPS = ((1280, 5), (1280, 9), (1280, 15), (960, 9), (960, 15), (640, 9), (640, 18), (480, 18), (320, 24), (160, 31))
"""Width and quantiser (2 best, 31 worst), tried in turn: faces and number plates want pixels before smoothness. The
simulated street has 37 kB at 1280 and 14."""

MOST_PIXELS = 4096 * 2304
"""A picture that claims to be larger is refused; the largest camera of this class has 3840 x 2160."""
WHOLE_GROUP_PIXELS = 1920 * 1088
"""Of a larger picture the keyframe alone is decoded: a decoder may hold 17 of them, and the child shares the recorder's
256 MB (systemd/unitd-record.service)."""
MEMORY_BYTES = 1024 * 1024 * 1024
"""Of address space, where the service's sandbox lets a process limit itself."""
CPU_S = 8

_LENGTH = struct.Struct(">I")
MAX_RESULT_BYTES = LIMIT_BYTES + 4096


class GroupOfPictures(msgspec.Struct, frozen=True, kw_only=True):
    """A camera's pictures from a keyframe on, as Annex B, with their presentation time and instant of arrival."""

    camera: str
    codec: str
    extradata: bytes
    units: list[tuple[bytes, int, int]]


class StillJob(msgspec.Struct, frozen=True, kw_only=True):
    groups: list[GroupOfPictures]


class StillResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """With `error` empty, `jpeg` is the picture that arrived at `at_mono_ns`."""

    camera: str
    error: str = ""
    jpeg: bytes = b""
    width: int = 0
    height: int = 0
    at_mono_ns: int = 0


class StillError(Exception):
    """No still of this camera; the text says why."""


def make_still(group: GroupOfPictures) -> StillResult:
    """The newest picture of a group as a small JPEG; what is wrong is said in `error`. Takes DECODE_S and a little."""
    try:
        frame, at_mono_ns = newest_picture(group)
        jpeg, width, height = small_jpeg(frame)
    except StillError as error:
        return StillResult(camera=group.camera, error=str(error))
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        return StillResult(camera=group.camera, error=str(error) or type(error).__name__)
    return StillResult(camera=group.camera, jpeg=jpeg, width=width, height=height, at_mono_ns=at_mono_ns)


def newest_picture(group: GroupOfPictures) -> tuple[av.VideoFrame, int]:
    """The last picture in order of showing that could be decoded, and when it arrived. Raises StillError."""
    arrivals = {pts: arrival for _, pts, arrival in group.units}
    last: av.VideoFrame | None = None
    for frame in _decoded(group):
        if last is None or (frame.pts or 0) >= (last.pts or 0):
            last = frame
    if last is None:
        raise StillError("no picture could be decoded")
    return last, arrivals.get(last.pts or 0, group.units[0][2])


def _decoded(group: GroupOfPictures) -> Iterator[av.VideoFrame]:
    decoder = av.CodecContext.create(group.codec, "r")
    if not isinstance(decoder, av.VideoCodecContext):
        raise StillError(f"{group.codec} is not a video codec")
    decoder.thread_type = ThreadType.NONE  # threads hold frames back, and cost address space
    decoder.extradata = group.extradata or None
    decoder.options = {"max_pixels": str(MOST_PIXELS)}
    until_s = time.monotonic() + DECODE_S
    for data, pts, _ in group.units:
        packet = av.Packet(data)
        packet.pts = pts
        with contextlib.suppress(av.error.InvalidDataError):
            yield from decoder.decode(packet)
        if time.monotonic() > until_s or decoder.width * decoder.height > WHOLE_GROUP_PIXELS:
            break
    with contextlib.suppress(av.error.FFmpegError):
        yield from decoder.decode(None)


def small_jpeg(frame: av.VideoFrame) -> tuple[bytes, int, int]:
    """(JPEG, width, height) below LIMIT_BYTES, as large as goes. Raises StillError when the smallest is too big."""
    if not (16 <= frame.width <= 16_384 and 16 <= frame.height <= 16_384):
        raise StillError(f"a picture of {frame.width} x {frame.height}")
    scaled: tuple[int, av.VideoFrame] | None = None
    for widest, quantiser in STEPS:
        width = min(widest, frame.width) & ~1
        if scaled is None or scaled[0] != width:
            height = max(2, round(frame.height * width / frame.width) & ~1)
            scaled = width, frame.reformat(width, height, "yuvj420p")
        jpeg = _coded(scaled[1], quantiser)
        if len(jpeg) < LIMIT_BYTES:
            return jpeg, scaled[1].width, scaled[1].height
    raise StillError("no JPEG of it is small enough")


def _coded(frame: av.VideoFrame, quantiser: int) -> bytes:
    coder = av.CodecContext.create("mjpeg", "w")
    if not isinstance(coder, av.VideoCodecContext):
        raise StillError("no JPEG coder")
    coder.width, coder.height, coder.pix_fmt = frame.width, frame.height, "yuvj420p"
    coder.time_base = frame.time_base or 1  # type: ignore[assignment]
    coder.thread_type = ThreadType.NONE
    coder.options = {
        "flags": "+bitexact",  # no comment with FFmpeg's version
        "qmin": str(quantiser),
        "qmax": str(quantiser),
        "huffman": "optimal",
    }
    plain = frame.reformat(format="yuvj420p")
    plain.pts = 0
    return b"".join(bytes(packet) for packet in [*coder.encode(plain), *coder.encode(None)])


def pack_result(result: StillResult) -> bytes:
    body = msgspec.msgpack.encode(result)
    return _LENGTH.pack(len(body)) + body


def main() -> int:
    """Serve one job; the limits end the child when a picture asks for too much."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=StillJob)
    for group in job.groups:
        sys.stdout.buffer.write(pack_result(make_still(group)))
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
