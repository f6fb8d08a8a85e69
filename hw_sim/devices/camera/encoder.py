"""Takes pictures of the street at a steady rate and encodes them, once for all clients of a profile."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from fractions import Fraction

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

from hw_sim.devices.camera.h264 import CLOCK_HZ, DELIMITER, IDR, PPS, SEI, SPS, AccessUnit, nal_type, split_annex_b
from hw_sim.devices.camera.profile import VideoProfile
from hw_sim.world.pose import Pose
from hw_sim.world.street import Street

log = logging.getLogger(__name__)

U8 = npt.NDArray[np.uint8]

_NOISE_SPAN = 64
_NOISE_SIGMA = 2.5


class H264Encoder:
    """libx264, ultrafast and zerolatency, a keyframe each second. One thread at a time."""

    def __init__(self, profile: VideoProfile) -> None:
        self.profile = profile
        self._codec = av.CodecContext.create("libx264", "w")
        self._codec.width, self._codec.height = profile.width, profile.height
        self._codec.pix_fmt = "yuv420p"
        self._codec.time_base = Fraction(1, CLOCK_HZ)
        self._codec.framerate = Fraction(profile.frame_rate)
        self._codec.bit_rate = profile.bit_rate
        self._codec.gop_size = profile.frame_rate * profile.keyframe_every_s
        self._codec.thread_count = 1
        self._codec.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "maxrate": str(profile.bit_rate),
            # Half a second of the rate: a keyframe may be about that large.
            "bufsize": str(max(1, profile.bit_rate // 2)),
            "x264-params": "scenecut=0:repeat-headers=1:aud=0",
        }
        self._sequence = 0

    def encode(self, rgb: U8, mono_ns: int, *, force_key: bool) -> AccessUnit | None:
        """One picture, taken at `mono_ns`; None when the codec gave nothing out (it does not, as set up)."""
        yuv = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), dtype=np.uint8)
        self._add_noise(yuv[: self.profile.height])
        frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        frame.pts = mono_ns * CLOCK_HZ // 1_000_000_000
        frame.time_base = Fraction(1, CLOCK_HZ)
        frame.pict_type = PictureType.I if force_key else PictureType.NONE
        packets = self._codec.encode(frame)
        if not packets:
            return None
        nals = [nal for packet in packets for nal in split_annex_b(bytes(packet))]
        wanted = tuple(nal for nal in nals if nal_type(nal) not in (SEI, DELIMITER))
        self._sequence += 1
        return AccessUnit(wanted, any(nal_type(nal) == IDR for nal in wanted), mono_ns, self._sequence)

    def _add_noise(self, luma: U8) -> None:
        """Sensor noise: without it the painted street would encode to a tenth of a real camera's bits."""
        height, width = luma.shape
        noise = _noise(width, height)
        shift = self._sequence * 37 % _NOISE_SPAN
        cv2.add(luma, noise[shift : shift + height, shift : shift + width], dst=luma, dtype=cv2.CV_8U)


_noises: dict[tuple[int, int], npt.NDArray[np.int8]] = {}


def _noise(width: int, height: int) -> npt.NDArray[np.int8]:
    key = (width, height)
    if key not in _noises:
        rng = np.random.default_rng(1)
        noise = rng.normal(0.0, _NOISE_SIGMA, (height + _NOISE_SPAN, width + _NOISE_SPAN))
        _noises[key] = np.clip(np.rint(noise), -8, 8).astype(np.int8)
    return _noises[key]


class Shutter:
    """One thread that pictures and encodes one profile while somebody wants it.

    `deliver` is called on that thread with each access unit and must not block.
    """

    def __init__(
        self, profile: VideoProfile, street: Street, pose: Callable[[], Pose], deliver: Callable[[AccessUnit], None]
    ) -> None:
        self.profile = profile
        self.frames = 0
        self.late_frames = 0
        """Pictures left out because the machine was too slow to take them in time."""
        self._street, self._pose, self._deliver = street, pose, deliver
        self._encoder = H264Encoder(profile)
        self._wanted = threading.Condition()
        self._running = False
        self._rested = True
        self._stopping = False
        self._key_asked = True
        first = self._take()
        sets = {nal_type(nal): nal for nal in (first.nals if first is not None else ())}
        if SPS not in sets or PPS not in sets:
            raise RuntimeError(f"profile {profile.name}: libx264 gave no parameter sets")
        self.parameter_sets = (sets[SPS], sets[PPS])
        """SPS and PPS: they are the same in every keyframe of this encoder."""
        self._thread = threading.Thread(target=self._run, name=f"camera-{profile.name}", daemon=True)
        self._thread.start()

    def run(self, running: bool) -> None:
        """Take pictures, or rest."""
        with self._wanted:
            self._rested = self._rested or not running
            self._running = running
            self._wanted.notify()

    def ask_key(self) -> None:
        """Take a keyframe at once, ahead of the next turn."""
        with self._wanted:
            self._key_asked = True
            self._wanted.notify()

    def stop(self) -> None:
        """End the thread; blocks for at most the time of a picture (5 s as a bound)."""
        with self._wanted:
            self._stopping = True
            self._wanted.notify()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        interval_s = 1.0 / self.profile.frame_rate
        due_s = time.monotonic()
        while True:
            with self._wanted:
                while not self._stopping:
                    if self._rested and self._running:
                        self._rested, due_s = False, time.monotonic()
                    wait_s = due_s - time.monotonic()
                    if self._running and (wait_s <= 0 or self._key_asked):
                        break
                    self._wanted.wait(wait_s if self._running else None)
                if self._stopping:
                    return
            try:
                unit = self._take()
                if unit is not None:
                    self._deliver(unit)
            except Exception:
                log.exception("camera profile %s could not take a picture", self.profile.name)
            now_s = time.monotonic()
            due_s += interval_s
            if due_s < now_s - interval_s:
                self.late_frames += int((now_s - due_s) / interval_s)
                due_s = now_s

    def _take(self) -> AccessUnit | None:
        with self._wanted:
            force_key, self._key_asked = self._key_asked, False
        mono_ns = time.monotonic_ns()
        pose = self._pose()
        picture = self._street.view(
            pose.pan_deg, pose.tilt_deg, pose.zoom, self.profile.width, self.profile.height, mono_ns
        )
        unit = self._encoder.encode(picture, mono_ns, force_key=force_key)
        self.frames += 1
        return unit
