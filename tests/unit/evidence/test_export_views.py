"""The films: parts, gaps, order of display, and the voices at the moment at which they were spoken."""

import os
import random
import struct
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import msgspec

from tests.unit.evidence.export_rig import SECOND_NS, SOUND, UTC_US, Unit, manifest_of, samples, sounds, times
from tests.unit.record.samples import FPS, INFO, units
from unitd.evidence.mp4_file import Labels
from unitd.evidence.view import Source, join
from unitd.messages.media import AccessUnit, AudioUnit, StreamInfo
from unitd.record.muxer import FragmentMuxer
from unitd.store.segment import SegmentHeader, header_box

FLIPS = 5000 if os.environ.get("UNITD_TEST_LONG") else 250


def plays(path: Path) -> None:
    done = subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", str(path), "-f", "null", "-"], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def own_segment(unit: Unit, camera: str, start_s: float, pictures: list[AccessUnit], info: StreamInfo,
                sound: tuple[AudioUnit, ...] = ()) -> Path:  # fmt: skip
    unit.seq[camera] = unit.seq.get(camera, 0) + 1
    header = SegmentHeader(
        unit=unit.config.unit.id, camera=camera, boot_id="b", boot=1, seq=unit.seq[camera],
        mono_ns=int(start_s * SECOND_NS), utc_us=UTC_US, clock="synced", session=1, pts_90khz=pictures[0].pts_90khz,
    )  # fmt: skip
    muxer = FragmentMuxer(info, 500, header_box(header))
    data = b""
    for number, picture in enumerate(pictures):
        data += muxer.add(picture)
        following = pictures[number + 1].dts_90khz if number + 1 < len(pictures) else 1 << 40
        for piece in sound:
            if picture.dts_90khz <= piece.pts_90khz < following:
                muxer.add_sound(piece)
    path = unit.evidence / camera / f"{1:06d}-{unit.seq[camera]:08d}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data + muxer.finish())
    unit.chain_line(path, "segment", start_s, 2)
    return path


def test_the_voices_are_the_films_sound_at_the_moment_at_which_they_were_spoken(tmp_path: Path) -> None:
    unit = Unit(tmp_path)
    for number in range(5):
        unit.segment("panel", 100 + 2 * number, first=2 * FPS * number)
    unit.voices(103.5)
    unit.voices(105.5)
    unit.lock(100.0, 110.0)
    unit.export(tmp_path / "out")
    film = tmp_path / "out" / "view" / "panel.mp4"
    heard = times(film, "a")
    assert abs(heard[0] - 3.5) < 0.06
    assert abs(heard[-1] - 7.5) < 0.1
    spoken = [piece for path in sorted((tmp_path / "out/segments/audio").iterdir()) for piece in samples(path, "audio")]
    assert samples(film, "audio") == spoken
    assert samples(tmp_path / "out" / "audio" / "audio.mp4", "audio") == spoken
    plays(film)
    plays(tmp_path / "out" / "audio" / "audio.mp4")
    kinds = {file.path: file.kind for file in manifest_of(tmp_path / "out").files}
    assert kinds["audio/audio.mp4"] == "audio"


def test_voices_that_began_before_the_picture_are_cut_in_the_film_and_whole_beside_it(tmp_path: Path) -> None:
    unit = Unit(tmp_path)
    unit.voices(99.0, 3)
    unit.segment("panel", 100)
    unit.lock(99.0, 102.0)
    unit.export(tmp_path / "out")
    film, alone = tmp_path / "out" / "view" / "panel.mp4", tmp_path / "out" / "audio" / "audio.mp4"
    assert len(samples(film, "audio")) < len(samples(alone, "audio"))
    assert times(film, "a")[0] < 0.6


def test_without_voices_the_cameras_own_sound_is_the_films(tmp_path: Path) -> None:
    unit = Unit(tmp_path)
    pieces = sounds(4)
    info = replace(INFO, audio=SOUND)
    for number in range(2):
        pictures = list(units(2 * FPS, first=2 * FPS * number))
        begin = pictures[0].pts_90khz
        mine = tuple(
            AudioUnit(piece.data, begin + index * 1920, 1920, 0)
            for index, piece in enumerate(pieces[number * 93 : number * 93 + 93])
        )
        own_segment(unit, "panel", 100 + 2 * number, pictures, info, mine)
    unit.lock(100.0, 104.0)
    unit.export(tmp_path / "out")
    film = tmp_path / "out" / "view" / "panel.mp4"
    own = [piece for path in sorted((tmp_path / "out/segments/panel").iterdir()) for piece in samples(path, "audio")]
    assert samples(film, "audio") == own
    assert len(own) > 100
    plays(film)


def test_other_pictures_begin_another_part_and_no_name_is_another_cameras(tmp_path: Path) -> None:
    unit = Unit(tmp_path)
    cameras = (*unit.config.cameras, msgspec.structs.replace(unit.config.cameras[0], name="panel-2"))
    unit.config = msgspec.structs.replace(unit.config, cameras=cameras)
    unit.segment("panel", 100)
    unit.segment("panel-2", 100)
    other = StreamInfo("h264", 640, 360, b"")
    own_segment(unit, "panel", 102, list(units(2 * FPS, first=2 * FPS)), other)
    unit.segment("panel", 104, first=4 * FPS)
    unit.lock(100.0, 106.0)
    unit.export(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "view").iterdir()) == [
        "panel-2.mp4", "panel-3.mp4", "panel-4.mp4", "panel.mp4"
    ]  # fmt: skip
    assert any("its film has 3 parts" in note for note in manifest_of(tmp_path / "out").notes)
    for path in (tmp_path / "out" / "view").iterdir():
        assert len(samples(path)) == 2 * FPS


