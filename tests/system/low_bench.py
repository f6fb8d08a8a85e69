"""A street that a camera filmed, decoded and ready to be encoded again."""

import functools
import threading
import time

from hw_sim.devices.camera.encoder import PictureEncoder
from hw_sim.devices.camera.profile import VideoProfile
from hw_sim.world.street import Street
from unitd.call.picture.decoder import Decoder, Picture
from unitd.call.picture.low_encoder import LowEncoder
from unitd.call.picture.units import AccessUnit

FPS = 15


@functools.cache
def filmed(seconds: int, width: int = 640, height: int = 360) -> tuple[AccessUnit, ...]:
    """Access units of a sub stream: a keyframe a second, sensor noise, a caller and a dome that pans."""
    street = Street()
    street.set_caller(True, 0)
    encoder = PictureEncoder(VideoProfile("sub", width, height, FPS, 600_000))
    units = []
    for index in range(seconds * FPS):
        at_ns = 1_000_000_000 + index * 1_000_000_000 // FPS
        pan_deg = 10.0 * max(0.0, min(1.0, index / FPS - 2))
        made = encoder.encode(street.view(pan_deg, 0.0, 1.0, width, height, at_ns), at_ns, force_key=False)
        assert made is not None
        data = b"".join(b"\x00\x00\x00\x01" + nal for nal in made.nals)
        units.append(AccessUnit(data, made.is_key, at_ns, time.monotonic_ns()))
    return tuple(units)


def wait_for(condition: "functools.partial[bool] | object", seconds: float, what: str) -> None:
    """Wait on this thread; a failure says `what` did not come true."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.002)


def decoded(units: tuple[AccessUnit, ...]) -> list[Picture]:
    """Every picture of them."""
    pictures: list[Picture] = []
    decoder = Decoder(pictures.append)
    decoder.start()
    for index, unit in enumerate(units):
        decoder.push(unit)
        wait_for(lambda least=index - 30: len(pictures) > least, 5, "decoded")
    wait_for(lambda: len(pictures) == len(units), 5, f"all decoded: {len(pictures)}")
    decoder.stop()
    return pictures


class Bench:
    """An encoder that gets its pictures as fast as it takes them."""

    def __init__(self, name: str, bit_s: float) -> None:
        self.out: list[AccessUnit] = []
        self.threads = threading.active_count()
        self.encoder = LowEncoder(name, bit_s, self.out.append)
        self.encoder.start()

    def encode(self, pictures: list[Picture]) -> list[AccessUnit]:
        """What came out for these."""
        before = len(self.out)
        for picture in pictures:
            self.encoder.show(picture)
            wait_for(lambda: self.encoder.made == self.encoder.taken, 5, "encoded")
        return self.out[before:]
