"""What a text message of an alarm says, and to whom one may be sent. Pure."""

import datetime
import re

from unitd.model.gsm7 import cut, length_septets, to_gsm

LONGEST_SEPTETS = 160
"""One message; longer ones travel in parts, which may come late, alone or out of order."""
SHORTEST_SITE_SEPTETS = 20
LONGEST_CODE_SEPTETS = 12
LONGEST_STAGE_SEPTETS = 60
_WORTH_SEPTETS = 8
"""Less than that of an address or an approach tells nobody anything."""

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SHORT_CODE = re.compile(r"[1-9][0-9]{2,7}")
_EMERGENCY = frozenset({"000", "110", "111", "112", "118", "119", "911", "999", "101", "105"})
"""Public emergency and police numbers: nobody there expects a machine's message."""


def normal_number(text: str) -> str | None:
    """`text` without the blanks, hyphens, points and brackets that people write; None when it is no duty number.

    A number has its `+` and country's code (E.164, 7 to 15 digits) or is a network's short code of 3 to 8 digits. One
    with a leading 0 means something else in each country, and an emergency number is never a duty number.
    """
    number = _bare(text)
    if _E164.fullmatch(number) and number.isascii():
        return number
    if _SHORT_CODE.fullmatch(number) and number.isascii() and number not in _EMERGENCY:
        return number
    return None


def number_remedy(text: str) -> str:
    """What to write in place of a `text` that is no duty number."""
    if _bare(text) in _EMERGENCY:
        return "nobody reads a text message there; name the telephone of a person on duty, such as +447700900123"
    return "write + and the country's code, such as +447700900123, or a short code of 3 to 8 digits"


def _bare(text: str) -> str:
    return re.sub(r"[ \t\u00a0().-]", "", text)


def alarm_text(
    *,
    site: str,
    address: str,
    latitude: float | None,
    longitude: float | None,
    approach: str,
    code: str,
    kind: str,
    presses: int,
    raised_utc_us: int,
    clock: str,
    stage_words: str,
    unit: str,
) -> str:
    """The message about one alarm: at most LONGEST_SEPTETS of the GSM alphabet, whatever is given.

    Kept, in this order: what it is, with "TEST ONLY" first and any other kind than panic named; `code`; `site`;
    `stage_words`; the time in UTC when `clock` is synced or held (else none: a wrong time is worse); the map reference;
    then address, approach, number of presses and unit as far as they fit. A time or a map reference is whole or absent.
    """
    head = f"HELP POINT ALARM {cut(_line(code), LONGEST_CODE_SEPTETS, '')}".rstrip()
    if kind == "test":
        head = f"TEST ONLY: {head}"
    elif kind != "panic":
        head += f" ({cut(_line(kind), 10, '')})"
    stage = cut(_line(stage_words), LONGEST_STAGE_SEPTETS)
    when = _when(raised_utc_us) if clock in ("synced", "held") else ""
    where = _map_reference(latitude, longitude)
    others = sum(1 + length_septets(part) for part in (head, stage, when, where) if part)
    place = cut(_line(site), max(SHORTEST_SITE_SEPTETS, LONGEST_SEPTETS - others))
    text = ""
    for part in (head, place, stage, when, where):
        added = f"{text}\n{part}" if text else part
        if part and length_septets(added) <= LONGEST_SEPTETS:
            text = added
    for part in (address, approach, f"pressed {presses} times" if presses > 1 else "", f"unit {unit}" if unit else ""):
        room = LONGEST_SEPTETS - length_septets(text) - 1
        part = _line(part)
        if part and (length_septets(part) <= room or room >= _WORTH_SEPTETS):
            text = f"{text}\n{cut(part, room)}"
    return text


def _line(text: str) -> str:
    return " ".join(to_gsm(text).split())


def _when(utc_us: int) -> str:
    try:
        at = datetime.datetime.fromtimestamp(utc_us / 1e6, datetime.UTC)
    except (OverflowError, OSError, ValueError):
        return ""
    return f"{at:%H:%M} UTC {at.day} {_MONTHS[at.month - 1]}"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # %b is the locale's


def _map_reference(latitude: float | None, longitude: float | None) -> str:
    """Degrees to 5 places, about a metre, as map programs take them."""
    if latitude is None or longitude is None or not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return ""
    return f"{latitude:.5f},{longitude:.5f}"
