"""Transport-wide feedback off the wire: what each packet was called when it left, and what the far end says of it.

The RTP session numbers every packet of a bundle in the header extension (docs/adr/0012-our-own-congestion-control.md);
a probe behind it reads the first bytes of each, and takes note (`packets.py`). Resends pass a budget, and trains are
asked of the element that resends.
"""

import re
import time
import weakref
from collections import deque
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

from unitd.call.congestion.packet_log import Kind
from unitd.call.congestion.resend import ResendBudget
from unitd.call.congestion.train import Planned, of_size
from unitd.call.congestion.twcc import MAX_FCI_BYTES
from unitd.call.rtc.gst import Gst
from unitd.call.rtc.packets import PacketNotes

MAX_NOTED = 4096
"""Packets between two looks of the controller: 10 s of a stream of 4 Mbit/s."""
MOST_RECENT = 12
RECENT_BYTES = 160
"""A train is made of packets larger than this, of the last RECENT_S: RESEND_WINDOW_MS less a margin. On a small stream
they are few, and go several times."""
RECENT_S = 0.5
PLACES = 1024
"""2 s of a stream of 4 Mbit/s: the resender forgets sooner."""
UNTIL_KNOWN_BIT_S = 300_000.0
KINDS: dict[int, Kind] = {96: "picture", 98: "picture", 97: "voice"}
FEEDBACK_PER_S, FEEDBACK_AT_ONCE = 100.0, 200.0
"""A browser sends twenty a second at most. More of them are let go: each would cost the loop a decision."""
RESEND_REQUEST = "GstRTPRetransmissionRequest"
OURS = "train"
SENT_PAD = "send_rtp_src"

Noted = tuple[int, int, float, Kind]


