"""A simulated network camera that shows the street through the dome.

`CameraServer` is imported when first asked for: a bench that only drives a camera process has no need of
the codecs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hw_sim.devices.camera.control import ControlClient, ControlError
from hw_sim.devices.camera.faults import FAULTS, Fault
from hw_sim.devices.camera.profile import DEFAULT_PROFILES, TEST_PROFILES, VideoProfile

if TYPE_CHECKING:
    from hw_sim.devices.camera.server import CameraServer

__all__ = [
    "DEFAULT_PROFILES",
    "FAULTS",
    "TEST_PROFILES",
    "CameraServer",
    "ControlClient",
    "ControlError",
    "Fault",
    "VideoProfile",
]


def __getattr__(name: str) -> type[CameraServer]:
    if name == "CameraServer":
        from hw_sim.devices.camera.server import CameraServer

        return CameraServer
    raise AttributeError(name)
