"""What is recorded plays anywhere: frame count and times are the camera's, and ffmpeg, GStreamer, VLC and a browser
decode every picture of the joined film.

The camera knows what it sent. H.264 with B-frames and sound in `make test`; every combination, and VLC, which takes its
time, with UNITD_TEST_LONG=1.
"""

import asyncio
import functools
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import chromium
from tests.browser.chromium import until as page_until
from tests.contract.rtsp_bench import Bench, SimCamera, until
from unitd.messages.workers import OpenIncident
from unitd.store.segment import read_header

pytestmark = pytest.mark.system

LONG = bool(os.environ.get("UNITD_TEST_LONG"))
KINDS: list[tuple[str, ...]] = [("--b-frames", "2", "--sound", "pcma")]
if LONG:
    KINDS = [
        (*codec, *between, "--sound", sound)
        for codec in ((), ("--codec", "h265"))
        for between in ((), ("--b-frames", "2"))
        for sound in ("none", "aac", "pcma", "pcmu", "opus")
    ]
SEGMENTS = 6 if LONG else 2


def shown(path: Path, stream: str = "v:0") -> list[dict[str, Any]]:
    """The packets of a file, as ffprobe sees them."""
    command = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        stream,
        "-show_entries",
        "packet=pts,dts,flags:stream=time_base",
    ]
    out = subprocess.run([*command, "-of", "json", str(path)], check=True, capture_output=True, text=True)
    assert out.stderr == ""
    found = json.loads(out.stdout)
    assert not found.get("packets") or found["streams"][0]["time_base"] == "1/90000" or stream != "v:0"
    packets: list[dict[str, Any]] = found.get("packets", [])
    return packets


def decoded_by_ffmpeg(path: Path, stream: str = "v:0") -> int:
    """How many frames FFmpeg decodes, without a word of complaint."""
    command = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        stream,
        "-count_frames",
        "-show_entries",
        "stream=nb_read_frames",
    ]
    out = subprocess.run([*command, "-of", "csv=p=0", str(path)], check=True, capture_output=True, text=True)
    assert out.stderr == "", out.stderr
    return int(out.stdout.strip().strip(",").replace("N/A", "0") or 0)


GST = """
import sys, gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
pipeline = Gst.parse_launch(
    "uridecodebin name=d d. ! queue ! videoconvert ! video/x-raw,format=I420 ! fakesink name=s sync=false"
    + (" d. ! queue ! audioconvert ! audio/x-raw ! fakesink sync=false name=a" if sys.argv[2] == "sound" else "")
)
pipeline.get_by_name("d").set_property("uri", "file://" + sys.argv[1])
counts = {}
for name in "sa":
    sink = pipeline.get_by_name(name)
    if sink is not None:
        counts[name] = 0
        def seen(pad, info, name=name):
            counts[name] += 1
            return Gst.PadProbeReturn.OK
        sink.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, seen)
pipeline.set_state(Gst.State.PLAYING)
message = pipeline.get_bus().timed_pop_filtered(60 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
print(counts["s"], counts.get("a", 0), message.type == Gst.MessageType.EOS if message else None)
pipeline.set_state(Gst.State.NULL)
"""


def decoded_by_gstreamer(path: Path, *, sound: bool) -> tuple[int, int]:
    """How many pictures and buffers of sound GStreamer decodes."""
    command = ["/usr/bin/python3", "-c", GST, str(path), "sound" if sound else "-"]
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=90)
    pictures, heard, ended = out.stdout.split()
    assert ended == "True", out.stderr
    return int(pictures), int(heard)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(directory: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(directory))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


async def played_in_a_browser(path: Path) -> dict[str, Any]:
    """Play the file to its end; what the browser says of it."""
    (path.parent / "page.html").write_text(
        f'<video id="v" muted src="{path.name}"></video><script>'
        'const v = document.getElementById("v"); v.onended = () => { window.done = "ended"; };'
        'v.onerror = () => { window.done = v.error.message || "error"; };'
        "v.playbackRate = 2; v.play().catch(() => {});</script>"
    )
    with served(path.parent) as url:
        async with chromium() as browser:
            page = await browser.new_page()
            await page.goto(f"{url}/page.html")
            done = await page_until(page, "window.done", 40.0)
            said = await page.evaluate(
                "() => { const v = document.getElementById('v'), q = v.getVideoPlaybackQuality();"
                " return { frames: q.totalVideoFrames, duration: v.duration, width: v.videoWidth,"
                " sound: v.webkitAudioDecodedByteCount } }"
            )
    return {"done": done, **said}


