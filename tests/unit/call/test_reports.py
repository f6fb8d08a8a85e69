"""The picture steps down for the voice's sake and probes its way up again."""

from dataclasses import replace

from unitd.call.congestion.reports import (
    COLLAPSE_PACKETS,
    FIRST_PROBE_S,
    FIRST_SIGHT_S,
    HOLD_AFTER_STEP_S,
    LONGEST_PROBE_S,
    PictureControl,
    collapsed,
    control_for,
    decide,
)
from unitd.call.rtc.linkstats import LinkStats

GOOD = LinkStats(0.0, 0.0, 0.05)
BAD = LinkStats(0.12, 0.02, 0.1)
TERRIBLE = LinkStats(0.5, 0.4, 0.9)
SLOW = LinkStats(0.0, 0.0, 0.9)
VERY_SLOW = LinkStats(0.0, 0.0, 1.5)


class Far:
    """A far end that reports once a second."""

    def __init__(self, has_sub: bool = True, packets: int = 100) -> None:
        self.control: PictureControl = control_for(("main", "sub", "voice") if has_sub else ("main", "voice"), 0.0)
        self.now_s = 0.0
        self.packets = packets
        self.picture = self.voice = 0
        self.report(GOOD)

    def report(self, stats: LinkStats, packets: int | None = None) -> str:
        self.now_s += 1.0
        self.picture += self.packets if packets is None else packets
        self.voice += 50
        stats = replace(stats, picture_received=self.picture, voice_received=self.voice)
        self.control = decide(self.control, stats, self.now_s)
        self.last = stats
        return self.control.step

    def until_step(self, stats: LinkStats, seconds: int) -> float:
        """Reports like this until the step changes; how long that took."""
        before, since_s = self.control.at, self.now_s
        while self.control.at == before and self.now_s - since_s < seconds:
            self.report(stats)
        return self.now_s - since_s


def at_sub(packets: int = 100) -> Far:
    far = Far(packets=packets)
    assert far.until_step(TERRIBLE, 5) == 1
    assert far.control.step == "sub"
    return far


def at_off() -> Far:
    far = at_sub()
    far.until_step(TERRIBLE, 10)
    assert far.control.step == "voice"
    return far


def test_a_good_link_keeps_the_main_stream() -> None:
    far = Far()
    far.until_step(GOOD, 600)
    assert far.control.step == "main"


def test_the_first_report_alone_never_steps_down() -> None:
    control = decide(control_for(("main", "sub", "voice"), 0.0), LinkStats(0.9, 0.9, 2.0, 0, 500, 50), 1.0)
    assert control.step == "main"


def test_loss_that_lasts_steps_down_and_a_single_bad_report_does_not() -> None:
    far = Far()
    assert [far.report(stats) for stats in (BAD, GOOD, BAD, BAD)] == ["main", "main", "main", "sub"]


def test_the_same_report_read_again_is_not_a_second_one() -> None:
    far = Far()
    far.report(BAD)
    for tick in range(1, 20):
        far.control = decide(far.control, far.last, far.now_s + tick)
    assert far.control.step == "main"


def test_terrible_loss_and_a_terrible_round_trip_step_down_from_main_at_once() -> None:
    for stats in (TERRIBLE, VERY_SLOW):
        far = Far()
        assert far.report(stats) == "sub"


def test_a_large_share_of_hardly_any_packets_is_chance() -> None:
    far = Far(packets=10)
    far.until_step(LinkStats(0.3, 0.0, 0.05), 20)
    assert far.control.step == "main"


def test_a_long_round_trip_is_congestion_too() -> None:
    far = Far()
    assert far.until_step(SLOW, 20) == 2
    assert far.control.step == "sub"


def test_one_report_of_a_fifth_lost_does_not_switch_the_picture_off() -> None:
    far = at_sub(packets=60)
    fifth = LinkStats(0.2, 0.05, 0.1)
    for _ in range(10):
        assert far.report(fifth) == "sub"
        assert far.report(GOOD) == "sub"


