"""The ring between two threads: whole frames, bounded, steady after a start."""

from unitd.call.voice.pcm import FRAME_BYTES, PcmRing


def frame(value: int) -> bytes:
    return bytes([value]) * FRAME_BYTES


def test_pieces_of_any_length_come_out_as_whole_frames_in_order() -> None:
    ring = PcmRing(start_frames=1)
    data = frame(1) + frame(2) + frame(3)
    for at in range(0, len(data), 700):
        ring.put(data[at : at + 700])
    assert [ring.take() for _ in range(4)] == [frame(1), frame(2), frame(3), None]


def test_it_gathers_before_it_starts_and_again_after_it_ran_dry() -> None:
    ring = PcmRing(start_frames=2)
    ring.put(frame(1))
    assert ring.take() is None
    ring.put(frame(2))
    assert ring.take() == frame(1)
    assert ring.take() == frame(2)
    assert ring.take() is None
    assert ring.ran_dry == 1
    ring.put(frame(3))
    assert ring.take() is None


def test_the_oldest_goes_when_it_is_full_and_is_counted() -> None:
    ring = PcmRing(start_frames=1, limit_frames=3)
    for value in range(5):
        ring.put(frame(value))
    assert ring.dropped_frames == 2
    assert ring.take() == frame(2)


def test_clear_forgets_everything() -> None:
    ring = PcmRing(start_frames=1)
    ring.put(frame(1) + b"rest")
    ring.clear()
    ring.put(frame(2))
    assert ring.take() == frame(2)