def decoded_by_vlc(path: Path) -> int:
    """How many pictures VLC decodes: each is written as a raw picture. Never as root, who it refuses to serve."""
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o777)
        raw = Path(home) / "pictures"
        chain = f"#transcode{{vcodec=I420}}:std{{access=file,mux=dummy,dst={raw}}}"
        command = [
            "env",
            f"HOME={home}",
            "cvlc",
            "--no-audio",
            "--sout",
            chain,
            "/dev/stdin",
            "--demux=mp4",
            "vlc://quit",
        ]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        with path.open("rb") as stdin:
            subprocess.run(command, stdin=stdin, capture_output=True, timeout=90, check=True)
        return raw.stat().st_size // (320 * 180 * 3 // 2)


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_what_a_camera_sent_is_in_the_files_and_plays(kind: tuple[str, ...], tmp_path: Path) -> None:
    with_sound, h265 = kind[-1] != "none", "h265" in kind
    camera = SimCamera(tmp_path, *kind)
    bench = Bench(tmp_path, camera)
    bench.core.want(incident=OpenIncident(incident_id="one", kind="panic", stage="calling", raised_mono_ns=0))
    bench.lock("one")
    try:
        with bench.process("record"):
            until(lambda: len(bench.core.named("segment_closed")) >= SEGMENTS, "segments", 40.0)
        sent = [pts for pts, _ in camera.ask(op="sent")["sent"]]
    finally:
        camera.close()
    judge_segments(bench.segments(), sent, with_sound=with_sound, open_gop=h265)
    film = tmp_path / "film.mp4"
    export = [
        sys.executable,
        "-m",
        "unitd",
        "export",
        "--config",
        str(bench.config),
        "--incident",
        "one",
        "--output",
        str(film),
    ]
    subprocess.run(export, check=True, capture_output=True)
    bench.core.close()
    pictures = len(shown(film))
    assert pictures == sum(len(shown(path)) for path in bench.segments())
    times = [int(packet["pts"]) for packet in shown(film)]
    assert [mine - times[0] for mine in times] == [theirs - sent[0] for theirs in sent[: len(times)]]
    assert decoded_by_ffmpeg(film) == pictures
    in_gst, heard = decoded_by_gstreamer(film, sound=with_sound)
    assert in_gst == pictures
    assert (heard > 0) == with_sound
    if LONG:
        assert pictures * 3 // 4 <= decoded_by_vlc(film) <= pictures  # it drops what is late on a busy machine
    if not h265:  # Debian's Chromium has no H.265 decoder
        said = asyncio.run(played_in_a_browser(film))
        assert said["done"] == "ended", said
        assert said["width"] == 320
        assert pictures - 3 <= said["frames"] <= pictures, said
        assert (said["sound"] > 0) == with_sound, said


def judge_segments(paths: list[Path], sent: list[int], *, with_sound: bool, open_gop: bool) -> None:
    """Every segment plays by itself; together they hold what was sent, each picture at its time, none twice.

    Of an open GOP (x265's own choice) the pictures shown before the keyframe need the segment before; the film has it.
    """
    recorded: list[int] = []
    shift: set[int] = set()
    for path in paths:
        header, packets = read_header(path), shown(path)
        assert packets[0]["flags"].startswith("K")
        base = int(packets[0]["pts"])
        leading = sum(int(packet["pts"]) < base for packet in packets) if open_gop else 0
        assert len(packets) - leading <= decoded_by_ffmpeg(path) <= len(packets)
        recorded += [header.pts_90khz + int(packet["pts"]) - base for packet in packets]
        if with_sound and path != paths[-1]:  # the last may be over before its first frame of sound
            assert decoded_by_ffmpeg(path, "a:0") > 0
    shift = {mine - theirs for mine, theirs in zip(recorded, sent, strict=False)}
    assert len(shift) == 1, sorted(shift)[:5]
    assert len(recorded) >= len(sent) - 3
