"""A text message as the modem takes it: SMS-SUBMIT in hex (3GPP TS 23.040, 9.2.2.2; TS 27.005, 4.3). Pure.

PDU mode, because every modem has it alike; what text mode sends depends on character set and stored settings.
"""

from typing import NamedTuple

from unitd.model.gsm7 import cut, pack, septets

LONGEST_SEPTETS = 160
_SUBMIT_WITH_RELATIVE_VALIDITY = 0x11
_INTERNATIONAL, _UNKNOWN = 0x91, 0x81
"""Type of number and ISDN numbering plan (9.1.2.5)."""
_A_DAY = 0xA7
"""TP-VP: the network gives up after 24 hours. A day-old alarm wakes nobody usefully (9.2.3.12.1)."""


class Pdu(NamedTuple):
    """`length` is what AT+CMGS= wants: octets without the service centre's field."""

    hex: str
    length: int


def submit(number: str, text: str) -> Pdu:
    """One message to `number` (normal_number has passed it) by the SIM's own service centre.

    A `text` beyond LONGEST_SEPTETS is cut; what the alphabet lacks is replaced.
    """
    digits = number.removeprefix("+")
    padded = digits + "F" * (len(digits) % 2)
    address = bytes(int(padded[i + 1] + padded[i], 16) for i in range(0, len(padded), 2))
    values = septets(cut(text, LONGEST_SEPTETS))
    tpdu = bytes((_SUBMIT_WITH_RELATIVE_VALIDITY, 0, len(digits), _INTERNATIONAL if number[0] == "+" else _UNKNOWN))
    tpdu += address + bytes((0, 0, _A_DAY, len(values))) + pack(values)
    return Pdu("00" + tpdu.hex().upper(), len(tpdu))