class TransportFeedback:
    """`take_session` and `take_resender` belong to the thread that builds the pipeline, the probes to GStreamer's, all
    else to the loop. `on_feedback(fci, at_s)` is called on a GStreamer thread. Holds nothing of the pipeline after
    `detach`."""

    def __init__(self, on_feedback: Callable[[bytes, float], None]) -> None:
        self.budget = ResendBudget(UNTIL_KNOWN_BIT_S)
        self._on_feedback = on_feedback
        self._log = PacketNotes()
        self._noted: deque[Noted] = deque(maxlen=MAX_NOTED)
        self._recent: deque[tuple[int, int, float, int]] = deque(maxlen=MOST_RECENT)
        self._resender: Any = None
        self._resend_payloads: frozenset[int] = frozenset()
        self._credit, self._credit_s = FEEDBACK_AT_ONCE, time.monotonic()
        self.dropped_feedback = 0
        self.trains = 0
        self._places: list[tuple[int, int, int]] = [(-1, 0, 0)] * PLACES
        self._pictures = 0

    def take_session(self, element: Any, connect: Callable[..., None]) -> None:
        """The pipeline's `rtpsession`: its numbers and its feedback."""
        me, log = weakref.ref(self), self._log
        connect(element, "pad-added", lambda _element, pad: log.watch(pad) if pad.get_name() == SENT_PAD else None)
        session = element.get_property("internal-session")
        connect(session, "on-feedback-rtcp", lambda _s, kind, form, _from, _of, fci: _on_rtcp(me, kind, form, fci))

    def take_resender(self, element: Any) -> None:
        """The pipeline's `rtprtxsend`."""
        me = weakref.ref(self)
        self._resender = element
        source = element.get_static_pad("src")
        source.add_probe(Gst.PadProbeType.EVENT_UPSTREAM, lambda _pad, info: _on_resend(me, info))

    def detach(self) -> None:
        self._resender = None
        self._noted.clear()

    def sent(self) -> list[Noted]:
        """The packets that have left since the last call: (number, bytes, when, kind)."""
        self._look()
        noted = list(self._noted)
        self._noted.clear()
        return noted

    @property
    def pictures(self) -> int:
        """Packets of pictures that have left."""
        self._look()
        return self._pictures

    def send_train(self, train: Planned) -> int:
        """Send recent packets of the picture again at once, to learn what the link carries; how many."""
        resender = self._resender
        if resender is None:
            return 0
        self._look()
        since_s = time.monotonic() - RECENT_S
        recent = [each for each in self._recent if each[2] >= since_s]
        chosen = of_size([size_bytes for *_, size_bytes in recent], train.packet_bytes)
        if not chosen:
            return 0
        pad = resender.get_static_pad("src")
        for place in islice(cycle(chosen), train.packets):
            source, number, *_ = recent[place]
            pad.send_event(_resend_of(number, source))
        self.trains += 1
        return train.packets

    def resend(self, numbers: list[int]) -> int:
        """Send these packets of the picture again, by their transport-wide numbers, as far as the budget lasts; how
        many went. What is not known any more is passed over."""
        resender, count = self._resender, 0
        if resender is None or not numbers:
            return 0
        pad, now_s = resender.get_static_pad("src"), time.monotonic()
        for number in numbers:
            known, source, sequence = self._places[number % PLACES]
            if known == number and self.budget.may(1200, now_s):
                pad.send_event(_resend_of(sequence, source))
                count += 1
        return count

    def heard(self, fci: bytes, at_s: float) -> None:
        """One feedback off the wire; on a GStreamer thread."""
        self._credit = min(FEEDBACK_AT_ONCE, self._credit + (at_s - self._credit_s) * FEEDBACK_PER_S)
        self._credit_s = at_s
        if self._credit < 1:
            self.dropped_feedback += 1
            return
        self._credit -= 1
        self._on_feedback(fci, at_s)

    def _look(self) -> None:
        """Sort what has left."""
        if not self._resend_payloads and self._resender is not None:
            # webrtcbin chooses these when the answer is there: the next that is free, 98 without a second picture.
            chosen = self._resender.get_property("payload-type-map").to_string()
            self._resend_payloads = frozenset(int(number) for number in re.findall(r"=\s*\(uint\)(\d+)", chosen))
        resends, noted, recent, places = self._resend_payloads, self._noted, self._recent, self._places
        for at_s, size_bytes, source, _, number, sequence, payload, is_numbered in self._log.take():
            kind: Kind = "resend" if payload in resends else KINDS.get(payload, "resend")
            self._pictures += kind == "picture"
            if is_numbered:
                noted.append((number, size_bytes, at_s, kind))
                if kind == "picture":
                    places[number % PLACES] = (number, source, sequence)
                    if size_bytes > RECENT_BYTES:
                        recent.append((source, sequence, at_s, size_bytes))


def _resend_of(number: int, source: int) -> Any:
    """An order to send a packet again that is asked of no budget."""
    request = Gst.Structure.new_empty(RESEND_REQUEST)
    request.set_value("seqnum", _uint(number))
    request.set_value("ssrc", _uint(source))
    request.set_value(OURS, True)
    return Gst.Event.new_custom(Gst.EventType.CUSTOM_UPSTREAM, request)


def _uint(value: int) -> Any:
    from gi.repository import GObject

    held = GObject.Value()
    held.init(GObject.TYPE_UINT)
    held.set_uint(value)
    return held


def _on_rtcp(reference: "weakref.ref[TransportFeedback]", kind: Any, form: Any, fci: Any) -> None:
    feedback = reference()
    if feedback is not None and fci is not None and int(kind) == 205 and int(form) == 15:
        feedback.heard(fci.extract_dup(0, min(fci.get_size(), MAX_FCI_BYTES + 1)), time.monotonic())


def _on_resend(reference: "weakref.ref[TransportFeedback]", info: Any) -> Any:
    structure = info.get_event().get_structure()
    if structure is None or structure.get_name() != RESEND_REQUEST or structure.has_field(OURS):
        return Gst.PadProbeReturn.OK
    feedback = reference()
    if feedback is None or not feedback.budget.may(1200, time.monotonic()):
        return Gst.PadProbeReturn.DROP
    return Gst.PadProbeReturn.OK
