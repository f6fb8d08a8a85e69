"""What our muxer writes of pictures is what FFmpeg's writes, packet by packet, and GStreamer plays it."""

import json
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from unitd.messages.media import AccessUnit, AudioInfo, AudioUnit, StreamInfo
from unitd.record.muxer import FragmentMuxer, SoundMuxer

WIDTH, HEIGHT, FPS, SECONDS = 320, 180, 20, 3
TICK = Fraction(1, 90_000)
STEP = 90_000 // FPS
CODINGS = {
    "h264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "annexb=1:repeat-headers=1"}),
    "h264 with B-frames": ("libx264", {"preset": "fast", "x264-params": "annexb=1:repeat-headers=1:bframes=3"}),
    "h264 in slices": (
        "libx264",
        {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "annexb=1:repeat-headers=1:slices=4"},
    ),
    "hevc with B-frames": (
        "libx265",
        {"preset": "ultrafast", "x265-params": "annexb=1:repeat-headers=1:bframes=3:log-level=0:pools=1"},
    ),
}


def coded(coding: str) -> list[Any]:
    """SECONDS of pictures, a keyframe each second, as packets of Annex B in 90 kHz."""
    codec, options = CODINGS[coding]
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.gop_size = TICK, Fraction(FPS, 1), FPS
    encoder.thread_count = 1
    encoder.options = options
    noise = np.random.default_rng(7)
    packets = []
    for index in range(SECONDS * FPS):
        picture = noise.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        picture[:, index * 4 : index * 4 + 40] = 220
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = index * STEP, TICK
        packets += encoder.encode(frame)
    return [*packets, *encoder.encode(None)]


def ours(packets: list[Any], info: StreamInfo, path: Path) -> None:
    muxer = FragmentMuxer(info, 500, b"")
    units = [AccessUnit(bytes(each), each.is_keyframe, each.pts, each.dts, 0) for each in packets]
    path.write_bytes(b"".join(muxer.add(unit) for unit in units) + muxer.finish())


def ffmpegs(packets: list[Any], codec: str, path: Path) -> None:
    options = {"movflags": "empty_moov+default_base_moof+skip_trailer", "frag_duration": "500000"}
    with av.open(str(path), "w", format="mp4", options=options) as file:
        stream: Any = file.add_mux_stream(codec, width=WIDTH, height=HEIGHT)
        stream.time_base = TICK
        for each in packets:
            packet = av.Packet(bytes(each))
            packet.time_base, packet.stream, packet.duration = TICK, stream, STEP
            packet.pts, packet.dts = each.pts - packets[0].dts, each.dts - packets[0].dts
            packet.is_keyframe = each.is_keyframe
            file.mux_one(packet)


def probed(path: Path) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-show_packets", "-show_streams", "-show_format", "-of", "json", str(path)]
    told: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return told


def packets_of(told: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(packet.get(name) for name in names) for packet in told["packets"]]


@pytest.mark.parametrize("coding", CODINGS)
def test_ffprobe_sees_the_same_packets_and_decodes_every_one(tmp_path: Path, coding: str) -> None:
    packets, codec = coded(coding), coding.split()[0]
    ours(packets, StreamInfo(codec, WIDTH, HEIGHT, b""), tmp_path / "ours.mp4")
    ffmpegs(packets, codec, tmp_path / "ffmpegs.mp4")
    mine, theirs = probed(tmp_path / "ours.mp4"), probed(tmp_path / "ffmpegs.mp4")
    names = ["pts", "dts", "duration", "flags"]
    if codec == "h264":
        names.append("size")  # of H.265 the parameter sets stand in the sample entry alone, as hvc1 wants it
    assert packets_of(mine, *names) == packets_of(theirs, *names)
    for name in ("codec_name", "profile", "level", "width", "height", "pix_fmt", "avg_frame_rate", "duration"):
        assert mine["streams"][0][name] == theirs["streams"][0][name], name
    assert mine["format"]["duration"] == f"{SECONDS:.6f}"
    command = ["ffmpeg", "-v", "warning", "-i", str(tmp_path / "ours.mp4"), "-f", "framemd5", "-"]
    frames = [subprocess.run(command, check=True, capture_output=True)]
    command[4] = str(tmp_path / "ffmpegs.mp4")
    frames.append(subprocess.run(command, check=True, capture_output=True))
    assert frames[0].stderr == b""
    assert frames[0].stdout == frames[1].stdout


