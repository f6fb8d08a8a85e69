"""The controller's parts, each by itself."""

import pytest

from unitd.call.congestion.capacity import Capacity
from unitd.call.congestion.delay import DelayWatch
from unitd.call.congestion.ladder import FIRST_RETRY_S, Fit, Ladder
from unitd.call.congestion.losses import BAD_SECONDS, LIMIT, LossWatch
from unitd.call.congestion.packet_log import Sent
from unitd.call.congestion.patience import Patience
from unitd.call.congestion.resend import BURST_S, LEAST_BURST_BITS, ResendBudget
from unitd.call.congestion.train import (
    LARGE_BYTES,
    LEAST_PACKETS,
    MOST_ORDERED,
    SMALL_BYTES,
    Train,
    Trains,
    of_size,
    planned,
)
from unitd.call.congestion.voice_plan import VoicePlan

PACKET = 1200


def send(
    watch: DelayWatch, seconds: float, send_bit_s: float, link_bit_s: float, begin_s: float, queue_s: float
) -> float:
    """Packets into a link that begins with a queue; the queue after it."""
    gap_s, out_s = PACKET * 8 / send_bit_s, PACKET * 8 / link_bit_s
    at_s, free_s = begin_s, begin_s + queue_s
    while at_s < begin_s + seconds:
        free_s = max(free_s, at_s) + out_s
        watch.arrived(Sent(0, PACKET, at_s, "picture"), free_s + 1000.0)
        at_s += gap_s
    return max(0.0, free_s - at_s)


# --- delay ------------------------------------------------------------------------------------------------------------


def test_a_stream_that_fits_shows_no_bottleneck() -> None:
    watch = DelayWatch()
    send(watch, 5.0, 3e6, 4e6, 10.0, 0.0)
    assert watch.bottleneck_bit_s() is None
    assert watch.queue_s < 0.005
    assert watch.acked_bit_s() == pytest.approx(3e6, rel=0.02)


@pytest.mark.parametrize(("link_bit_s", "within_s"), [(2e6, 0.3), (3.5e6, 1.0), (3.85e6, 3.2)])
def test_a_queue_that_grows_shows_the_bottlenecks_rate(link_bit_s: float, within_s: float) -> None:
    watch = DelayWatch()
    send(watch, 4.0, 4e6, 8e6, 10.0, 0.0)
    assert watch.bottleneck_bit_s() is None
    at_s, queue_s = 14.0, 0.0
    while watch.bottleneck_bit_s() is None:
        queue_s = send(watch, 0.02, 4e6, link_bit_s, at_s, queue_s)
        at_s += 0.02
        assert at_s - 14.0 < within_s + 0.2
    send(watch, 0.5, 4e6, link_bit_s, at_s, queue_s)
    rate = watch.bottleneck_bit_s()
    assert rate == pytest.approx(link_bit_s, rel=0.08)


def test_most_packets_lost_is_a_bottleneck_and_a_twentieth_is_not() -> None:
    for each_lost, is_flood in ((2, True), (20, False)):
        watch = DelayWatch()
        for number in range(400):
            at_s = 10 + number * 0.0024
            if number % each_lost == 0:
                watch.lost(Sent(number, PACKET, at_s, "picture"))
            else:
                watch.arrived(Sent(number, PACKET, at_s, "picture"), at_s + 0.05)
        assert (watch.bottleneck_bit_s() is not None) is is_flood
    assert watch.loss()[0] == pytest.approx(0.05, abs=0.01)


def test_what_was_sent_before_a_step_is_not_judged_after_it() -> None:
    watch = DelayWatch()
    send(watch, 2.0, 4e6, 8e6, 10.0, 0.0)
    send(watch, 0.4, 4e6, 2e6, 12.0, 0.0)
    assert watch.bottleneck_bit_s() is not None
    watch.judge_from(12.4)
    assert watch.bottleneck_bit_s() is None
    assert watch.queue_s > 0.1, "but its queue is known"


def test_a_queue_that_comes_slowly_is_seen_against_the_last_minute() -> None:
    watch = DelayWatch()
    for number in range(2000):  # 40 s, 5 ms more each second
        sent_s = 5.0 + number * 0.02
        watch.arrived(Sent(number, PACKET, sent_s, "voice"), sent_s + 0.1 + 0.0001 * number)
    assert watch.queue_s == pytest.approx(0.06, abs=0.01)
    assert watch.crept_s == pytest.approx(0.2, abs=0.02)


