"""audio.sock and the stream `audio`: whose voices are taken, and a time line that stays true over holes."""

import asyncio
import time
from array import array
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import pytest
from pytest_mock import MockerFixture

from tests.unit.record.rig import StandingClock, until
from unitd.config import Config, PathsTable, RingTable
from unitd.errors import WireError
from unitd.messages.media import StreamInfo
from unitd.messages.voices import (
    FRAME_BYTES,
    FRAME_NS,
    FRAME_SAMPLES,
    RATE_HZ,
    VoiceFrame,
    VoicesHello,
    decode_hello,
    pack_frame,
    unpack_frame,
)
from unitd.record.audio import BRIDGED_NS, PIECE_SAMPLES, VoiceServer, VoiceTrack
from unitd.record.backlog import SessionUnit
from unitd.record.writer import SegmentWriter
from unitd.store.chain import first_break
from unitd.store.ring import Ring
from unitd.store.segment import list_segments, measure, read_header

INCIDENT = "11111111-2222-4333-8444-555555555555"
OTHER = "99999999-2222-4333-8444-555555555555"
BEGAN_NS = 50_000_000_000


def noise(frames: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(0, 3000, (frames * FRAME_SAMPLES, 2)).astype(np.int16)


def frames_of(sound: Any, began_ns: int = BEGAN_NS) -> list[VoiceFrame]:
    pieces = [sound[at : at + FRAME_SAMPLES].tobytes() for at in range(0, len(sound), FRAME_SAMPLES)]
    return [VoiceFrame(began_ns + number * FRAME_NS, pcm) for number, pcm in enumerate(pieces)]


def heard(units: list[SessionUnit]) -> dict[int, Any]:
    """Each session's sound, decoded."""
    made: dict[int, Any] = {}
    for session in dict.fromkeys(unit.session for unit in units):
        own = [unit for unit in units if unit.session == session]
        assert own[0].info.audio is not None
        decoder = av.CodecContext.create("aac", "r")
        decoder.extradata = own[0].info.audio.config
        pieces = [frame.to_ndarray() for unit in own for frame in decoder.decode(av.Packet(unit.unit.data))]
        made[session] = np.concatenate(pieces, axis=1)
    return made


def lag(decoded: Any, sound: Any) -> int:
    """By how many samples `decoded` is behind `sound`."""
    size = 1 << (len(sound) + len(decoded)).bit_length()
    spectrum = np.fft.rfft(decoded, size) * np.conj(np.fft.rfft(sound.astype(float), size))
    return int(np.fft.irfft(spectrum).argmax())


# --- the track --------------------------------------------------------------------------------------------------------


def test_the_time_of_each_piece_is_that_of_its_sound() -> None:
    units: list[SessionUnit] = []
    sound = noise(50)
    track = VoiceTrack(units.append)
    for frame in frames_of(sound):
        track.add(frame)
    track.end()
    first = units[0].unit
    ahead = lag(heard(units)[BEGAN_NS][0], sound[:, 0])
    assert ahead == PIECE_SAMPLES
    assert first.arrival_mono_ns == BEGAN_NS - PIECE_SAMPLES * 1_000_000_000 // RATE_HZ - 1, (
        "the coder's silence counts"
    )
    assert {after.unit.pts_90khz - before.unit.pts_90khz for before, after in pairwise(units)} == {1920}


def test_left_stays_left_and_right_right() -> None:
    units: list[SessionUnit] = []
    sound = noise(50)
    sound[:, 1] = 0
    track = VoiceTrack(units.append)
    for frame in frames_of(sound):
        track.add(frame)
    track.end()
    left, right = heard(units)[BEGAN_NS]
    assert float(np.abs(left).max()) > 0.1
    assert float(np.abs(right).max()) < 0.002


@pytest.mark.parametrize("hole_ms", [20, 260, 1000])
def test_a_short_hole_is_silence_and_what_follows_is_in_its_place(hole_ms: int) -> None:
    units: list[SessionUnit] = []
    sound = noise(100)
    track = VoiceTrack(units.append)
    for number, frame in enumerate(frames_of(sound)):
        late_ns = hole_ms * 1_000_000 if number >= 50 else 0
        track.add(VoiceFrame(frame.mono_ns + late_ns, frame.pcm))
    track.end()
    (decoded,) = heard(units).values()
    half = 50 * FRAME_SAMPLES
    assert lag(decoded[0], sound[half:, 0]) == half + PIECE_SAMPLES + hole_ms * 48