def test_pictures_that_refer_to_later_ones_keep_their_order_of_display(tmp_path: Path) -> None:
    unit = Unit(tmp_path)
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.gop_size = 320, 180, "yuv420p", FPS
    encoder.time_base = Fraction(1, FPS)
    encoder.options = {
        "preset": "veryfast",
        "bf": "2",
        "x264-params": "annexb=1:repeat-headers=1:scenecut=0:open-gop=0",
    }
    frames = []
    for number in range(4 * FPS):
        frame = av.VideoFrame(320, 180, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([(number * 3) % 200]) * plane.buffer_size)
        frame.pts = number
        frames += encoder.encode(frame)
    packets = [packet for packet in (*frames, *encoder.encode(None)) if packet.size]
    ticks = 90_000 // FPS
    coded = [
        AccessUnit(bytes(p), bool(p.is_keyframe), 900_000 + p.pts * ticks, 900_000 + p.dts * ticks, 0) for p in packets
    ]
    assert any(unit_.pts_90khz > unit_.dts_90khz + 2 * ticks for unit_ in coded), "no B-frames: the test tests nothing"
    cut = [index for index, each in enumerate(coded) if each.keyframe][2]
    own_segment(unit, "panel", 100, coded[:cut], INFO)
    own_segment(unit, "panel", 102, coded[cut:], INFO)
    unit.lock(100.0, 104.0)
    unit.export(tmp_path / "out")
    shown = times(tmp_path / "out" / "view" / "panel.mp4")
    assert [round(time, 4) for time in shown] == [round(number / FPS, 4) for number in range(4 * FPS)]
    plays(tmp_path / "out" / "view" / "panel.mp4")
    film = (tmp_path / "out" / "view" / "panel.mp4").read_bytes()
    at = film.index(b"elst") + 4
    edits, _, media_time = struct.unpack_from(">IQq", film, at + 4)
    assert (edits, media_time) == (1, coded[0].pts_90khz - coded[0].dts_90khz), (
        "players start at the first picture shown"
    )


def test_a_gap_is_shortened_in_the_film_and_said_and_the_voices_go_on_in_step_after_it(tmp_path: Path) -> None:
    unit = Unit(tmp_path)
    unit.segment("panel", 100)
    unit.segment("panel", 200, session=2)
    unit.voices(200.5, 1)
    unit.lock(100.0, 202.0)
    unit.export(tmp_path / "out")
    film = tmp_path / "out" / "view" / "panel.mp4"
    assert abs(times(film)[2 * FPS] - 12.0) < 0.06
    assert abs(times(film, "a")[0] - 12.5) < 0.06
    assert any("1 gap(s) longer than 10 s" in note for note in manifest_of(tmp_path / "out").notes)


def test_a_damaged_segment_costs_its_own_pictures_at_most_and_never_the_export(tmp_path: Path) -> None:
    """Every flip is in the tables or between them: what the joiner believes. Nothing outside the file is taken."""
    unit = Unit(tmp_path)
    whole, damaged = unit.segment("panel", 100, 1), unit.segment("panel", 101, 1, first=FPS)
    data = damaged.read_bytes()
    tables = [at for at in range(len(data)) if data[at : at + 4] in (b"moof", b"moov")]
    chosen = random.Random(12)
    header = SegmentHeader(
        unit="u", camera="panel", boot_id="b", boot=1, seq=2, mono_ns=101 * SECOND_NS, utc_us=0, clock="synced",
        session=1, pts_90khz=12_345 + FPS * 4500,
    )  # fmt: skip
    told: list[OSError] = []
    for _ in range(FLIPS):
        broken = bytearray(data)
        for _ in range(chosen.randint(1, 3)):
            at = min(len(data) - 1, chosen.choice(tables) + chosen.randrange(-4, 600))
            broken[at] = chosen.choice((broken[at] ^ 1 << chosen.randrange(8), 0xFF, 0))
        damaged.write_bytes(broken)
        first = Source(whole, replace_header(header, 1, 100), whole.stat().st_size)
        parts = join([first, Source(damaged, header, len(data))], (), lambda _, error: told.append(error))
        written = bytearray()
        for part in parts:
            part.write(Labels("", ""), written.extend)
            for chunk in part.video.chunks:
                assert 0 <= chunk.offset <= chunk.offset + chunk.size <= len(data) + len(whole.read_bytes())
        assert parts[0].pictures >= FPS
        assert len(written) < 3 * len(data)
    assert 0 < len(told) < FLIPS


def replace_header(header: SegmentHeader, seq: int, start_s: int) -> SegmentHeader:
    return msgspec.structs.replace(header, seq=seq, mono_ns=start_s * SECOND_NS, pts_90khz=12_345)
