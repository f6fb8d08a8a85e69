"""Coded sound out of RTP packets: AAC by RFC 3640 or RFC 6416, everything else as it is. Pure."""

import struct
from collections.abc import Iterator

from unitd.drivers.sdp_sound import Sound

_RTP = struct.Struct(">BBHII")
MAX_FRAME_BYTES = 16 * 1024


class SoundDepacketizer:
    """One stream. A frame with a lost packet is dropped."""

    def __init__(self, sound: Sound) -> None:
        self._sound = sound
        self._next_sequence: int | None = None
        self._piece = b""
        self._piece_size = 0

    def push(self, packet: bytes | memoryview) -> Iterator[tuple[int, bytes]]:
        """(RTP time, frame) of each frame that is whole now. What is no packet of this stream is ignored."""
        if len(packet) < 13:
            return
        first, second, sequence, timestamp, _ = _RTP.unpack_from(packet)
        if first >> 6 != 2 or second & 0x7F != self._sound.payload_type:
            return
        start, end = 12 + 4 * (first & 0x0F), len(packet)
        if first & 0x10:
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
        if first & 0x20:
            end -= packet[-1]
        if sequence != self._next_sequence:
            self._piece = b""
        self._next_sequence = (sequence + 1) & 0xFFFF
        payload = bytes(packet[start:end])
        if not payload:
            return
        if self._sound.packing == "generic":
            yield from self._generic(payload, timestamp, bool(second & 0x80))
        elif self._sound.packing == "latm":
            yield from self._latm(payload, timestamp, bool(second & 0x80))
        else:
            yield timestamp, payload

    def _generic(self, payload: bytes, timestamp: int, marker: bool) -> Iterator[tuple[int, bytes]]:
        """Sizes in front, frames behind them (RFC 3640, 3.2); a large frame comes in pieces, each with its head."""
        sound = self._sound
        bits = int.from_bytes(payload[:2], "big")
        at = 2 + (bits + 7) // 8
        if at > len(payload):
            return
        head = int.from_bytes(payload[2:at], "big")
        left = 8 * (at - 2)
        sizes: list[int] = []
        used = 0
        while bits - used >= sound.size_bits + (sound.index_bits if not sizes else sound.delta_bits):
            if left - used < sound.size_bits:
                return
            sizes.append(head >> (left - used - sound.size_bits) & ((1 << sound.size_bits) - 1))
            used += sound.size_bits + (sound.index_bits if len(sizes) == 1 else sound.delta_bits)
        if len(sizes) == 1 and len(payload) - at < sizes[0]:  # which is above zero, then
            self._piece = (self._piece + payload[at:])[:MAX_FRAME_BYTES]
            if marker and len(self._piece) == sizes[0]:
                yield timestamp, self._piece
                self._piece = b""
            return
        self._piece = b""
        for number, size in enumerate(sizes):
            if size and at + size <= len(payload):
                yield (timestamp + number * self._sound.frame_ticks) & 0xFFFFFFFF, payload[at : at + size]
            at += size

    def _latm(self, payload: bytes, timestamp: int, marker: bool) -> Iterator[tuple[int, bytes]]:
        """The frame's length in bytes of up to 255 each, then the frame (ISO/IEC 14496-3, 1.7.3.1)."""
        self._piece = (self._piece + payload)[:MAX_FRAME_BYTES]
        if not marker:
            return
        data, self._piece = self._piece, b""
        at = number = 0
        while at < len(data):
            size = 0
            while at < len(data):
                size, at = size + data[at], at + 1
                if data[at - 1] != 0xFF:
                    break
            if size and at + size <= len(data):
                yield (timestamp + number * self._sound.frame_ticks) & 0xFFFFFFFF, data[at : at + size]
            at, number = at + size, number + 1
