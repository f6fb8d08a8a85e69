"""The operator's voice over links that lose, shake and share: the real Opus, jitter buffer and playout, in real time.

Encoder and GStreamer's own network simulator (`netsim`) on one side, jitter buffer and decoder on the other, a datagram
socket between them; a thread takes frames at the sound card's pace. All links at once with UNITD_TEST_LONG=1; else one,
and a busy machine is forgiven much.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.live.speech import OPERATOR, sentences
from tests.live.voice import judge
from unitd.call.rtc.gst import Gst, buffer_of
from unitd.call.rtc.pipeline import FRAME_NS, VOICE_RATE_HZ
from unitd.call.rtc.voice_in import VoiceIn
from unitd.call.rtc.voice_out import opus_settings
from unitd.call.voice.playout import Playout

FRAME = VOICE_RATE_HZ // 50
LONG = bool(os.environ.get("UNITD_TEST_LONG"))
SECONDS = 16.0 if LONG else 9.0
LET_SETTLE_S = 3.0


@dataclass
class Link:
    """`shake_ms`: every packet comes so much later at most, on its own (and out of order)."""

    bit_s: int = 32_000
    loss: float = 0.0
    shake_ms: int = 0
    card_ppm: float = 0.0
    playout: Playout = field(default_factory=Playout)
    heard: list[bytes] = field(default_factory=list)
    waits_ms: list[float] = field(default_factory=list)
    delays_ms: list[float] = field(default_factory=list)


LINKS = {
    "clean": Link(),
    "clean, the least rate, a card that is 500 ppm slow": Link(bit_s=16_000, card_ppm=500),
    "3 % lost": Link(bit_s=24_000, loss=0.03),
    "5 % lost, 100 ms of jitter": Link(bit_s=24_000, loss=0.05, shake_ms=100),
    "10 % lost": Link(loss=0.10),
    "30 ms of jitter": Link(shake_ms=30),
}
if not LONG:
    LINKS = {"3 % lost": LINKS["3 % lost"]}
BUSY_STOI = 0.80
LEAST_STOI = {
    "clean": 0.97,
    "clean, the least rate, a card that is 500 ppm slow": 0.96,
    "3 % lost": 0.96,
    "5 % lost, 100 ms of jitter": 0.93,
    "10 % lost": 0.95,
    "30 ms of jitter": 0.96,
}
MOST_DELAY_MS = {"clean": 66, "3 % lost": 90, "5 % lost, 100 ms of jitter": 175}


CAPS = "application/x-rtp,media=(string)audio,encoding-name=(string)OPUS,payload=97,clock-rate=48000"


def far_end(link: Link, port: int) -> Any:
    settings = opus_settings(link.bit_s, link.loss > 0)
    return Gst.parse_launch(
        f"appsrc name=voice is-live=true format=time caps=audio/x-raw,format=S16LE,rate={VOICE_RATE_HZ},channels=1"
        f",layout=interleaved ! opusenc audio-type=generic complexity=6 frame-size=20 inband-fec=true"
        f" bitrate={settings.bit_s} bandwidth=wideband packet-loss-percentage={settings.loss_percent}"
        f" ! rtpopuspay pt=97 ! {CAPS} ! netsim drop-probability={link.loss}"
        f" delay-probability={float(link.shake_ms > 0)} min-delay=0 max-delay={link.shake_ms} allow-reordering=true"
        f" ! udpsink host=127.0.0.1 port={port} sync=false async=false"
    )


def near_end() -> Any:
    return Gst.parse_launch(
        f"udpsrc name=socket address=127.0.0.1 port=0 caps={CAPS}"
        f" ! rtpjitterbuffer name=buffer latency=100 do-lost=true ! capsfilter name=out caps={CAPS}"
    )


@pytest.fixture(scope="module")
def heard() -> Iterator[dict[str, Link]]:
    words = np.tile(sentences(OPERATOR), 3)
    sources, pipelines = [], []
    for link in LINKS.values():
        pipeline = near_end()
        voice = VoiceIn(link.playout)
        voice.take_buffer(pipeline.get_by_name("buffer"))
        voice.take_pad(pipeline, pipeline.get_by_name("out").get_static_pad("src"))
        pipeline.set_state(Gst.State.PLAYING)
        sender = far_end(link, pipeline.get_by_name("socket").get_property("port"))
        sender.set_state(Gst.State.PLAYING)
        sources.append(sender.get_by_name("voice"))
        pipelines += [pipeline, sender]
    start_s = time.monotonic()
    cards = [threading.Thread(target=card, args=(link, start_s)) for link in LINKS.values()]
    for thread in cards:
        thread.start()
    for index in range(int(50 * SECONDS)):
        time.sleep(max(0.0, start_s + 0.02 * index - time.monotonic()))
        piece = words[index * FRAME : (index + 1) * FRAME].tobytes()
        for source in sources:
            source.emit("push-buffer", buffer_of(piece, index * FRAME_NS, FRAME_NS))
    for thread in cards:
        thread.join()
    yield LINKS
    for pipeline in pipelines:
        pipeline.set_state(Gst.State.NULL)


def card(link: Link, start_s: float) -> None:
    """Frames out at the card's own pace."""
    for index in range(int(50 * SECONDS)):
        due_s = start_s + 0.02 * index * (1 + link.card_ppm * 1e-6)
        time.sleep(max(0.0, due_s - time.monotonic()))
        link.heard.append(link.playout.take() or bytes(2 * FRAME))
        link.delays_ms.append(1000 * link.playout.delay_s)


@pytest.mark.parametrize("name", LINKS)
def test_words_can_be_understood(heard: dict[str, Link], name: str) -> None:
    link = heard[name]
    sound = np.frombuffer(b"".join(link.heard), "<i2")[int(LET_SETTLE_S * VOICE_RATE_HZ) :]
    figures = judge(sentences(OPERATOR), sound)
    delay_ms = float(np.median(link.delays_ms))
    print(
        f"{name}: STOI {figures.stoi:.3f}, gaps {len(figures.gaps)}, in hand {delay_ms:.0f} ms, "
        f"ran dry {link.playout.gaps}, out {link.playout.periods_out}, again {link.playout.periods_again}"
    )
    assert figures.stoi is not None and figures.stoi >= (LEAST_STOI[name] if LONG else BUSY_STOI)
    if not LONG:
        return
    assert figures.longest_s < 0.1
    assert delay_ms <= MOST_DELAY_MS.get(name, 90)