# --- trains -----------------------------------------------------------------------------------------------------------


def test_a_train_comes_apart_at_the_bottleneck() -> None:
    trains = Trains()
    for number in range(12):
        assert trains.arrived(Sent(number, PACKET, 5.0, "resend"), 6.0 + number * PACKET * 8 / 3e6) is None
    train = trains.arrived(Sent(12, PACKET, 5.5, "picture"), 6.6)
    assert train is not None and train.is_limit and train.is_ordered
    assert train.bit_s == pytest.approx(3e6, rel=0.01)


def test_a_train_that_comes_as_it_left_says_at_least() -> None:
    trains = Trains()
    for number in range(12):
        trains.arrived(Sent(number, PACKET, 5.0 + number * 0.004, "picture"), 6.0 + number * 0.004)
    train = trains.arrived(Sent(12, PACKET, 5.5, "picture"), 6.6)
    assert train is not None and not train.is_limit and not train.is_ordered
    assert train.bit_s == pytest.approx(2.4e6, rel=0.01)


def test_a_train_that_waited_somewhere_shows_no_more_than_it_left_with() -> None:
    trains = Trains()
    for number in range(12):
        trains.arrived(Sent(number, PACKET, 5.0 + number * 0.004, "picture"), 6.0 + number * 0.0001)
    train = trains.arrived(Sent(12, PACKET, 5.5, "picture"), 6.6)
    assert train is not None and not train.is_limit
    assert train.bit_s == pytest.approx(2.4e6, rel=0.01)


def test_a_train_is_felt_nowhere() -> None:
    for capacity_bit_s in (60e3, 250e3, 600e3, 1e6, 4e6, 50e6):
        train = planned(capacity_bit_s)
        assert LEAST_PACKETS < train.packets <= MOST_ORDERED and SMALL_BYTES <= train.packet_bytes <= LARGE_BYTES
        lasts_s = train.packets * train.packet_bytes * 8 / capacity_bit_s
        assert lasts_s < 0.16 or train.packet_bytes == SMALL_BYTES
    assert planned(None).packet_bytes == LARGE_BYTES, "nothing is known: all at once"


def test_a_train_is_made_of_packets_of_about_its_size() -> None:
    sizes = [1200, 1200, 640, 1200, 300, 90]
    assert of_size(sizes, LARGE_BYTES) == [0, 1, 2, 3]
    assert of_size(sizes, SMALL_BYTES) == [4]
    assert of_size([1200, 1190], SMALL_BYTES) == [1], "the nearest when there is none"
    assert of_size([], SMALL_BYTES) == []


# --- losses, voice, resends -------------------------------------------------------------------------------------------


def test_losses_have_to_last_and_to_be_many() -> None:
    losses = LossWatch()
    assert not any(losses.second(0.9 * LIMIT, 40) for _ in range(60))
    assert not any(losses.second(0.5, 3) for _ in range(60)), "three packets are chance"
    assert [losses.second(0.2, 40) for _ in range(BAD_SECONDS)] == [False] * (BAD_SECONDS - 1) + [True]
    losses.forget()
    losses.not_ours(0.2)
    assert not any(losses.second(0.22, 40) for _ in range(60)), "it is the link's own way"
    assert losses.second(0.5, 40) is False and losses.second(0.5, 40) is True


def test_the_voice_takes_less_where_there_is_little_and_more_again_with_room() -> None:
    voice = VoicePlan()
    assert voice.bit_s == 32_000
    voice.follow(100e3, 0.0, 0.0)
    assert voice.bit_s == 16_000
    voice.follow(155e3, 0.0, 1.0)
    assert voice.bit_s == 16_000, "not for a hair"
    voice.follow(200e3, 0.0, 2.0)
    assert voice.bit_s == 24_000
    voice.follow(None, 0.0, 3.0)
    assert voice.bit_s == 32_000


def test_the_voice_knows_a_link_that_loses() -> None:
    voice = VoicePlan()
    voice.follow(None, 0.0, 10.0)
    assert voice.is_lossy, "nothing is known yet"
    voice.follow(None, 0.0, 16.0)
    assert not voice.is_lossy
    voice.follow(None, 0.01, 20.0)
    assert voice.is_lossy, "at once"
    voice.follow(None, 0.0, 49.0)
    assert voice.is_lossy
    voice.follow(None, 0.0, 51.0)
    assert not voice.is_lossy


