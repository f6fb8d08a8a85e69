"""The two voices on one time line: each on its side, holes are silence, nothing of the street with the gate shut."""

import asyncio
import contextlib
import socket
import time
from array import array
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from unitd.call.voice.pcm import FRAME_BYTES, FRAME_SAMPLES, SILENCE
from unitd.call.voice.voice_record import LATE_NS, STEADY_NS, WAITING_FRAMES, Side, VoiceRecord
from unitd.messages.voices import FRAME_BYTES as WIRE_BYTES
from unitd.messages.voices import FRAME_NS, VoiceFrame, decode_hello, unpack_frame

INCIDENT = "11111111-2222-4333-8444-555555555555"


def tone(value: int) -> bytes:
    return array("h", [value] * FRAME_SAMPLES).tobytes()


def values(pcm: bytes) -> list[int]:
    return list(array("h", pcm))


def level(pcm: bytes) -> tuple[int, int]:
    """The loudest sample of each side of a stereo frame."""
    return max(values(pcm)[0::2]), max(values(pcm)[1::2])


# --- one side of the time line ----------------------------------------------------------------------------------------


def test_frames_that_come_in_bursts_follow_each_other_without_a_seam() -> None:
    side = Side(0)
    for value, at_ms in ((1, 0), (2, 3), (3, 4), (4, 60)):
        side.put(tone(value), at_ms * 1_000_000)
    assert [values(side.take()) for _ in range(4)] == [[v] * FRAME_SAMPLES for v in (1, 2, 3, 4)]


def test_a_card_that_was_away_leaves_silence_and_comes_back_in_its_place() -> None:
    side = Side(0)
    side.put(tone(1), 0)
    away_ns = FRAME_NS * 20
    assert away_ns > STEADY_NS
    side.put(tone(2), away_ns)
    taken = [side.take() for _ in range(21)]
    assert values(taken[0]) == [1] * FRAME_SAMPLES
    assert taken[1:20] == [SILENCE] * 19
    assert values(taken[20]) == [2] * FRAME_SAMPLES


def test_what_comes_too_late_for_its_place_is_counted() -> None:
    side = Side(0)
    for _ in range(20):
        side.take()
    side.put(tone(1), 0)
    assert side.take() == SILENCE
    assert side.late_samples == FRAME_SAMPLES


def test_an_instant_from_nowhere_costs_no_memory() -> None:
    side = Side(0)
    side.put(tone(1), 10**18)
    assert side.take() == SILENCE


# --- both, on their way -----------------------------------------------------------------------------------------------


def laid(record: VoiceRecord, until_ns: int) -> list[VoiceFrame]:
    record._lay(until_ns + LATE_NS)
    return list(record._waiting)


def test_each_voice_is_on_its_side_and_at_its_time(tmp_path: Path) -> None:
    async def run() -> None:
        record = VoiceRecord(tmp_path / "audio.sock")
        record.follow(INCIDENT)
        now_ns = time.monotonic_ns()
        record.horn(tone(500))
        record.microphone(tone(300), now_ns + FRAME_NS)
        frames = laid(record, now_ns + 3 * FRAME_NS)
        assert abs(frames[0].mono_ns - now_ns) < 50_000_000
        assert frames[1].mono_ns - frames[0].mono_ns == FRAME_NS
        assert max(level(each.pcm)[0] for each in frames) == 300
        assert max(level(each.pcm)[1] for each in frames) == 500

    asyncio.run(run())


def test_nothing_is_sent_before_there_is_anything_to_hear(tmp_path: Path) -> None:
    """An intrusion that nobody challenges: the gate is shut and the horn is silent."""

    async def run() -> None:
        record = VoiceRecord(tmp_path / "audio.sock")
        record.follow(INCIDENT)
        for _ in range(200):
            record.horn(SILENCE)
        assert laid(record, time.monotonic_ns() + 10 * FRAME_NS) == []
        record.horn(tone(9))
        assert laid(record, time.monotonic_ns() + 2 * FRAME_NS)

    asyncio.run(run())


