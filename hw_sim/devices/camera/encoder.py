"""Takes pictures of the street at a steady rate and encodes them, once for all clients of a profile."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

from hw_sim.devices.camera import h265
from hw_sim.devices.camera.h264 import CLOCK_HZ, DELIMITER, IDR, PPS, SEI, SPS, AccessUnit, nal_type, split_annex_b
from hw_sim.devices.camera.profile import VideoProfile
from hw_sim.world.pose import Pose
from hw_sim.world.street import Street

log = logging.getLogger(__name__)

U8 = npt.NDArray[np.uint8]

_MOST_DELAYED = 40
_NOISE_SPAN = 64
_NOISE_SIGMA = 2.5


class PictureEncoder:
    """libx264 or libx265, ultrafast, without delay but for B-frames. One thread at a time."""

    def __init__(self, profile: VideoProfile) -> None:
        self.profile = profile
        self._codec = av.CodecContext.create("libx265" if profile.codec == "h265" else "libx264", "w")
        self._codec.width, self._codec.height = profile.width, profile.height
        self._codec.pix_fmt = "yuv420p"
        self._codec.time_base = Fraction(1, CLOCK_HZ)
        self._codec.framerate = Fraction(profile.frame_rate)
        self._codec.bit_rate = profile.bit_rate
        self._codec.gop_size = profile.frame_rate * profile.keyframe_every_s
        self._codec.thread_count = 1
        self._codec.options = _h265_options(profile) if profile.codec == "h265" else _h264_options(profile)
        self._sequence = 0
        self._taken_ns: dict[int, int] = {}

    def encode(self, rgb: U8, mono_ns: int, *, force_key: bool) -> AccessUnit | None:
        """One picture, taken at `mono_ns`; None while B-frames are waited for."""
        yuv = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), dtype=np.uint8)
        self._add_noise(yuv[: self.profile.height])
        frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        frame.pts = mono_ns * CLOCK_HZ // 1_000_000_000
        frame.time_base = Fraction(1, CLOCK_HZ)
        frame.pict_type = PictureType.I if force_key else PictureType.NONE
        self._taken_ns[frame.pts] = mono_ns
        packets = self._codec.encode(frame)
        if not packets:
            return None
        taken_ns = self._taken_ns.pop(packets[0].pts or 0, mono_ns)
        nals = [nal for packet in packets for nal in split_annex_b(bytes(packet))]
        self._sequence += 1
        if self.profile.codec == "h265":
            plain = (h265.DELIMITER, h265.SEI_BEFORE, h265.SEI_AFTER)
            wanted = tuple(nal for nal in nals if h265.nal_type(nal) not in plain)
            return AccessUnit(wanted, any(h265.is_key(nal) for nal in wanted), taken_ns, self._sequence)
        wanted = tuple(nal for nal in nals if nal_type(nal) not in (SEI, DELIMITER))
        return AccessUnit(wanted, any(nal_type(nal) == IDR for nal in wanted), taken_ns, self._sequence)

    def _add_noise(self, luma: U8) -> None:
        """Sensor noise: without it the painted street would encode to a tenth of a real camera's bits."""
        height, width = luma.shape
        noise = _noise(width, height)
        shift = self._sequence * 37 % _NOISE_SPAN
        cv2.add(luma, noise[shift : shift + height, shift : shift + width], dst=luma, dtype=cv2.CV_8U)


def _h264_options(profile: VideoProfile) -> dict[str, str]:
    return {
        "preset": "ultrafast",
        **({"bf": str(profile.b_frames), "rc-lookahead": "0"} if profile.b_frames else {"tune": "zerolatency"}),
        "profile": "main" if profile.b_frames else "baseline",
        "forced-idr": "1",
        "maxrate": str(profile.bit_rate),
        # Half a second of the rate: a keyframe may be about that large.
        "bufsize": str(max(1, profile.bit_rate // 2)),
        "x264-params": "scenecut=0:repeat-headers=1:aud=0:b-adapt=0:sync-lookahead=0",
    }


def _h265_options(profile: VideoProfile) -> dict[str, str]:
    words = f"bframes={profile.b_frames}:b-adapt=0:rc-lookahead={profile.b_frames + 2}" if profile.b_frames else ""
    return {
        "preset": "ultrafast",
        **({} if profile.b_frames else {"tune": "zerolatency"}),
        "forced-idr": "1",
        "x265-params": f"log-level=none:pools=1:frame-threads=1:scenecut=0:repeat-headers=1:{words}".rstrip(":"),
    }


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
        self._encoder = PictureEncoder(profile)
        self._changed: VideoProfile | None = None
        self._wanted = threading.Condition()
        self._running = False
        self._rested = True
        self._stopping = False
        self._key_asked = True
        self.parameter_sets: tuple[bytes, ...] = ()
        """VPS (H.265), SPS and PPS: they are the same in every keyframe of one encoder."""
        self._thread = threading.Thread(target=self._run, name=f"camera-{profile.name}", daemon=True)
        for _ in range(_MOST_DELAYED):
            self._learn(self._take())
            if self.parameter_sets:
                break
        else:
            raise RuntimeError(f"profile {profile.name}: the encoder gave no parameter sets")
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

    def change(self) -> None:
        """Other parameters from now on: half the size, or the whole again."""
        whole = self._encoder.profile == self.profile
        half = replace(self.profile, width=self.profile.width // 4 * 2, height=self.profile.height // 4 * 2)
        self._changed = half if whole else self.profile

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
        if self._changed is not None:
            self._encoder, self._changed = PictureEncoder(self._changed), None
        mono_ns = time.monotonic_ns()
        pose = self._pose()
        size = self._encoder.profile
        picture = self._street.view(pose.pan_deg, pose.tilt_deg, pose.zoom, size.width, size.height, mono_ns)
        unit = self._encoder.encode(picture, mono_ns, force_key=force_key)
        self.frames += 1
        return unit

    def _learn(self, unit: AccessUnit | None) -> None:
        kinds: tuple[int, ...] = (h265.VPS, h265.SPS, h265.PPS) if self.profile.codec == "h265" else (SPS, PPS)
        kind_of = h265.nal_type if self.profile.codec == "h265" else nal_type
        sets = {kind_of(nal): nal for nal in (unit.nals if unit is not None else ())}
        if all(kind in sets for kind in kinds):
            self.parameter_sets = tuple(sets[kind] for kind in kinds)
