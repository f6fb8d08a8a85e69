"""Which message is tried next, and when: turns, back-off, memory of what was sent; and its PDU, read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_sim.devices.modem_pdu import decode_submit
from unitd.model.cms import is_about_the_number, words
from unitd.model.gsm7 import length_septets, to_gsm
from unitd.model.sms_pdu import submit
from unitd.model.sms_queue import KEEP_SENT, MOST_WANTED, Message, SmsQueue

ANA, BEN = "+447700900001", "+447700900002"


def _m(sms_id: str, number: str = ANA) -> Message:
    return Message(sms_id, number, f"text {sms_id}")


def _queue(*messages: Message) -> SmsQueue:
    queue = SmsQueue()
    queue.want(messages, 0.0)
    return queue


def test_a_new_message_is_due_at_once_and_gone_when_sent() -> None:
    queue = _queue(_m("a"))
    assert queue.due(0.0) == _m("a")
    queue.sent(_m("a"), 7)
    assert queue.due(1000.0) is None
    assert queue.waiting == 0
    assert [(told.message.sms_id, told.reference) for told in queue.to_tell(0.0)] == [("a", 7)]


def test_numbers_take_turns_and_a_failing_one_holds_up_nobody() -> None:
    queue = _queue(_m("a1"), _m("a2"), _m("b1", BEN), _m("b2", BEN))
    tried = []
    for _ in range(4):
        message = queue.due(0.0)
        if message is None:
            break
        tried.append(message.sms_id)
        if message.number == ANA:
            queue.failed(message, 0.0)
        else:
            queue.sent(message, None)
    assert tried == ["a1", "b1", "b2"]
    assert queue.next_s() == 5.0


def test_numbers_take_turns_also_when_all_goes_well() -> None:
    queue = _queue(_m("a1"), _m("a2"), _m("b1", BEN), _m("b2", BEN))
    tried = []
    while (message := queue.due(0.0)) is not None:
        tried.append(message.sms_id)
        queue.sent(message, None)
    assert tried == ["a1", "b1", "a2", "b2"]


def test_back_off_of_a_number_from_5_to_60_s_and_its_messages_take_turns() -> None:
    queue = _queue(_m("a1"), _m("a2"))
    now_s, pauses, ids = 0.0, [], []
    for _ in range(7):
        message = queue.due(now_s)
        assert message is not None
        ids.append(message.sms_id)
        queue.failed(message, now_s)
        assert queue.due(now_s) is None
        due_s = queue.next_s()
        assert due_s is not None
        pauses.append(due_s - now_s)
        now_s = due_s
    assert pauses == [5, 10, 20, 40, 60, 60, 60]
    assert ids == ["a1", "a2"] * 3 + ["a1"]


def test_a_new_message_to_a_failing_number_does_not_wait() -> None:
    queue = _queue(_m("a1"))
    for _ in range(6):
        queue.failed(_m("a1"), 0.0)
    queue.want([_m("a1"), _m("a2")], 1.0)
    assert queue.due(1.0) == _m("a2")


def test_a_success_ends_the_back_off() -> None:
    queue = _queue(_m("a1"), _m("a2"))
    for _ in range(5):
        queue.failed(_m("a1"), 0.0, refusal="barred")
    queue.sent(_m("a1"), 1)
    queue.failed(_m("a2"), 100.0)
    assert queue.refused(10_000.0) == []
    queue.to_tell(104.0)
    assert queue.next_s() == 105.0


def test_network_back_means_now_but_not_for_what_may_have_gone() -> None:
    queue = _queue(_m("a"), _m("b", BEN))
    queue.failed(_m("a"), 0.0)
    queue.failed(_m("b", BEN), 0.0, unsure=True)
    queue.hurry(1.0)
    assert queue.due(1.0) == _m("a")
    queue.sent(_m("a"), 1)
    assert queue.due(1.0) is None
    assert queue.due(5.0) == _m("b", BEN)


def test_a_failure_is_told_once_for_each_message() -> None:
    queue = _queue(_m("a1"), _m("a2"))
    assert queue.failed(_m("a1"), 0.0)
    assert not queue.failed(_m("a1"), 9.0)
    assert queue.unreachable() == [_m("a2")]
    assert queue.unreachable() == []


def test_sent_is_told_again_while_core_goes_on_wanting_it() -> None:
    queue = _queue(_m("a"))
    queue.sent(_m("a"), 7)
    assert len(queue.to_tell(0.0)) == 1
    assert queue.to_tell(1.0) == []
    assert queue.next_s() == 2.0
    assert len(queue.to_tell(2.0)) == 1
    queue.want([], 6.0)
    assert queue.to_tell(100.0) == []
    assert queue.next_s() is None


def test_nothing_is_sent_twice_across_updates_and_restarts() -> None:
    queue = _queue(_m("a"), _m("b"))
    queue.sent(_m("a"), 7)
    for wanted in ([_m("a"), _m("b")], [], [_m("a"), _m("b")]):
        queue.want(wanted, 1.0)
        assert "a" not in (queue.due(1.0) or _m("-")).sms_id
    fresh = SmsQueue(queue.sent_ids)
    fresh.want([_m("a"), _m("b")], 0.0)
    assert fresh.due(0.0) == _m("b")
    assert [(told.message.sms_id, told.reference) for told in fresh.to_tell(0.0)] == [("a", 7)]


def test_a_number_refused_for_ten_minutes() -> None:
    queue = _queue(_m("a"), _m("b", BEN))
    queue.failed(_m("b", BEN), 0.0)
    queue.failed(_m("a"), 0.0, refusal="barred")
    assert queue.refused(599.0) == []
    queue.failed(_m("a"), 599.0, refusal="number not assigned")
    assert queue.refused(600.0) == [(ANA, "number not assigned")]


def test_everything_is_bounded_and_what_is_wanted_is_not_forgotten() -> None:
    queue = SmsQueue()
    queue.want([_m(str(n), f"+4477009{n:05}") for n in range(MOST_WANTED + 5)], 0.0)
    assert (queue.waiting, queue.left_out) == (MOST_WANTED, 5)
    kept = _m("kept")
    for n in range(KEEP_SENT * 2):
        queue.want([kept, _m(f"x{n}")], 0.0)
        for message in (kept, _m(f"x{n}")):
            if message.sms_id not in dict(queue.sent_ids):
                queue.sent(message, None)
    assert len(queue.sent_ids) == KEEP_SENT
    assert "kept" in dict(queue.sent_ids)


def test_a_message_that_changes_its_number_follows_the_level() -> None:
    queue = _queue(_m("a"))
    queue.want([_m("a", BEN)], 0.0)
    assert queue.due(0.0) == _m("a", BEN)


@given(st.data())
def test_whatever_happens_each_message_is_sent_once_and_none_is_forgotten(data: st.DataObject) -> None:
    """Random levels, failures and successes, in the end successes alone."""
    queue, now_s, sent = SmsQueue(), 0.0, []
    pool = [_m(f"m{n}", f"+4477009{n % 3:05}") for n in range(8)]
    wanted: list[Message] = []
    for _ in range(data.draw(st.integers(0, 30))):
        if data.draw(st.booleans()):
            wanted = data.draw(st.lists(st.sampled_from(pool), unique=True))
            queue.want(wanted, now_s)
        now_s += data.draw(st.floats(0, 30))
        if (message := queue.due(now_s)) is not None:
            assert message in wanted
            if data.draw(st.booleans()):
                queue.failed(message, now_s)
            else:
                sent.append(message)
                queue.sent(message, None)
    while (due_s := queue.next_s()) is not None and queue.waiting:
        now_s = max(now_s, due_s)
        queue.to_tell(now_s)
        if (message := queue.due(now_s)) is not None:
            sent.append(message)
            queue.sent(message, None)
    assert set(wanted) <= set(sent)
    assert len(sent) == len(set(sent))


def test_words_of_refusals() -> None:
    assert words(331) == "no network (CMS 331)"
    assert words(777) == "CMS 777"
    assert words(None) == "refused"
    assert is_about_the_number(None)
    assert is_about_the_number(28)
    assert not is_about_the_number(331)


@pytest.mark.parametrize("number", ["+447700900123", "+4477009001234", "66777", "112233"])
def test_a_pdu_says_number_and_text(number: str) -> None:
    pdu = submit(number, "Help [1] – café")
    assert decode_submit(*pdu) == (number, "Help [1] - café")


def test_a_pdu_as_published() -> None:
    # The example of many manuals: +46708251358, "hellohello", with another validity.
    assert submit("+46708251358", "hellohello").hex == "0011000B916407281553F80000A70AE8329BFD4697D9EC37"


@given(st.text(max_size=250), st.from_regex(r"\+[1-9][0-9]{6,14}|[1-9][0-9]{2,7}", fullmatch=True))
def test_any_text_arrives_as_it_was_made_fit(text: str, number: str) -> None:
    pdu = submit(number, text)
    to, arrived = decode_submit(*pdu)
    assert to == number
    assert length_septets(arrived) <= 160
    if length_septets(text) <= 160:
        assert arrived == to_gsm(text)
