"""Cameras of another maker: gst-rtsp-server in a process of its own, with what they can send."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.rtsp_bench import LIMIT_S

SERVER = Path(__file__).with_name("gst_camera.py")
SOURCE = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=180,framerate=20/1 ! "
PLAIN = SOURCE + (
    "x264enc speed-preset=ultrafast tune=zerolatency key-int-max=20 bitrate=400 ! rtph264pay name=pay0 pt=96"
)
SLICES = SOURCE + (
    "x264enc speed-preset=ultrafast tune=zerolatency sliced-threads=true threads=4 key-int-max=20 bitrate=400"
    " ! video/x-h264,stream-format=byte-stream ! rtph264pay config-interval=1 name=pay0 pt=98 mtu=600"
)
B_FRAMES = SOURCE + (
    "x264enc speed-preset=veryfast bframes=2 b-adapt=false rc-lookahead=2 option-string=sync-lookahead=0"
    " key-int-max=20 bitrate=400"
    " ! video/x-h264,profile=main ! rtph264pay name=pay0 pt=96"
)
H265 = SOURCE + (
    "x265enc speed-preset=ultrafast tune=zerolatency key-int-max=20 bitrate=400"
    " ! rtph265pay name=pay0 pt=96 config-interval=1"
)
H265_B_FRAMES = SOURCE + (
    "x265enc speed-preset=ultrafast key-int-max=20 bitrate=400 option-string=bframes=3:b-adapt=0:rc-lookahead=5"
    " ! rtph265pay name=pay0 pt=96 config-interval=1"
)
AUDIO = "audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 pt=8"


@contextmanager
def gst_camera(**asked: Any) -> Iterator[str]:
    """The address of a stream of gst-rtsp-server's."""
    command = ["/usr/bin/python3", str(SERVER), json.dumps(asked)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"rtsp://127.0.0.1:{int(process.stdout.readline())}/stream"
    finally:
        process.stdin.close()
        try:
            process.wait(LIMIT_S)
        finally:
            process.kill()
            process.stdout.close()