@pytest.mark.parametrize("step_ns", [BRIDGED_NS + FRAME_NS, 7_000_000_000, -7_000_000_000])
def test_after_a_long_hole_or_a_step_back_a_new_session_has_the_right_time(step_ns: int) -> None:
    units: list[SessionUnit] = []
    track = VoiceTrack(units.append)
    before, after = frames_of(noise(10)), frames_of(noise(10, seed=2), BEGAN_NS + 10 * FRAME_NS + step_ns)
    for frame in [*before, *after]:
        track.add(frame)
    track.end()
    assert list(heard(units)) == [BEGAN_NS, after[0].mono_ns]
    assert track.sessions == 2


def test_what_was_there_already_is_left_out() -> None:
    units: list[SessionUnit] = []
    sound = noise(60)
    track = VoiceTrack(units.append)
    all_frames = frames_of(sound)
    for frame in [*all_frames[:30], *all_frames[20:]]:
        track.add(frame)
    track.end()
    assert track.dropped_frames == 10
    (decoded,) = heard(units).values()
    assert lag(decoded[0], sound[:, 0]) == PIECE_SAMPLES


# --- in the ring ------------------------------------------------------------------------------------------------------


def test_it_is_written_like_a_camera_and_a_pause_between_incidents_is_no_gap(tmp_path: Path) -> None:
    config = Config(
        schema=1,
        paths=PathsTable(state_dir=str(tmp_path / "state"), run_dir=str(tmp_path), evidence_dir=str(tmp_path / "e")),
        ring=RingTable(segment_s=2.0),
    )
    ring = Ring(tmp_path / "e", tmp_path / "state", config.ring, 0.0)
    writer = SegmentWriter(config, "audio", ring, StandingClock(), lambda _closed: None)
    offered: list[SessionUnit] = []

    def offer(item: SessionUnit) -> None:
        offered.append(item)
        writer.offer(item)

    track = VoiceTrack(offer)
    writer.start()
    now_ns = time.monotonic_ns()
    writer.missed_from(now_ns)
    talk(track, now_ns, 250)
    talk(track, now_ns + 9_000_000_000, 30)  # the same incident, after `call` was dead
    until(lambda: writer.report.handled_units == len(offered), "written", 30.0)
    writer.missed_from(now_ns + 3_600_000_000_000)
    talk(track, now_ns + 3_601_000_000_000, 30)  # another one
    until(lambda: writer.report.handled_units == len(offered), "written", 30.0)
    writer.stop()
    until(lambda: not writer._thread.is_alive(), "closed", 30.0)
    directory = tmp_path / "e" / "audio"
    segments = [directory / key.file_name for key in list_segments(directory)]
    assert len(segments) == 5
    headers = [read_header(path) for path in segments]
    assert {header.camera for header in headers} == {"audio"}
    for path in segments:
        extent = measure(path)
        assert extent.torn_bytes == 0
        with av.open(str(path)) as file:
            assert (file.streams.audio[0].codec_context.name, file.streams.audio[0].channels) == ("aac", 2)
            samples = sum(frame.samples for frame in file.decode(audio=0))
        assert samples == extent.duration_90khz * RATE_HZ // 90_000
    chain = [msgspec.json.decode(line) for line in (tmp_path / "e" / "record.chain").read_bytes().splitlines()]
    assert first_break(tmp_path / "e" / "record.chain") is None
    gaps = [line for line in chain if line["kind"] == "gap"]
    assert [(gap["camera"], round((gap["to_mono_ns"] - gap["from_mono_ns"]) / 1e9)) for gap in gaps] == [("audio", 4)]


def talk(track: VoiceTrack, began_ns: int, frames: int) -> None:
    for frame in frames_of(noise(frames), began_ns):
        track.add(frame)
    track.end()


# --- the socket -------------------------------------------------------------------------------------------------------


class Rig:
    def __init__(self, base: Path, log: Any) -> None:
        self.path = base / "audio.sock"
        self.wanted: str | None = INCIDENT
        self.units: list[SessionUnit] = []
        self.track = VoiceTrack(self.units.append)
        self.server = VoiceServer(self.path, lambda: self.wanted, self.track, log)

    def play(self, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            serving = asyncio.create_task(self.server.run())
            try:
                await true(self.path.exists)
                await work()
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)

        asyncio.run(run())


