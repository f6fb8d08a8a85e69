"""The emulated link does what a case says it does, and the same again for the same seed."""

from tests.live.forwarder import OneWay
from tests.live.shape import Shape

PACKET = bytes(1250)  # 10 ms at 1 Mbit/s


def _send(way: OneWay, every_s: float, until_s: float, packet: bytes = PACKET) -> list[tuple[float, float]]:
    """(sent, arrived) of all that arrives, looking each millisecond as the process does; packets carry their number."""
    sent: list[float] = []
    arrived: list[tuple[float, float]] = []
    for millisecond in range(int((until_s + 2) * 1000)):
        now_s = millisecond / 1000
        while len(sent) * every_s <= now_s and now_s < until_s:
            way.offer(len(sent).to_bytes(4, "big") + packet[4:], now_s)
            sent.append(now_s)
        arrived += [(sent[int.from_bytes(each[:4], "big")], now_s) for each in way.due(now_s)]
    return arrived


def test_without_limits_everything_arrives_at_once() -> None:
    way = OneWay(Shape(), seed=1)
    arrived = _send(way, 0.001, 1)
    assert len(arrived) == 1000
    assert all(at == sent for sent, at in arrived)


def test_a_cap_lets_its_rate_through_and_drops_what_waits_too_long() -> None:
    way = OneWay(Shape(kbit_s=1000, queue_ms=200), seed=1)
    arrived = _send(way, 0.005, 10)  # 2 Mbit/s
    in_ten_s = [at for _, at in arrived if at < 10]
    assert 990 <= len(in_ten_s) <= 1001
    longest_s = max(at - sent for sent, at in arrived)
    assert 0.19 < longest_s < 0.22
    assert way.counts.overflowed == 2000 - len(arrived)
    assert sum(way.counts.offered) == 2000 * len(PACKET)


def test_what_waits_leaves_at_the_new_rate_when_the_cap_falls() -> None:
    way = OneWay(Shape(kbit_s=10_000, queue_ms=1000), seed=1)
    for _ in range(10):
        way.offer(PACKET, 0.0)
    way.change(Shape(kbit_s=1000, queue_ms=1000), 0.0)
    assert len(way.due(0.0501)) == 5


def test_delay_and_jitter_without_overtaking() -> None:
    way = OneWay(Shape(delay_ms=50, jitter_ms=100), seed=3)
    arrived = _send(way, 0.005, 5)
    delays_s = [at - sent for sent, at in arrived]
    assert 0.05 <= min(delays_s) < 0.06
    assert 0.13 < max(delays_s) <= 0.151
    assert [sent for sent, _ in arrived] == sorted(sent for sent, _ in arrived)


def test_overtaking_when_it_is_asked_for() -> None:
    way = OneWay(Shape(delay_ms=50, jitter_ms=100, reorder=True), seed=3)
    order = [sent for sent, _ in _send(way, 0.005, 5)]
    assert len(order) == 1000
    assert order != sorted(order)


def test_loss_is_the_share_that_was_asked_for_and_the_same_for_the_same_seed() -> None:
    first, again, other = (_send(OneWay(Shape(loss=0.05), seed=seed), 0.001, 10) for seed in (5, 5, 6))
    assert 0.04 < 1 - len(first) / 10_000 < 0.06
    assert first == again
    assert first != other


def test_a_cut_link_passes_nothing_not_even_what_was_on_its_way() -> None:
    way = OneWay(Shape(kbit_s=1000, delay_ms=50), seed=1)
    way.offer(PACKET, 0.0)
    way.change(Shape(cut=True), 0.02)
    way.offer(PACKET, 0.03)
    assert way.due(1.0) == []
    assert way.next_s() is None
    assert way.counts.lost == 2
    way.change(Shape(), 1.0)
    way.offer(PACKET, 1.0)
    assert len(way.due(1.0)) == 1
