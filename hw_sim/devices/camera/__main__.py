"""The simulated camera as a process of its own: `python -m hw_sim.devices.camera`.

Prints one JSON line when it listens, `{"op":"ready","port":N,"urls":{...},"control":PATH}`, and runs until
SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

from hw_sim.devices.camera.control_server import ControlServer, HeldPose
from hw_sim.devices.camera.profile import DEFAULT_PROFILES, VideoProfile, parse_profile
from hw_sim.devices.camera.server import CameraServer
from hw_sim.devices.camera.sound import SoundCodec
from hw_sim.world.street import Street

_PARENT_CHECK_S = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Run the camera; 0 after a signal, 2 for bad arguments or a port that is taken."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="camera: %(levelname)s %(message)s")
    try:
        profiles = tuple(_profile(name, getattr(options, name), options) for name in ("main", "sub"))
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(_run(options, profiles))
    except OSError as error:
        print(f"camera: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hw_sim.devices.camera",
        description="A simulated network camera: H.264 or H.265 by RTSP (TCP and UDP) at /main and /sub.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="RTSP port; 0 takes a free one (default)")
    for profile in DEFAULT_PROFILES:
        spec = f"{profile.width}x{profile.height}@{profile.frame_rate}:{profile.bit_rate}"
        parser.add_argument(f"--{profile.name}", default=spec, metavar="WxH@FPS[:BPS]", help=f"default {spec}")
    parser.add_argument("--codec", choices=("h264", "h265"), default="h264", help="default %(default)s")
    parser.add_argument("--b-frames", type=int, default=0, help="pictures between two that come before them")
    parser.add_argument("--keyframe-every", type=int, default=1, metavar="S", help="seconds (default %(default)s)")
    parser.add_argument("--no-key-at-play", action="store_true", help="a client waits for the next keyframe")
    sounds = get_args(SoundCodec)
    parser.add_argument("--sound", choices=sounds, default="none", help="a beep each second (default %(default)s)")
    parser.add_argument("--control", type=Path, help="unix socket for the bench (see control.py)")
    parser.add_argument("--seed", type=int, default=1, help="which street (default %(default)s)")
    parser.add_argument("--name", default="dome", help="the camera's name in the picture")
    parser.add_argument("--user", help="ask for this user (Digest or Basic)")
    parser.add_argument("--password-file", type=Path, help="file with the password")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when the starting process does")
    return parser


def _profile(name: str, spec: str, options: argparse.Namespace) -> VideoProfile:
    return replace(
        parse_profile(name, spec),
        codec=options.codec,
        b_frames=options.b_frames,
        keyframe_every_s=options.keyframe_every,
        key_at_play=not options.no_key_at_play,
    )


async def _run(options: argparse.Namespace, profiles: tuple[VideoProfile, ...]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    street = Street(options.seed, camera_name=options.name)
    pose = HeldPose()
    password = options.password_file.read_text().strip() if options.password_file else ""
    camera = CameraServer(
        street, pose, profiles, options.host, options.port, user=options.user, password=password, sound=options.sound
    )
    control = ControlServer(camera, street, pose, tuple(profile.name for profile in profiles))
    watch = asyncio.create_task(_watch_parent(stop)) if options.exit_with_parent else None
    await camera.start()
    try:
        if options.control is not None:
            await control.start(options.control)
        ready = {"op": "ready", **control.where(), "control": str(options.control) if options.control else None}
        print(json.dumps(ready), flush=True)
        await stop.wait()
    finally:
        if watch is not None:
            watch.cancel()
        control.stop()
        await camera.stop()
        if options.control is not None:
            options.control.unlink(missing_ok=True)


async def _watch_parent(stop: asyncio.Event) -> None:
    parent = os.getppid()
    while not stop.is_set():
        await asyncio.sleep(_PARENT_CHECK_S)
        if os.getppid() != parent:
            stop.set()


if __name__ == "__main__":
    sys.exit(main())
