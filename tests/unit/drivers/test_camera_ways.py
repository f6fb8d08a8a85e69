"""Which client and transport is tried next."""

from unitd.drivers.camera import SHORT_SESSIONS, CameraOpener, WayFinder
from unitd.drivers.camera_failures import CameraAwayError
from unitd.errors import DeviceError


def attempts(finder: WayFinder, count: int) -> list[str]:
    """What is tried when nothing works."""
    found = []
    for _ in range(count):
        way = finder.choose()
        found.append(str(finder.ways[way]))
        finder.failed(way, f"{way}", hopeless=False)
    return found


def test_both_clients_take_turns_and_at_last_the_other_transport() -> None:
    first = ["own/tcp", "ffmpeg/tcp", "own/tcp", "ffmpeg/tcp", "own/udp", "ffmpeg/udp"]
    assert attempts(WayFinder("tcp"), 12) == first * 2
    assert attempts(WayFinder("udp"), 6)[::4] == ["own/udp", "own/tcp"]


def test_what_worked_is_first_and_every_second_attempt_of_an_outage() -> None:
    finder = WayFinder("tcp")
    finder.failed(0, "refused", hopeless=True)
    finder.began(1)
    assert attempts(finder, 4) == ["ffmpeg/tcp", "own/tcp", "ffmpeg/tcp", "own/tcp"]
    finder.began(1)
    assert attempts(finder, 1) == ["ffmpeg/tcp"]


def test_our_client_has_a_second_chance_after_one_refusal_but_not_after_two() -> None:
    finder = WayFinder("tcp")
    finder.failed(finder.choose(), "starting", hopeless=False)
    finder.began(1)
    assert finder.choose() == 0
    finder.failed(0, "still", hopeless=False)
    finder.began(1)
    finder.ended(1, 1000.0, hopeless=False)
    assert finder.choose() == 1


def test_b_frames_after_the_first_pictures_hand_over_at_once() -> None:
    finder = WayFinder("tcp")
    finder.began(0)
    finder.ended(0, 0.2, hopeless=True)
    assert finder.choose() == 1


def test_sessions_that_always_end_early_are_tried_with_the_other_client() -> None:
    finder = WayFinder("tcp")
    for _ in range(SHORT_SESSIONS):
        assert finder.choose() == 0
        finder.began(0)
        finder.ended(0, 60.0, hopeless=False)
    assert finder.choose() == 1
    finder.began(1)
    finder.ended(1, 5000.0, hopeless=False)
    assert finder.choose() == 0, "once more"
    finder.began(0)
    finder.ended(0, 60.0, hopeless=False)
    assert finder.choose() == 1


def test_the_words_do_not_change_with_the_turns() -> None:
    finder = WayFinder("tcp")
    finder.failed(0, "DESCRIBE: 406", hopeless=False)
    finder.failed(1, "no answer in time", hopeless=False)
    told = finder.told()
    finder.failed(0, "DESCRIBE: 406", hopeless=False)
    assert finder.told() == told == "DESCRIBE: 406; no answer in time"


def test_a_way_that_was_left_for_its_short_sessions_is_tried_again_after_a_long_one_of_the_other() -> None:
    """FFmpeg's client brings no sound: a bad hour of the network shall not cost the sound for ever."""
    finder = WayFinder("tcp")
    for _ in range(SHORT_SESSIONS):
        finder.began(finder.choose())
        finder.ended(0, 60.0, hopeless=False)
    assert finder.choose() == 1
    finder.began(1)
    finder.ended(1, 60.0, hopeless=False)
    assert finder.choose() == 1
    finder.began(1)
    finder.ended(1, 3600.0, hopeless=False)
    assert finder.choose() == 0


def test_a_camera_that_goes_away_is_not_the_clients_fault() -> None:
    finder, opener = WayFinder("tcp"), CameraOpener()
    for _ in range(2 * SHORT_SESSIONS):
        finder.began(finder.choose())
        opener.note_end(finder, 0, 7.0, DeviceError("the camera closed the connection"))
        opener.note_failure(finder, 0, CameraAwayError("refused"))
        assert finder.choose() == 0


def test_what_is_not_understood_is_not_tried_again() -> None:
    finder = WayFinder("tcp")
    finder.began(0)
    finder.ended(0, 5.0, hopeless=True)
    for _ in range(3):
        assert finder.choose() == 1
        finder.began(1)
        finder.ended(1, 3600.0, hopeless=False)
