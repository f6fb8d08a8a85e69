"""Why a camera's stream did not come, as far as it decides what is tried next (camera.py)."""

from unitd.errors import DeviceError


class CameraAwayError(DeviceError):
    """No connection at all: no other client and no other transport would do better."""


class SilentError(DeviceError):
    """The camera did not answer in time: it hangs, or the way to it swallows."""


class NotUnderstoodError(DeviceError):
    """The stream is of a kind that this client will never understand; another may."""


class PasswordRefusedError(DeviceError):
    """The camera does not take the name and password, or wants some and has none: asking on may lock the unit out."""


class MoreReorderError(DeviceError):
    """Pictures come in another order than they are shown in; the same client understands that, told `reorder`."""

    def __init__(self, words: str, reorder: int) -> None:
        super().__init__(words)
        self.reorder = reorder
