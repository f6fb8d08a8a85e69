"""Reads an SMS-SUBMIT as a service centre does (3GPP TS 23.040, 9.2.2.2): number and text.

Written apart from the daemon's encoder, so that one checks the other. GSM 7-bit and UCS-2, without user data headers.
"""

from __future__ import annotations

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPED = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
_VALIDITY_OCTETS = {0b00: 0, 0b10: 1, 0b01: 7, 0b11: 7}


def decode_submit(pdu: str, length: int) -> tuple[str, str]:
    """(number, text) of the hex `pdu` whose TPDU has `length` octets. Raises ValueError for what a modem refuses."""
    octets = bytes.fromhex(pdu)
    try:
        smsc = octets[0]
        if len(octets) - smsc - 1 != length:
            raise ValueError(f"{length} octets announced, {len(octets) - smsc - 1} came")
        return _decode(octets[smsc + 1 :])
    except IndexError:
        raise ValueError("the PDU ends too soon") from None


def _decode(tpdu: bytes) -> tuple[str, str]:
    first, digits, kind = tpdu[0], tpdu[2], tpdu[3]
    if first & 0x03 != 0x01:
        raise ValueError(f"no SMS-SUBMIT: first octet {first:02X}")
    if first & 0x40:
        raise ValueError("user data headers are not simulated")
    at = 4 + (digits + 1) // 2
    packed = "".join(f"{octet & 0x0F:X}{octet >> 4:X}" for octet in tpdu[4:at])
    if len(packed) < digits or not packed[:digits].isdecimal() or packed[digits:] not in ("", "F"):
        raise ValueError(f"bad address {packed}")
    number = ("+" if kind & 0x70 == 0x10 else "") + packed[:digits]
    coding = tpdu[at + 1]
    at += 2 + _VALIDITY_OCTETS[first >> 3 & 0x03]
    size, data = tpdu[at], tpdu[at + 1 :]
    if coding & 0xEC == 0x08:
        if len(data) != size:
            raise ValueError("text of another length than announced")
        return number, data.decode("utf-16-be")
    if coding & 0xEC or size > 160 or len(data) != (size * 7 + 7) // 8:
        raise ValueError("text of another coding or length than announced")
    return number, _text(data, size)


def _text(data: bytes, count: int) -> str:
    bits = int.from_bytes(data, "little")
    text, escaped = "", False
    for index in range(count):
        septet = bits >> (7 * index) & 0x7F
        if escaped:
            text += _ESCAPED.get(septet, _BASIC[septet])
            escaped = False
        elif septet == 0x1B:
            escaped = True
        else:
            text += _BASIC[septet]
    return text
