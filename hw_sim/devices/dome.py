"""A simulated Pelco-D dome on a pseudo-terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from hw_sim.devices.pelco_d import EXTENDED_BIT, Extended, Frame, FrameReader, Motor
from hw_sim.devices.pty_port import PtyPort
from hw_sim.devices.ptz_motion import PAN_TURBO_STEP, STOPPED, Mechanics, PtzMotion, Rates
from hw_sim.world.pose import HOME, Pose

PRESET_PANEL = 1
PRESET_LEFT = 2
PRESET_RIGHT = 3
PRESET_WIDE = 4
PRESET_CROSSING = 5

PRESETS: dict[int, Pose] = {
    PRESET_PANEL: Pose(pan_deg=3.2, tilt_deg=-19.4, zoom=3.6),
    PRESET_LEFT: Pose(pan_deg=-48.0, tilt_deg=-9.0, zoom=1.2),
    PRESET_RIGHT: Pose(pan_deg=50.0, tilt_deg=-9.0, zoom=1.2),
    PRESET_WIDE: HOME,
    PRESET_CROSSING: Pose(pan_deg=-37.0, tilt_deg=-11.5, zoom=2.5),
}
"""As the installer left them: the panel close up, the street to either side, everything, the crossing."""

_PRESET_ZERO_PAN = 0x22


class SimDome:
    """A dome at one Pelco-D address: moves, remembers presets, answers position queries and nothing else.

    Thread-safe. `link` is a path that always leads to its present PTY.
    """

    def __init__(
        self,
        address: int = 1,
        *,
        link: Path | None = None,
        mechanics: Mechanics | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.address = address
        self.presets: dict[int, Pose] = dict(PRESETS)
        self.frames = 0
        """Frames for this address that were obeyed."""
        self.ignored_frames = 0
        """Well-formed frames for another address, or with a command it does not know."""
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._motion = PtzMotion(clock_ns(), mechanics)
        self._reader = FrameReader()
        self._hung = False
        self._port = PtyPort(self._received, name="dome", link=link)

    @property
    def path(self) -> Path:
        """The serial port the driver opens."""
        return self._port.path

    @property
    def plugged(self) -> bool:
        """Whether the serial port exists at present."""
        return self._port.plugged

    @property
    def bad_frames(self) -> int:
        """Seven-byte windows whose checksum was wrong."""
        return self._reader.bad_frames

    def pose(self) -> Pose:
        """Where it looks now."""
        with self._lock:
            return self._motion.pose(self._clock_ns())

    @property
    def moving(self) -> bool:
        """Whether a motor is on or a preset is being approached."""
        with self._lock:
            return self._motion.moving(self._clock_ns())

    def hang(self, hung: bool) -> None:
        """Fault: the electronics ignore every byte; a head that moves goes on moving."""
        self._hung = hung

    def unplug(self) -> None:
        """Fault: the serial adapter is pulled out. The head keeps doing what it did."""
        self._port.unplug()

    def plug(self) -> None:
        """The serial adapter is back, under a new PTY and the same link."""
        self._port.plug()

    def close(self) -> None:
        """End its thread and remove the port."""
        self._port.close()

    def _received(self, data: bytes) -> None:
        if self._hung:
            return
        for frame in self._reader.feed(data):
            if frame.address == self.address and self._obey(frame):
                self.frames += 1
            else:
                self.ignored_frames += 1

    def _obey(self, frame: Frame) -> bool:
        if frame.command2 & EXTENDED_BIT:
            return self._extended(frame)
        now_ns = self._clock_ns()
        with self._lock:
            self._motion.drive(self._rates(frame), now_ns)
        return True

    def _rates(self, frame: Frame) -> Rates:
        m, motion, bits = self._motion.mechanics, self._motion, frame.command2
        pan = m.pan_turbo_deg_s if frame.data1 >= PAN_TURBO_STEP else motion.speed_deg_s(frame.data1, m.pan_max_deg_s)
        tilt = motion.speed_deg_s(frame.data2, m.tilt_max_deg_s)
        return Rates(
            pan_deg_s=pan * (bool(bits & Motor.RIGHT) - bool(bits & Motor.LEFT)),
            tilt_deg_s=tilt * (bool(bits & Motor.UP) - bool(bits & Motor.DOWN)),
            zoom=float(bool(bits & Motor.TELE) - bool(bits & Motor.WIDE)),
        )

    def _extended(self, frame: Frame) -> bool:
        now_ns = self._clock_ns()
        number = frame.data2
        with self._lock:
            pose = self._motion.pose(now_ns)
            match frame.command2:
                case Extended.SET_PRESET if number:
                    self.presets[number] = pose
                case Extended.CLEAR_PRESET if number:
                    self.presets.pop(number, None)
                case Extended.GO_PRESET if number:
                    self._go_preset(number, pose, now_ns)
                case Extended.REMOTE_RESET:
                    self._motion.go(HOME, now_ns)
                case Extended.QUERY_PAN:
                    self._answer(Extended.ANSWER_PAN, round(pose.pan_deg % 360 * 100) % 36_000)
                case Extended.QUERY_TILT:
                    # Tilt counts downwards from the horizon; above it, from 360 degrees down.
                    self._answer(Extended.ANSWER_TILT, round(-pose.tilt_deg % 360 * 100) % 36_000)
                case Extended.QUERY_ZOOM:
                    m = self._motion.mechanics
                    share = (pose.zoom - m.zoom_min) / (m.zoom_max - m.zoom_min)
                    self._answer(Extended.ANSWER_ZOOM, round(share * 0xFFFF))
                case _:
                    return False
        return True

    def _go_preset(self, number: int, pose: Pose, now_ns: int) -> None:
        target = self.presets.get(number)
        if target is not None:
            self._motion.go(target, now_ns)
        elif number == _PRESET_ZERO_PAN:
            self._motion.go(Pose(0.0, pose.tilt_deg, pose.zoom), now_ns)
        else:
            # An empty preset still ends what the motors did, as most domes do.
            self._motion.drive(STOPPED, now_ns)

    def _answer(self, command2: int, value: int) -> None:
        self._port.write(Frame(self.address, 0, command2, value >> 8, value & 0xFF).pack())
