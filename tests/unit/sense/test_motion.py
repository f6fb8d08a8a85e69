"""Motion: what moves in the picture counts, what moves the picture does not."""

import itertools

import numpy as np

from unitd.sense.motion import HEIGHT, LEARN_S, WIDTH, Motion, MotionDetector, Picture

STEP_S = 0.2


class Scene:
    """A noisy street, seen five times a second."""

    def __init__(self, detector: MotionDetector, seed: int = 1) -> None:
        self._detector = detector
        self._noise = np.random.default_rng(seed)
        self.street = self._noise.integers(60, 180, (HEIGHT, WIDTH))
        self.now = 1000.0
        self.found: list[tuple[float, Motion]] = []

    def watch(self, seconds: float, *, person_at: int | None = None, walking: int = 0, light: int = 0) -> None:
        for step in range(round(seconds / STEP_S)):
            picture = self.street + self._noise.normal(0, 3, self.street.shape) + light
            if person_at is not None:
                x = person_at + walking * step
                picture[60:140, x : x + 30] = 240
            self.now += STEP_S
            frame: Picture = np.clip(picture, 0, 255).astype(np.uint8)
            motion = self._detector.look(frame, self.now)
            if motion is not None:
                self.found.append((self.now, motion))


def test_a_person_is_one_report_and_an_empty_street_is_none() -> None:
    scene = Scene(MotionDetector(area_percent=1.0, hold_off_s=10.0))
    scene.watch(LEARN_S + 20)
    assert scene.found == []
    appeared = scene.now
    scene.watch(4, person_at=20, walking=8)
    assert len(scene.found) == 1
    at, motion = scene.found[0]
    assert at - appeared <= 3 * STEP_S
    assert 2.0 < motion.area_percent < 15.0


def test_after_the_hold_off_motion_is_reported_again() -> None:
    scene = Scene(MotionDetector(area_percent=1.0, hold_off_s=5.0))
    scene.watch(LEARN_S + 5)
    scene.watch(7, person_at=20, walking=6)
    assert [round(b[0] - a[0], 1) >= 5.0 for a, b in itertools.pairwise(scene.found)] == [True]


def test_nothing_is_reported_while_the_background_is_learnt() -> None:
    detector = MotionDetector(area_percent=1.0, hold_off_s=1.0)
    scene = Scene(detector)
    scene.watch(LEARN_S - 1, person_at=20, walking=8)
    assert scene.found == []
    assert detector.learning(scene.now)


def test_a_dome_that_turns_is_not_motion_and_the_new_view_is_learnt() -> None:
    detector = MotionDetector(area_percent=1.0, hold_off_s=1.0)
    scene = Scene(detector)
    scene.watch(LEARN_S + 5)
    scene.street = 255 - np.roll(scene.street, 90, axis=1)
    scene.watch(LEARN_S + 10)
    assert scene.found == []
    assert detector.relearned >= 1
    scene.watch(0.8, person_at=100, walking=8)
    assert len(scene.found) == 1


def test_lamps_that_go_on_are_not_motion() -> None:
    scene = Scene(MotionDetector(area_percent=1.0, hold_off_s=1.0))
    scene.watch(LEARN_S + 5)
    scene.watch(10, light=60)
    assert scene.found == []


def test_a_small_thing_below_the_configured_area_is_not_motion() -> None:
    scene = Scene(MotionDetector(area_percent=20.0, hold_off_s=1.0))
    scene.watch(LEARN_S + 5)
    scene.watch(4, person_at=20, walking=8)
    assert scene.found == []
