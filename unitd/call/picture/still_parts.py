"""A still on the data channel `stills`: its wire form, in parts, and back together. Pure.

docs/design/seams.md, "Stills", has the form.

A part fits one packet, so that a still leaves at the pace it is given and the voice never waits behind 16 kB of it.
"""

import struct
from dataclasses import dataclass

import msgspec

from unitd.errors import WireError

HEADER = struct.Struct(">IHH")
"""Number of the still (it rises), index of the part from 0, count of parts."""
LENGTH = struct.Struct(">H")
PART_BYTES = 1100
MAX_PARTS = 64
MAX_MESSAGE_BYTES = 16 * 1024
"""What a reader has to take: another unit may cut larger parts."""


class Caption(msgspec.Struct, frozen=True, kw_only=True):
    """What stands before the JPEG. `at_utc_us` by the unit's clock."""

    camera: str
    at_utc_us: int
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Still:
    """One picture on its way."""

    caption: Caption
    jpeg: bytes


def parts_of(number: int, still: Still) -> list[bytes]:
    """The messages of one still, in order. Raises WireError when it is larger than MAX_PARTS parts."""
    caption = msgspec.json.encode(still.caption)
    body = LENGTH.pack(len(caption)) + caption + still.jpeg
    count = -(-len(body) // PART_BYTES)
    if count > MAX_PARTS:
        raise WireError(f"still of {len(still.jpeg)} bytes, {MAX_PARTS * PART_BYTES} at most")
    return [
        HEADER.pack(number & 0xFFFFFFFF, index, count) + body[index * PART_BYTES : (index + 1) * PART_BYTES]
        for index in range(count)
    ]


class StillReader:
    """The other end, for tests and far ends in Python: `take` each message; a still whose parts do not all come is let
    go with the first part of the next (counted)."""

    def __init__(self) -> None:
        self._number = -1
        self._parts: dict[int, bytes] = {}
        self.lost = 0

    def take(self, message: bytes) -> Still | None:
        """The still that this message completes. Raises WireError for what is none."""
        if not HEADER.size < len(message) <= MAX_MESSAGE_BYTES:
            raise WireError(f"still message of {len(message)} bytes")
        number, index, count = HEADER.unpack_from(message)
        if not 0 < count <= MAX_PARTS or index >= count:
            raise WireError(f"still part {index} of {count}")
        if number != self._number:
            self.lost += 1 if self._parts else 0
            self._number, self._parts = number, {}
        self._parts[index] = message[HEADER.size :]
        if len(self._parts) < count:
            return None
        body = b"".join(self._parts[each] for each in sorted(self._parts))
        self._parts = {}
        return _read(body)


def _read(body: bytes) -> Still:
    if len(body) < LENGTH.size:
        raise WireError("still without a caption")
    (length,) = LENGTH.unpack_from(body)
    try:
        caption = msgspec.json.decode(body[LENGTH.size : LENGTH.size + length], type=Caption)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise WireError(f"still's caption: {error}") from None
    return Still(caption, body[LENGTH.size + length :])