@pytest.mark.parametrize("coding", ["h264 with B-frames", "hevc with B-frames"])
def test_gstreamer_plays_it_to_the_end(tmp_path: Path, coding: str) -> None:
    packets, codec = coded(coding), coding.split()[0]
    path = tmp_path / "ours.mp4"
    ours(packets, StreamInfo(codec, WIDTH, HEIGHT, b""), path)
    parser = "h264parse" if codec == "h264" else "h265parse"
    decoder = "avdec_h264" if codec == "h264" else "avdec_h265"
    line = f"filesrc location={path} ! qtdemux ! {parser} ! {decoder} ! fakesink silent=false"
    done = subprocess.run(["gst-launch-1.0", "-v", *line.split()], check=True, capture_output=True, timeout=60)
    assert done.stdout.count(b"chain  ") == SECONDS * FPS


def test_sound_stands_beside_the_pictures_where_it_belongs(tmp_path: Path) -> None:
    """From the second second on, as inside an incident; the track is declared from the first."""
    sound, info = coded_sound(48_000, SECONDS)
    packets = coded("h264")
    muxer, path = FragmentMuxer(StreamInfo("h264", WIDTH, HEIGHT, b"", info), 500, b""), tmp_path / "both.mp4"
    data = b""
    for each in packets:
        data += muxer.add(AccessUnit(bytes(each), each.is_keyframe, each.pts, each.dts, 0))
        while sound and sound[0].pts_90khz <= each.pts:
            unit = sound.pop(0)
            if unit.pts_90khz >= 90_000:
                muxer.add_sound(unit)
    path.write_bytes(data + muxer.finish())
    told = probed(path)
    assert [stream["codec_name"] for stream in told["streams"]] == ["h264", "aac"]
    heard = [packet for packet in told["packets"] if packet["stream_index"] == 1]
    assert float(heard[0]["pts_time"]) == pytest.approx(1.0, abs=0.03)
    assert len(heard) == pytest.approx(2 * 48_000 / 1024, abs=2)
    assert {after["pts"] - packet["pts"] for packet, after in pairwise(heard)} == {1920}
    done = subprocess.run(["ffmpeg", "-v", "warning", "-i", str(path), "-f", "null", "-"], capture_output=True)
    assert done.stderr == b""


def test_a_camera_with_a_sound_track_and_no_sound_plays(tmp_path: Path) -> None:
    _, info = coded_sound(8_000, 1)
    path = tmp_path / "silent.mp4"
    ours(coded("h264"), StreamInfo("h264", WIDTH, HEIGHT, b"", info), path)
    told = probed(path)
    assert len(told["packets"]) == SECONDS * FPS
    assert told["streams"][1]["codec_name"] == "aac"
    assert told["streams"][1]["sample_rate"] == "8000"


def test_sound_alone_is_a_file_of_its_own(tmp_path: Path) -> None:
    sound, info = coded_sound(48_000, 2)
    muxer, path = SoundMuxer(info, 500, b""), tmp_path / "sound.mp4"
    given = [muxer.add(unit) for unit in sound]
    path.write_bytes(b"".join(given) + muxer.finish())
    told = probed(path)
    assert len(told["packets"]) == len(sound)
    assert sum(bool(data) for data in given) == 4
    assert float(told["format"]["duration"]) == pytest.approx(len(sound) * 1024 / 48_000, abs=0.001)
    done = subprocess.run(["ffmpeg", "-v", "warning", "-i", str(path), "-f", "null", "-"], capture_output=True)
    assert done.stderr == b""


def coded_sound(rate_hz: int, seconds: int) -> tuple[list[AudioUnit], AudioInfo]:
    encoder: Any = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate_hz, "mono", "fltp"
    encoder.open()
    units = []
    samples = np.sin(np.arange(1024) * 0.1, dtype=np.float32).reshape(1, -1) * np.float32(0.3)
    for index in range(seconds * rate_hz // 1024):
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, index * 1024, Fraction(1, rate_hz)
        for packet in encoder.encode(frame):
            at = len(units) * 1024 * 90_000 // rate_hz
            units.append(AudioUnit(bytes(packet), at, 1024 * 90_000 // rate_hz, 0))
    return units, AudioInfo("aac", rate_hz, 1, bytes(encoder.extradata))
