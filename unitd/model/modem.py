"""What a modem's answers mean (3GPP TS 27.007): registration, signal, SIM, operator. Pure; any text is accepted."""

import re
from typing import Literal

Registration = Literal["not_registered", "home", "searching", "denied", "unknown", "roaming"]
Sim = Literal["ready", "missing", "pin", "puk", "busy", "unknown"]

_STAT: dict[int, Registration] = {0: "not_registered", 1: "home", 2: "searching", 3: "denied", 5: "roaming"}
_ACT = {
    0: "2G",
    1: "2G",
    2: "3G",
    3: "2G",
    4: "3G",
    5: "3G",
    6: "3G",
    7: "4G",
    8: "2G",
    9: "4G",
    10: "4G",
    11: "5G",
    12: "5G",
    13: "5G",
}
_SIM_CODES: dict[int, Sim] = {10: "missing", 13: "missing", 15: "missing", 11: "pin", 12: "puk", 14: "busy"}


def values(lines: list[str], name: str) -> list[str] | None:
    """The values of the first line `NAME: a,"b",c`, without quotes; None when there is no such line."""
    for line in lines:
        head, colon, tail = line.partition(":")
        if colon and head.strip().upper() == name.upper():
            return [part.strip().strip('"') for part in re.findall(r'"[^"]*"|[^,]+|(?<=,)(?=,|$)', tail.strip())]
    return None


def whole(parts: list[str] | None, index: int) -> int | None:
    """The whole number at `index`, None when there is none."""
    if parts is None or index >= len(parts):
        return None
    text = parts[index]
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None


def registration(lines: list[str], name: str) -> Registration | None:
    """From the answer to AT+CEREG? (or +CGREG, +CREG): `+CEREG: <n>,<stat>,...`; None when it says nothing usable."""
    for line in lines:
        parts = values([line], name)
        if (
            parts is not None
            and len(parts) >= 2
            and (stat := whole(parts, 1)) is not None
            and '"' not in line.split(",")[1]
        ):
            return _STAT.get(stat, "unknown")
    return None


def technology(act: int | None) -> str | None:
    """The generation of an <AcT>."""
    return _ACT.get(act) if act is not None else None


def operator(lines: list[str]) -> tuple[str | None, str | None]:
    """(name, technology) from +COPS?."""
    parts = values(lines, "+COPS")
    if parts is None or len(parts) < 3 or not parts[2]:
        return None, None
    return parts[2][:64], technology(whole(parts, 3))


def rsrp_dbm(lines: list[str]) -> int | None:
    """From +CESQ: `<rsrp>` 0..97, dBm = -141 + n; 255 is unknown."""
    n = whole(values(lines, "+CESQ"), 5)
    return -141 + n if n is not None and 0 <= n <= 97 else None


def rssi_dbm(lines: list[str]) -> int | None:
    """From +CSQ: 0..31, dBm = -113 + 2n; 99 is unknown."""
    n = whole(values(lines, "+CSQ"), 0)
    return -113 + 2 * n if n is not None and 0 <= n <= 31 else None


def sim_of_answer(lines: list[str]) -> Sim:
    """From +CPIN?, answered with OK."""
    parts = values(lines, "+CPIN")
    word = parts[0].upper() if parts else ""
    if word == "READY":
        return "ready"
    if "PUK" in word:
        return "puk"
    if "PIN" in word:
        return "pin"
    return "missing" if word in ("NOT READY", "NOT INSERTED") else "unknown"


def sim_of_error(code: int | None) -> Sim:
    """From +CPIN?, refused with a CME code."""
    return _SIM_CODES.get(code, "unknown") if code is not None else "unknown"


def digits(lines: list[str], shortest: int = 5) -> str | None:
    """The first line that is a number as printed on a card (IMEI, IMSI, ICCID), whatever stands before a colon."""
    for line in lines:
        text = line.rpartition(":")[2].strip().strip('"')
        if re.fullmatch(rf"[0-9A-F]{{{shortest},22}}", text):
            return text
    return None
