"""Letters as they are typed: what is passed on, applied in order, is what stands here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.call.text.t140 import ERASE, LOST, MAX_LINE, NEW_LINE, Taken, Writing, pieces


def test_letters_stand_and_go_on() -> None:
    writing = Writing()
    assert writing.take("hel") == Taken("hel")
    assert writing.take("lo") == Taken("lo")
    assert writing.open == "hello"


def test_erase_takes_the_last_letter_back_and_no_more_than_there_are() -> None:
    writing = Writing()
    assert writing.take(f"hé{ERASE}{ERASE}{ERASE}{ERASE}a") == Taken(f"hé{ERASE}{ERASE}a")
    assert writing.open == "a"


@pytest.mark.parametrize("end", [NEW_LINE, "\u2029", "\r", "\n", "\r\n"])
def test_a_line_ends(end: str) -> None:
    writing = Writing()
    assert writing.take(f"help{end}me") == Taken(f"help{NEW_LINE}me", ("help",))
    assert writing.open == "me"


def test_a_return_and_its_line_feed_may_come_apart() -> None:
    writing = Writing()
    assert writing.take("a\r") == Taken(f"a{NEW_LINE}", ("a",))
    assert writing.take("\nb") == Taken("b")
    assert writing.take("\n") == Taken(NEW_LINE, ("b",))


def test_an_empty_line_is_none() -> None:
    assert Writing().take(f"  {NEW_LINE}").lines == ()


def test_codes_that_are_no_letters_are_let_go_and_a_loss_is_kept() -> None:
    noise = "\ufeff\x00\x07\x1b[31m\x9b\u202e\u2066\ud800\ue000"
    assert Writing().take(f"a{noise}b{LOST}").letters == f"a[31mb{LOST}"


def test_a_line_without_an_end_is_ended() -> None:
    writing = Writing()
    taken = writing.take("x" * (2 * MAX_LINE + 5))
    assert [len(line) for line in taken.lines] == [MAX_LINE, MAX_LINE]
    assert writing.open == "x" * 5


@given(st.lists(st.text(alphabet=st.characters() | st.sampled_from("ab\u0008\u2028\r\n\ufeff\u202e")), max_size=8))
def test_who_applies_what_is_passed_on_has_the_same_line(parts: list[str]) -> None:
    here, there = Writing(), Writing()
    for part in parts:
        taken = here.take(part)
        assert there.take(taken.letters) == taken
        assert here.open == there.open
        taken.letters.encode()  # never a half of a pair


def test_pieces_are_whole() -> None:
    assert pieces("abcde", 2) == ["ab", "cd", "e"]
    assert pieces("", 2) == []