class Caller:
    """What `call` does, by hand."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def join(self, incident_id: str = INCIDENT, raw: bytes | None = None) -> None:
        self.reader, self.writer = await asyncio.open_unix_connection(str(self._path))
        hello = msgspec.json.encode(VoicesHello(incident_id=incident_id)) + b"\n"
        self.writer.write(hello if raw is None else raw)

    def say(self, frames: int = 10) -> None:
        for frame in frames_of(noise(frames), time.monotonic_ns() - frames * FRAME_NS):
            self.writer.write(pack_frame(frame))

    async def turned_out(self) -> bool:
        """Whether the other end closes, within seconds."""
        try:
            async with asyncio.timeout(5.0):
                return await self.reader.read(1) == b""
        except OSError:
            return True


async def true(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)


@pytest.fixture
def rig(tmp_path: Path, mocker: MockerFixture) -> Rig:
    return Rig(tmp_path, mocker.Mock())


def test_voices_of_the_incident_are_taken(rig: Rig) -> None:
    async def work() -> None:
        caller = Caller(rig.path)
        await caller.join()
        caller.say()
        await true(lambda: rig.units)
        caller.writer.close()
        await true(lambda: rig.track._coder is None)

    rig.play(work)
    assert isinstance(rig.units[0].info, StreamInfo)


@pytest.mark.parametrize("wanted", [None, OTHER])
def test_without_that_incident_nothing_is_taken(rig: Rig, wanted: str | None) -> None:
    async def work() -> None:
        rig.wanted = wanted
        caller = Caller(rig.path)
        await caller.join()
        caller.say()
        assert await caller.turned_out()

    rig.play(work)
    assert rig.units == []
    assert rig.server.refused == 1


def test_when_the_incident_ends_so_does_the_taking(rig: Rig) -> None:
    async def work() -> None:
        caller = Caller(rig.path)
        await caller.join()
        caller.say()
        await true(lambda: rig.units)
        rig.wanted = None
        rig.server.look()
        count = len(rig.units)
        assert await caller.turned_out()
        assert len(rig.units) == count

    rig.play(work)


def test_a_second_client_replaces_the_first(rig: Rig) -> None:
    async def work() -> None:
        first, second = Caller(rig.path), Caller(rig.path)
        await first.join()
        first.say()
        await true(lambda: rig.units)
        await second.join()
        assert await first.turned_out()
        count = len(rig.units)
        second.say(30)
        await true(lambda: len(rig.units) > count)

    rig.play(work)


@pytest.mark.parametrize(
    "raw",
    [
        b"\n",
        b"{}\n",
        b"\xff\xfe" * 300 + b"\n",
        b'{"incident_id": 5}\n',
        b'{"incident_id": "%s", "rate_hz": 8000}\n' % INCIDENT.encode(),
        b'{"incident_id": "%s", "channels": 1}\n' % INCIDENT.encode(),
        b"x" * 100_000,
        msgspec.json.encode(VoicesHello(incident_id=INCIDENT)) + b"\n" + b"\xff" * FRAME_BYTES,
        msgspec.json.encode(VoicesHello(incident_id=INCIDENT)) + b"\n" + bytes(FRAME_BYTES),
    ],
)
def test_what_is_no_voice_ends_the_connection_and_nothing_else(rig: Rig, raw: bytes) -> None:
    async def work() -> None:
        caller = Caller(rig.path)
        await caller.join(raw=raw)
        assert await caller.turned_out()
        await caller.join()
        caller.say()
        await true(lambda: rig.units)

    rig.play(work)


def test_a_client_that_goes_in_the_middle_of_a_frame(rig: Rig) -> None:
    async def work() -> None:
        caller = Caller(rig.path)
        await caller.join()
        caller.say()
        caller.writer.write(bytes(100))
        await true(lambda: rig.units)
        caller.writer.close()
        await true(lambda: rig.server._client is None)

    rig.play(work)
    assert rig.track._coder is None, "what the coder held back went out"


def test_ok__a_frame_there_and_back() -> None:
    frame = VoiceFrame(123, array("h", range(1920)).tobytes())
    assert unpack_frame(pack_frame(frame)) == frame
    assert decode_hello(msgspec.json.encode(VoicesHello(incident_id="x"))) == VoicesHello(incident_id="x")


@pytest.mark.parametrize("data", [b"", bytes(FRAME_BYTES - 1), bytes(FRAME_BYTES + 1), b"\xff" * FRAME_BYTES])
def test_fail__a_frame(data: bytes) -> None:
    with pytest.raises(WireError):
        unpack_frame(data)