def test_one_lost_packet_of_few_never_switches_the_picture_off() -> None:
    far = at_sub(packets=5)
    far.until_step(LinkStats(0.2, 0.02, 0.1), 30)
    assert far.control.step == "sub"


def test_tolerable_loss_keeps_the_small_picture() -> None:
    far = at_sub()
    far.until_step(BAD, 60)
    assert far.control.step == "sub"


def test_voice_alone_is_left_in_the_end_but_not_within_the_hold() -> None:
    far = at_sub()
    assert far.until_step(TERRIBLE, 10) >= HOLD_AFTER_STEP_S + 1
    assert far.control.step == "voice"
    far.until_step(TERRIBLE, 100)
    assert far.control.step == "voice"


def test_what_was_lost_before_the_picture_went_does_not_keep_it_away() -> None:
    far = at_off()
    stale = LinkStats(0.5, 0.02, 0.1)  # nobody reports on a stream that is not sent: the last figure stays
    waited_s = 0.0
    while far.control.step == "voice" and waited_s < 60:
        far.report(stale, packets=0)
        waited_s += 1
    assert FIRST_SIGHT_S <= waited_s <= FIRST_SIGHT_S + 2


def test_it_waits_longer_each_time_that_the_small_picture_does_not_fit() -> None:
    far = at_off()
    first_s = far.until_step(GOOD, 60)
    far.until_step(TERRIBLE, 10)
    assert far.control.step == "voice"
    assert far.until_step(GOOD, 60) >= 1.8 * first_s


def test_without_a_sub_stream_the_step_below_main_is_none_and_takes_two_reports() -> None:
    far = Far(has_sub=False)
    far.now_s += HOLD_AFTER_STEP_S
    assert [far.report(TERRIBLE), far.report(TERRIBLE)] == ["main", "voice"]


def test_it_probes_up_after_a_good_while_and_waits_longer_after_a_failed_probe() -> None:
    far = at_sub()
    assert far.until_step(GOOD, 100) >= FIRST_PROBE_S
    assert far.control.step == "main"
    assert far.report(TERRIBLE) == "sub"
    assert far.until_step(GOOD, 200) >= 2 * FIRST_PROBE_S
    assert far.control.step == "main"


def test_a_probe_of_main_is_ended_at_the_first_sign_for_the_voices_sake() -> None:
    for sign in (LinkStats(0.04, 0.0, 0.05), LinkStats(0.0, 0.04, 0.05), LinkStats(0.0, 0.0, 0.5)):
        far = at_sub()
        far.until_step(GOOD, 100)
        assert far.control.step == "main"
        assert far.report(sign) == "sub"


def test_the_wait_is_bounded() -> None:
    far = at_sub()
    for _ in range(12):
        far.until_step(GOOD, int(3 * LONGEST_PROBE_S))
        assert far.control.step == "main"
        far.report(TERRIBLE)
    assert far.control.probe_after_s == LONGEST_PROBE_S


def test_readings_without_figures_change_nothing() -> None:
    control = control_for(("main", "sub", "voice"), 0.0)
    for second in range(60):
        control = decide(control, LinkStats(), second)
    assert control.step == "main"


def test_a_collapse_is_seen_by_what_is_asked_for_again_without_any_report() -> None:
    control = control_for(("main", "sub", "voice"), 0.0)
    assert collapsed(control, 80, 100, 5.0).step == "sub"
    assert collapsed(control, 80, 1000, 5.0).step == "main"
    assert collapsed(control, COLLAPSE_PACKETS - 1, 30, 5.0).step == "main"
    assert collapsed(control, 80, 100, 0.5).step == "main", "the first burst is no collapse"


def test_a_collapse_never_takes_the_last_picture() -> None:
    assert collapsed(control_for(("main", "voice"), 0.0), 100, 100, 5.0).step == "main"
    far = at_sub()
    assert collapsed(far.control, 100, 100, 50.0).step == "sub"
