"""Opens a camera's stream with the driver that understands it."""

from unitd.config import CameraTable
from unitd.drivers.camera_libav import LibavStream
from unitd.drivers.camera_rtsp import RtspStream
from unitd.drivers.rtsp_session import UnsupportedStreamError
from unitd.messages.media import Profile


class CameraOpener:
    """Our own RTSP client first; for a stream that it does not understand FFmpeg's, from then on. Thread-safe."""

    def __init__(self) -> None:
        self._libav: set[tuple[str, Profile]] = set()

    def open(self, camera: CameraTable, profile: Profile) -> RtspStream | LibavStream:
        """A session with the camera; blocks up to a few seconds. Raises DeviceError."""
        if (camera.name, profile) not in self._libav:
            try:
                stream = RtspStream(camera, profile)
            except UnsupportedStreamError:
                self._libav.add((camera.name, profile))
            else:
                stream.on_unsupported = lambda: self._libav.add((camera.name, profile))
                return stream
        return LibavStream(camera, profile)
