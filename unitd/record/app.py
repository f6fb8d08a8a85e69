"""Composition root of `unitd record`."""

import ssl
from pathlib import Path

from unitd.config import Config
from unitd.drivers.camera import CameraOpener
from unitd.drivers.tls import client_context
from unitd.record.recorder import Recorder
from unitd.record.server import MediaServer
from unitd.record.stills import Stills
from unitd.record.uploads import Uploads, putter
from unitd.record.voices import Voices
from unitd.runtime.supervise import Service
from unitd.runtime.worker import Frame, run_worker


def main(config: Config) -> int:
    """Record until SIGTERM; returns the exit status."""
    return run_worker("record", config, build)


def build(frame: Frame) -> list[Service]:
    """The services of this process, on its running loop."""
    recorder = Recorder(frame, CameraOpener().open)
    server = MediaServer(Path(frame.config.paths.run_dir) / "record.sock", recorder.find, frame.log)
    tls = frame.config.upload
    clock = frame.clock

    def context() -> ssl.SSLContext:
        return client_context(tls.ca_file, tls.cert_file, tls.key_file, clock.stamp, clock.lower_bound_utc_s)

    uploads = Uploads(frame, putter(frame, context))
    services = [
        Service("recorder", recorder.run, vital=True),
        Service("durability", recorder.follow),
        Service("room", recorder.room.run),
        Service("record.sock", server.run),
        Service("uploads", uploads.run),
    ]
    if frame.config.evidence.stills:
        services.append(Service("stills", Stills(frame, recorder.ring, recorder.pictures).run))
    if frame.config.evidence.audio and frame.config.sound is not None:
        voices = Voices(frame, recorder.ring, recorder.closed_from_thread)
        recorder.more_faults = voices.faults
        services.append(Service("voices", voices.run))
    return services
