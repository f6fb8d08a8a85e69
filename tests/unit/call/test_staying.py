"""A session goes on through an outage, and is made anew when another would do better."""

import pytest

from unitd.call.staying import (
    ALIVE_FOR_S,
    DEAD_AFTER_S,
    DEAD_WITHOUT_FEEDBACK_S,
    DISCONNECTED_FOR_S,
    GIVEN_UP_S,
    PROVE_BY_REPORTS_S,
    PROVE_S,
    SILENT_AFTER_S,
    UNTOLD_AFTER_S,
    Staying,
)

NOW_S = 1000.0


def heard(at_s: float = NOW_S) -> Staying:
    session = Staying()
    session.connected(at_s)
    session.reported = True
    return session


def lost(session: Staying, after_s: float, signalling_s: float | None, has_feedback: bool = True) -> str:
    return session.lost(NOW_S + after_s, True, has_feedback, signalling_s)


def test_in_an_outage_the_session_stays() -> None:
    assert not lost(heard(), 20.0, 0.0)
    assert not lost(heard(), SILENT_AFTER_S, 0.0)
    assert lost(heard(), SILENT_AFTER_S + 0.1, 0.0)


def test_when_the_signalling_is_back_the_media_has_a_moment_to_follow() -> None:
    assert not lost(heard(), 20.0, ALIVE_FOR_S - 0.1)
    assert lost(heard(), 20.0, ALIVE_FOR_S + 0.1) == "silent for 20.0 s"


@pytest.mark.parametrize(("has_feedback", "limit_s"), [(True, DEAD_AFTER_S), (False, DEAD_WITHOUT_FEEDBACK_S)])
def test_silence_beside_signalling_that_is_heard_ends_it(has_feedback: bool, limit_s: float) -> None:
    assert not lost(heard(), limit_s, 60.0, has_feedback)
    assert lost(heard(), limit_s + 0.1, 60.0, has_feedback)


def test_without_signalling_to_hear_the_media_alone_decides() -> None:
    assert not lost(heard(), UNTOLD_AFTER_S, None)
    assert lost(heard(), UNTOLD_AFTER_S + 0.1, None)
    assert not lost(heard(), UNTOLD_AFTER_S + 0.1, None, has_feedback=False)


def test_a_session_that_was_never_connected_is_not_silent() -> None:
    assert not Staying().lost(NOW_S, False, True, 60.0)


@pytest.mark.parametrize(("has_feedback", "limit_s"), [(True, PROVE_S), (False, PROVE_BY_REPORTS_S)])
def test_on_a_new_link_it_has_to_be_heard(has_feedback: bool, limit_s: float) -> None:
    silent = heard()
    assert silent.prove(NOW_S + 1.0)
    assert not lost(silent, 1.0 + limit_s, 0.1, has_feedback)
    assert lost(silent, 1.1 + limit_s, 0.1, has_feedback) == "it did not outlive its link"
    alive = heard()
    assert alive.prove(NOW_S + 1.0)
    alive.heard_s = NOW_S + 1.2
    assert not lost(alive, 1.1 + limit_s, 0.1, has_feedback)


def test_after_a_long_outage_it_is_not_waited_for() -> None:
    assert heard().prove(NOW_S + GIVEN_UP_S)
    assert not heard().prove(NOW_S + GIVEN_UP_S + 0.1)


def test_ice_that_is_disconnected_counts_only_beside_signalling() -> None:
    session = heard()
    session.disconnected(NOW_S)
    session.heard_s = NOW_S + 6.0
    assert not session.lost(NOW_S + DISCONNECTED_FOR_S + 0.1, True, True, 0.0)
    assert session.lost(NOW_S + DISCONNECTED_FOR_S + 0.1, True, True, 60.0) == "disconnected"
    session.connected(NOW_S + 6.0)
    assert not session.lost(NOW_S + 6.1, True, True, 60.0)


def test_a_far_end_that_promised_feedback_and_sends_none_is_judged_by_its_reports() -> None:
    liar = Staying()
    liar.connected(NOW_S)
    assert not lost(liar, DEAD_WITHOUT_FEEDBACK_S - 0.1, 60.0, has_feedback=True)
    assert lost(liar, DEAD_WITHOUT_FEEDBACK_S + 0.1, 60.0, has_feedback=True)