def test_nothing_is_kept_without_a_call(tmp_path: Path) -> None:
    async def run() -> None:
        record = VoiceRecord(tmp_path / "audio.sock")
        record.horn(tone(1))
        record.microphone(tone(1), time.monotonic_ns())
        record.follow(INCIDENT)
        assert laid(record, time.monotonic_ns() + FRAME_NS) == []

    asyncio.run(run())


def test_a_shut_gate_silences_what_is_still_here_of_the_street(tmp_path: Path) -> None:
    async def run() -> None:
        record = VoiceRecord(tmp_path / "audio.sock")
        record.follow(INCIDENT)
        now_ns = time.monotonic_ns()
        record.horn(tone(500))
        for number in range(1, 8):
            record.microphone(tone(300), now_ns + number * FRAME_NS)
        record._lay(now_ns + 3 * FRAME_NS + LATE_NS)  # some wait to be sent, some are on the line, some are in hand
        record.microphone(tone(300), now_ns + 8 * FRAME_NS)
        record.shut()
        frames = laid(record, now_ns + 12 * FRAME_NS)
        assert [level(each.pcm)[0] for each in frames] == [0] * len(frames)
        assert max(level(each.pcm)[1] for each in frames) == 500

    asyncio.run(run())


def test_without_a_recorder_so_much_waits_and_no_more(tmp_path: Path) -> None:
    async def run() -> None:
        record = VoiceRecord(tmp_path / "audio.sock")
        record.follow(INCIDENT)
        record.horn(tone(1))
        frames = laid(record, time.monotonic_ns() + (WAITING_FRAMES + 100) * FRAME_NS)
        assert len(frames) == WAITING_FRAMES
        assert record.dropped_frames >= 99

    asyncio.run(run())


class Recorder:
    """The other end of audio.sock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.hellos: list[str] = []
        self.frames: list[VoiceFrame] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.ended = 0

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self._path))

    async def stop(self) -> None:
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.hellos.append(decode_hello(await reader.readline()).incident_id)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                self.frames.append(unpack_frame(await reader.readexactly(WIRE_BYTES)))
        self.ended += 1
        writer.close()


async def true(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("comes", ["first", "late", "again"])
def test_the_recorder_gets_every_frame_of_its_absence(tmp_path: Path, comes: str) -> None:
    async def run() -> None:
        recorder = Recorder(tmp_path / "audio.sock")
        record = VoiceRecord(tmp_path / "audio.sock")
        sending = asyncio.create_task(record.run())
        if comes != "late":
            await recorder.start()
        record.follow(INCIDENT)
        record.horn(tone(1))
        if comes == "again":
            await true(lambda: recorder.frames)
            await recorder.stop()
        await true(lambda: len(record._waiting) > 20 or comes == "first")
        if comes != "first":
            await recorder.start()
        await true(lambda: len(recorder.frames) > 30)
        assert set(recorder.hellos) == {INCIDENT}
        stamps = [frame.mono_ns for frame in recorder.frames]
        steps = [after - before for before, after in pairwise(stamps)]
        assert max(steps) <= (FRAME_NS if comes != "again" else 10 * FRAME_NS), "what was under way may be lost"
        record.follow(None)
        await true(lambda: recorder.ended)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await recorder.stop()

    asyncio.run(run())


def test_a_recorder_whose_end_a_write_finds_before_it_is_read_is_taken_up_again(tmp_path: Path) -> None:
    async def run() -> None:
        recorder = Recorder(tmp_path / "audio.sock")
        record = VoiceRecord(tmp_path / "audio.sock")
        sending = asyncio.create_task(record.run())
        await recorder.start()
        record.follow(INCIDENT)
        record.horn(tone(1))
        await true(lambda: recorder.frames)
        recorder.writers[0].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        record._waiting.append(VoiceFrame(time.monotonic_ns(), bytes(2 * FRAME_BYTES)))
        record._send()  # before the loop has had a turn in which to read the end
        before = len(recorder.frames)
        await true(lambda: len(recorder.frames) > before + 30)
        assert recorder.hellos == [INCIDENT, INCIDENT]
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await recorder.stop()

    asyncio.run(run())


def test_a_frame_has_one_length() -> None:
    assert WIRE_BYTES == 8 + 2 * FRAME_BYTES
