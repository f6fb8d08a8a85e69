"""The text of an alarm's message: always one message, always what matters most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.model.gsm7 import ALPHABET, EXTENSION, cut, length_septets, pack, septets, to_gsm
from unitd.model.sms import LONGEST_SEPTETS, alarm_text, normal_number

NOT_RECEIVED = "not yet received by the control room"
RAISED_US = 1_792_666_980_000_000  # 2026-10-22 11:03 UTC
GSM = set(ALPHABET) - {"\x1b"} | set(EXTENSION)


def _text(**changes: object) -> str:
    given: dict[str, object] = {
        "site": "Station Road underpass",
        "address": "Station Road, Bletchley",
        "latitude": 52.0406,
        "longitude": -0.7594,
        "approach": "from the north ramp",
        "code": "K7Q2PD",
        "kind": "panic",
        "presses": 1,
        "raised_utc_us": RAISED_US,
        "clock": "synced",
        "stage_words": NOT_RECEIVED,
        "unit": "pole-0001",
    }
    return alarm_text(**(given | changes))  # type: ignore[arg-type]


def test_a_usual_alarm() -> None:
    assert _text() == (
        "HELP POINT ALARM K7Q2PD\nStation Road underpass\nnot yet received by the control room\n"
        "11:03 UTC 22 Oct\n52.04060,-0.75940\nStation Road, Bletchley\nfrom the north.."
    )


def test_repeated_presses_and_the_unit_are_told_when_there_is_room() -> None:
    text = _text(address="", approach="", presses=3)
    assert text.endswith("\n52.04060,-0.75940\npressed 3 times\nunit pole-0001")


def test_a_time_of_an_unknown_clock_is_not_told() -> None:
    assert "UTC" not in _text(clock="unknown")
    assert "11:03 UTC 22 Oct" in _text(clock="held")


def test_a_test_says_so_first_and_other_kinds_are_named() -> None:
    assert _text(kind="test").startswith("TEST ONLY: HELP POINT ALARM K7Q2PD\n")
    assert _text(kind="intrusion").startswith("HELP POINT ALARM K7Q2PD (intrusion)\n")


def test_a_very_long_site_leaves_room_for_the_stage_the_time_and_the_map() -> None:
    text = _text(site="underpass " * 30, latitude=-52.0406, longitude=-110.7594, kind="intrusion")
    assert NOT_RECEIVED in text
    assert "11:03 UTC" in text
    assert "-52.04060,-110.75940" in text
    assert "\nunderpass underpass" in text


_FIELDS = st.text(max_size=300) | st.text(alphabet="[]{}€~^ ab\n’łé", max_size=300)


@given(
    site=_FIELDS, address=_FIELDS, approach=_FIELDS, code=_FIELDS, kind=_FIELDS, stage_words=_FIELDS, unit=_FIELDS,
    latitude=st.none() | st.floats(), longitude=st.none() | st.floats(),
    presses=st.integers(-3, 10**12), raised_utc_us=st.integers(), clock=st.sampled_from(["synced", "held", "unknown"]),
)  # fmt: skip
def test_whatever_is_given_fits_one_message(**given: object) -> None:
    text = _text(**given)
    assert set(text) <= GSM
    assert length_septets(text) <= LONGEST_SEPTETS
    assert to_gsm(text) == text
    assert "HELP POINT ALARM" in text


@given(
    site=_FIELDS,
    address=_FIELDS,
    approach=_FIELDS,
    unit=_FIELDS,
    presses=st.integers(1, 10**6),
    latitude=st.floats(-90, 90),
    longitude=st.floats(-180, 180),
    kind=st.sampled_from(["panic", "voice", "intrusion", "tamper", "test"]),
    stage=st.sampled_from([NOT_RECEIVED, "received by the control room, not yet answered", "not yet answered"]),
)
def test_what_matters_most_is_never_cut(
    site: str, stage: str, latitude: float, longitude: float, **given: object
) -> None:
    text = _text(site=site, stage_words=stage, latitude=latitude, longitude=longitude, **given)
    assert "HELP POINT ALARM K7Q2PD" in text
    assert stage in text.split("\n")
    assert "11:03 UTC 22 Oct" in text.split("\n")
    assert f"{latitude:.5f},{longitude:.5f}" in text.split("\n")
    place = " ".join(to_gsm(site).split())
    if length_septets(place) <= 20:
        assert place in text


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("café", "café"),
        ("Łódź", "Lódz".replace("ó", "o")),
        ("St John’s – “Gate”…", 'St John\'s - "Gate"...'),
        ("Ŵyr ç À 5\u00a0m", "Wyr c A 5 m"),
        ("e\u0301", "é"),
        ("½ ﬁ", "1/2 fi"),
        ("日 🚨\ufe0f", "? ?"),
        ("a\u200bb\x00c\fd", "ab c d"),
        ("{€}", "{€}"),
    ],
)
def test_what_the_alphabet_lacks_becomes_the_nearest(written: str, sent: str) -> None:
    assert to_gsm(written) == sent


def test_the_alphabet_is_whole_and_its_extension_costs_two() -> None:
    assert len(ALPHABET) == 128
    assert len(set(ALPHABET)) == 128
    assert (ALPHABET.index("@"), ALPHABET.index("A"), ALPHABET.index("a"), ALPHABET.index("à")) == (0, 0x41, 0x61, 0x7F)
    assert (ALPHABET.index("Ω"), ALPHABET.index(" "), ALPHABET.index("¿")) == (0x15, 0x20, 0x60)
    assert length_septets("[a]") == 5
    assert septets("€") == b"\x1b\x65"


def test_packing_as_the_standard_shows() -> None:
    assert pack(septets("hellohello")).hex().upper() == "E8329BFD4697D9EC37"


@given(st.text(max_size=200), st.integers(0, 200))
def test_a_cut_text_is_never_longer(text: str, most: int) -> None:
    assert length_septets(cut(text, most)) <= most
    assert length_septets(text) == len(septets(text))


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+447700900123", "+447700900123"),
        ("+44 (7700) 900-123", "+447700900123"),
        ("66777", "66777"),
        ("07700900123", None),
        ("00447700900123", None),
        ("+0447700900123", None),
        ("+44", None),
        ("+4477009001231234", None),
        ("999", None),
        ("112", None),
        ("", None),
        ("+44770090012x", None),
        ("+٤٤٧٧٠٠٩٠٠١٢٣", None),
        ("+447700900123\n", None),
        ("duty", None),
    ],
)
def test_numbers(written: str, number: str | None) -> None:
    assert normal_number(written) == number
