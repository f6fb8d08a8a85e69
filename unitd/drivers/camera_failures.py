"""Why a camera's stream did not come, as far as it decides what is tried next (camera.py)."""

from unitd.errors import DeviceError


class CameraAwayError(DeviceError):
    """No connection at all: no other client and no other transport would do better."""


class NotUnderstoodError(DeviceError):
    """The stream is of a kind that this client will never understand; another may."""