def test_resends_are_a_share_and_a_storm_is_refused() -> None:
    budget = ResendBudget(200_000)
    granted = sum(budget.may(PACKET, 10.0 + number / 1000) for number in range(10_000))
    most_bits = 200_000 * 10 + max(BURST_S * 200_000, LEAST_BURST_BITS)
    assert 0.9 * most_bits < granted * PACKET * 8 <= most_bits
    assert budget.refused == 10_000 - granted
    budget.rate_bit_s = 0.0
    assert not budget.may(PACKET, 30.0)


# --- the ladder -------------------------------------------------------------------------------------------------------


def fit(capacity_bit_s: float | None) -> Fit:
    return Fit({"main": 3e6, "sub": 4e5}, 55_000, capacity_bit_s, is_clean=True)


STEPS = ("main", "sub", "low", "stills", "voice")


@pytest.mark.parametrize(
    ("capacity_bit_s", "step"),
    [(10e6, "main"), (2e6, "sub"), (3e5, "low"), (1.1e5, "stills"), (5e4, "voice")],
)
def test_down_goes_as_far_as_the_capacity_says(capacity_bit_s: float, step: str) -> None:
    ladder = Ladder(STEPS, "main", 0.0)
    assert ladder.down(fit(capacity_bit_s), 1.0) is (step != "main")
    assert ladder.step == step


def test_up_needs_a_train_and_one_that_fits_alone_is_asked_again() -> None:
    ladder = Ladder(STEPS, "sub", 0.0)
    assert not ladder.up(fit(1e6), 10.0) and ladder.trains == 1
    assert not ladder.up(fit(1e6), 10.1) and ladder.trains == 1, "one at a time"
    assert not ladder.up(fit(10e6), 10.15), "nothing has answered"
    ladder.proved(10.2)
    assert not ladder.up(fit(1e6), 10.2, 10e6), "once is chance"
    assert not ladder.up(fit(1e6), 10.7, 10e6) and ladder.trains == 2, "so another is sent soon"
    ladder.proved(10.8)
    assert ladder.up(fit(10e6), 10.8, 10e6)
    assert ladder.step == "main"


def test_trains_are_believed_when_two_agree() -> None:
    capacity = Capacity(1e6)
    for bit_s, sure in ((9e6, 1e6), (2e6, 2e6), (8e6, 8e6)):  # the second best of three
        capacity._learn(Train(bit_s, True, True), 50.0)
        capacity.bit_s = 1e6
        assert capacity.tried_bit_s(50.0, twice=True) == (sure, bit_s)
    assert capacity.tried_bit_s(500.0, twice=True) == (1e6, None), "not for ever"


def test_a_step_up_that_failed_makes_the_next_wait_longer() -> None:
    ladder, now_s = Ladder(STEPS, "sub", -100.0), 0.0
    waits = []
    for _ in range(4):
        before_s = now_s
        while ladder.step == "sub":
            now_s += 0.1
            ladder.proved(now_s)
            ladder.up(fit(10e6), now_s)
        waits.append(now_s - before_s)
        now_s += 1.0
        ladder.down(fit(1e6), now_s)
    assert waits[1] >= FIRST_RETRY_S and waits[2] >= 1.9 * waits[1] and waits[3] >= 1.9 * waits[2]


def test_nothing_goes_up_while_a_queue_stands() -> None:
    ladder = Ladder(STEPS, "sub", 0.0)
    for number in range(100):
        ladder.proved(10.0 + number)
        assert not ladder.up(Fit({"main": 3e6, "sub": 4e5}, 55_000, 10e6, is_clean=False), 10.0 + number)
    assert ladder.trains == 0


def test_a_thin_link_is_tried_seldom_and_one_that_hardly_carries_the_picture_later() -> None:
    def tries(is_least: bool) -> list[float]:
        patience, begun, was_over = Patience(), [], False
        for tick in range(4000):
            is_over = patience.is_over(True, tick * 0.1, is_least=is_least)
            if is_over and not was_over:
                begun.append(tick * 0.1)
            was_over = is_over
        return begun

    assert tries(False) == pytest.approx([20, 64, 148, 312], abs=1.0)
    assert tries(True) == pytest.approx([60, 104, 188, 352], abs=1.0)
    patience = Patience()
    assert not any(patience.is_over(True, float(second), is_least=second < 30) for second in range(30))
    assert patience.is_over(True, 31.0), "put off, not given up"
