"""Pictures from `record`: access units over `record.sock`, with the current group of pictures at once."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from unitd.call.picture.units import MAX_UNIT_BYTES, AccessUnit, Profile
from unitd.errors import DeviceError

HEADER = struct.Struct(">IB3xqq")
KEYFRAME = 1
ANSWER_TIMEOUT_S = 2.0
AT_ONCE_BYTES = 256 * 1024
"""A keyframe of 4 Mbit/s or some: a smaller limit stops and starts the reading again and again in the middle of it."""


class _Answer(msgspec.Struct, frozen=True):
    ok: bool
    codec: str = ""
    error: str = ""


async def open_record(
    run_dir: Path, camera: str, profile: Profile
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask `record` for a stream. Raises DeviceError when it is away, refuses or does not answer in ANSWER_TIMEOUT_S."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(str(run_dir / "record.sock"), limit=AT_ONCE_BYTES)
            try:
                writer.write(msgspec.json.encode({"camera": camera, "profile": profile}) + b"\n")
                answer = msgspec.json.decode(await reader.readline(), type=_Answer)
            except BaseException:
                writer.close()
                raise
    except (OSError, ValueError, msgspec.MsgspecError, TimeoutError) as error:
        raise DeviceError(f"record does not answer: {error!r}") from None
    if not answer.ok or answer.codec != "h264":
        writer.close()
        raise DeviceError(f"record has no {profile} of {camera}: {answer.error or answer.codec!r}")
    return reader, writer


async def record_units(run_dir: Path, camera: str, profile: Profile) -> AsyncIterator[AccessUnit]:
    """Every picture from the current group on, for ever. Raises DeviceError at the stream's end or on nonsense."""
    reader, writer = await open_record(run_dir, camera, profile)
    try:
        while True:
            length, flags, pts_90khz, arrival_mono_ns = HEADER.unpack(await reader.readexactly(HEADER.size))
            if not 0 < length <= MAX_UNIT_BYTES:
                raise DeviceError(f"record sent a picture of {length} bytes, {MAX_UNIT_BYTES} at most")
            data = await reader.readexactly(length)
            yield AccessUnit(data, bool(flags & KEYFRAME), pts_90khz * 100_000 // 9, arrival_mono_ns)
    except (OSError, EOFError) as error:
        raise DeviceError(f"record ended the stream: {error!r}") from None
    finally:
        writer.close()
