"""Pictures shall be shown at once: said in the offer's picture sections only, and done where the answer takes it."""

from unitd.call.rtc.answer import takes_extension
from unitd.call.rtc.playout_delay import EXTENSION_ID, SAID, URI, offered

LINE = f"a=extmap:{EXTENSION_ID} {URI}\r\n"
OFFER = "v=0\r\ns=-\r\nm=video 9 X 96\r\na=mid:0\r\nm=audio 9 X 97\r\na=mid:1\r\nm=video 9 X 98\r\na=mid:2\r\n"


def test_each_picture_is_offered_with_it_and_nothing_else_changes() -> None:
    made = offered(OFFER)
    assert made.replace(LINE, "") == OFFER
    assert made.count(LINE) == 2
    sections = made.split("m=")
    assert [LINE in section for section in sections] == [False, True, False, True]
    assert offered("v=0\r\n") == "v=0\r\n"


def test_it_is_taken_only_as_it_was_offered() -> None:
    assert takes_extension(["1 urn:x", f"{EXTENSION_ID} {URI}"], EXTENSION_ID, URI)
    assert takes_extension([f"{EXTENSION_ID}/recvonly {URI}"], EXTENSION_ID, URI)
    for refused in ([], [""], [f"{EXTENSION_ID}"], [f"{EXTENSION_ID + 1} {URI}"], [f"{EXTENSION_ID} urn:x"]):
        assert not takes_extension(refused, EXTENSION_ID, URI)


def test_two_numbers_of_twelve_bits_in_ten_milliseconds() -> None:
    assert bytes.fromhex("00000a") == SAID
