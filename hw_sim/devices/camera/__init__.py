"""A simulated network camera that shows the street through the dome."""

from hw_sim.devices.camera.control import ControlClient
from hw_sim.devices.camera.profile import DEFAULT_PROFILES, TEST_PROFILES, VideoProfile
from hw_sim.devices.camera.server import FAULTS, CameraServer, Fault

__all__ = ["DEFAULT_PROFILES", "FAULTS", "TEST_PROFILES", "CameraServer", "ControlClient", "Fault", "VideoProfile"]
