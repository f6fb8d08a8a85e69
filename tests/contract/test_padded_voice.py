"""A far end that pads its voice with packets that carry no sound, as Chromium does when it probes for bandwidth."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.contract.test_voice_on_bad_links import CAPS, FRAME, near_end
from unitd.call.rtc.gst import Gst
from unitd.call.rtc.pipeline import VOICE_RATE_HZ
from unitd.call.rtc.voice_in import VoiceIn
from unitd.call.voice.playout import Playout

PADDING, VERSION = 0x20, 0x80
PADDED_BYTES = 200
FRAMES, PADDED = 75, range(30, 45)
SETTLES_S = 0.5


@dataclass
class Sender:
    """Numbers packets as RTP does; `lose` takes a number that is never sent."""

    port: int
    number: int = 1000
    rtp_time: int = 0

    def __post_init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def sound(self, opus: bytes) -> None:
        self.rtp_time += FRAME
        self._send(VERSION, opus)

    def padding(self) -> None:
        self._send(VERSION | PADDING, bytes(PADDED_BYTES - 1) + bytes([PADDED_BYTES]))

    def lose(self) -> None:
        self.number += 1

    def close(self) -> None:
        self._socket.close()

    def _send(self, flags: int, payload: bytes) -> None:
        header = struct.pack(">BBHII", flags, 97, self.number, self.rtp_time, 0x1234)
        self._socket.sendto(header + payload, ("127.0.0.1", self.port))
        self.number += 1


class Receiver:
    """A jitter buffer and a VoiceIn; what was heard is counted in samples."""

    def __init__(self) -> None:
        self.pipeline: Any = near_end()
        self.voice = VoiceIn(Playout())
        self.voice.take_buffer(self.pipeline.get_by_name("buffer"))
        self.voice.take_pad(self.pipeline, self.pipeline.get_by_name("out").get_static_pad("src"))
        self.pipeline.set_state(Gst.State.PLAYING)
        self.port = int(self.pipeline.get_by_name("socket").get_property("port"))
        self.samples = 0

    def tell_lost(self, duration_ns: int) -> None:
        """A lost packet that took so long, as the jitter buffer says it."""
        what = Gst.Structure.new_from_string(
            f"GstRTPPacketLost, seqnum=(uint)1, timestamp=(guint64)0, duration=(guint64){duration_ns}, retry=(uint)0"
        )
        event = Gst.Event.new_custom(Gst.EventType.CUSTOM_DOWNSTREAM, what)
        self.pipeline.get_by_name("out").get_static_pad("src").push_event(event)

    def hear_until(self, at_s: float) -> None:
        while (left_s := at_s - time.monotonic()) > 0:
            self.samples += sum(len(piece) // 2 for piece in self.voice.pull())
            time.sleep(min(left_s, 0.005))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.pipeline.set_state(Gst.State.NULL)


@pytest.fixture(scope="module")
def opus() -> list[bytes]:
    """A tone, a packet for every 20 ms."""
    pipeline = Gst.parse_launch(
        f"audiotestsrc num-buffers={FRAMES + 2} samplesperbuffer={FRAME}"
        f" ! audio/x-raw,format=S16LE,rate={VOICE_RATE_HZ},channels=1"
        " ! opusenc frame-size=20 inband-fec=true packet-loss-percentage=5 bitrate=24000 bandwidth=wideband"
        f" ! rtpopuspay pt=97 ! {CAPS} ! appsink name=sink sync=false"
    )
    pipeline.set_state(Gst.State.PLAYING)
    packets = []
    while (sample := pipeline.get_by_name("sink").emit("pull-sample")) is not None:
        buffer = sample.get_buffer()
        packets.append(bytes(buffer.extract_dup(12, buffer.get_size() - 12)))
    pipeline.set_state(Gst.State.NULL)
    return packets[:FRAMES]


@pytest.mark.parametrize("is_lost", [False, True], ids=["every packet arrives", "every third is lost"])
def test_padding_neither_ends_the_sound_nor_adds_to_it(receiver: Receiver, opus: list[bytes], is_lost: bool) -> None:
    sender, start_s = Sender(receiver.port), time.monotonic()
    for index, packet in enumerate(opus):
        sender.sound(packet)
        if index in PADDED:
            for _ in range(2):
                (sender.lose if is_lost and index % 3 == 0 else sender.padding)()
        receiver.hear_until(start_s + 0.02 * (index + 1))
    receiver.hear_until(time.monotonic() + SETTLES_S)
    sender.close()
    missed = FRAMES - receiver.samples / FRAME
    assert -1 <= missed <= 2, f"{missed:+.1f} frames are missing: the decoder holds one back"
    assert receiver.voice.stuck() == ""


@pytest.mark.parametrize("duration_ns", [0, 9, 1_249_999, 1_250_000, 20_000_000])
def test_the_sound_goes_on_after_a_lost_packet_of_any_length(
    receiver: Receiver, opus: list[bytes], duration_ns: int
) -> None:
    """A length that rounds to none of Opus's steps of 2.5 ms ends GStreamer 1.22's decoder otherwise."""
    sender, start_s, before = Sender(receiver.port), time.monotonic(), 0
    for index, packet in enumerate(opus[:50]):
        sender.sound(packet)
        receiver.hear_until(start_s + 0.02 * (index + 1))
        if receiver.samples and not before:
            before = receiver.samples
            receiver.tell_lost(duration_ns)
    receiver.hear_until(time.monotonic() + SETTLES_S)
    sender.close()
    assert before
    assert receiver.samples >= 45 * FRAME
