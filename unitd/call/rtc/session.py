"""One peer's media session: a webrtcbin with the picture passed through and Opus voice both ways.

GStreamer's own threads do the work. Its signal handlers here only read a value and hand it to the loop; the voice of
the far end goes straight to a thread-safe sink. docs/adr/0003-webrtcbin-for-the-call.md lists the traps behind this.
"""

import asyncio
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Protocol

from unitd.call.congestion.pacer import Pacer, pace_bit_s
from unitd.call.picture.units import AccessUnit
from unitd.call.rtc.answer import MAX_CANDIDATES, read_answer, read_candidate
from unitd.call.rtc.gst import Gst, GstSdp, GstWebRTC, buffer_of, bytes_of
from unitd.call.rtc.identity import throw_away_identity
from unitd.call.rtc.linkstats import LinkStats, read_stats
from unitd.call.rtc.pipeline import FRAME_NS, PIPELINE, PRIMER, RESEND_WINDOW_MS, SILENCE, VOICE_IN, acceptable, mids_in
from unitd.call.rtc.timeline import Timeline
from unitd.errors import WireError

MAX_WAITING_PICTURE_BYTES = 3_000_000
LEAST_SLEEP_S = 0.002
LONGEST_SLEEP_S = 0.05
"""Of the picture's own thread between two packets; the end of a session waits for it."""
UNTIL_KNOWN_BIT_S = 2_000_000.0
MAX_VOICES = 4
"""Streams of sound that one console may send; a browser sends one."""
MAX_WAITING_VOICE_BYTES = 10 * len(SILENCE)
VOICE_REBASE_NS = 250_000_000


class SessionEvents(Protocol):
    """What a session tells its owner, on the loop. `state` is webrtcbin's connection state, or `error`."""

    def session_offers(self, session: "PeerSession", sdp: str) -> None: ...

    def session_candidate(self, session: "PeerSession", mline: int, candidate: str) -> None: ...

    def session_state(self, session: "PeerSession", state: str, detail: str) -> None: ...

    def session_wants_keyframe(self, session: "PeerSession") -> None: ...


class PeerSession:
    """Offers at `start`, then sends what is pushed once connected. All methods belong on the loop's thread; none
    blocks.

    The pipeline is built and torn down on `executor` (a state change can take tens of milliseconds). `hear(pcm)` gets
    the far end's voice, 48 kHz s16 mono in pieces of any length, on a GStreamer thread: it must be thread-safe and
    quick.
    """

    def __init__(self, peer: str, events: SessionEvents, hear: Callable[[bytes], None], executor: Executor) -> None:
        self.peer = peer
        self.connected = False
        self.state = "new"
        self.dropped_pictures = 0
        self.dropped_voice = 0
        self._events = events
        self._hear = hear
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._timeline = Timeline()
        self._pipeline: Any = None
        self._handlers: list[tuple[Any, int]] = []
        self._offered = False
        self._closed = False
        self._promised: list[Any] = []
        self._voice_ns = 0
        self._await_keyframe = True
        self._pacer = Pacer(UNTIL_KNOWN_BIT_S)
        self._stream_bit_s = UNTIL_KNOWN_BIT_S
        self._is_clean = False
        self._stale_before_ns = 0
        self._resender: Any = None
        self._answered = False
        self._mids: tuple[str, ...] = ()
        self._candidates = 0
        self._voices = 0
        # A session may be closed while another thread still builds it.
        self._building = threading.Lock()

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Build the pipeline and let it run; the offer follows by itself. Raises GLib errors of a missing element."""
        await self._loop.run_in_executor(self._executor, self._build)

    async def close(self) -> None:
        """End the session and free every descriptor and thread of it. Never raises; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self.connected = False
        await self._loop.run_in_executor(self._executor, self._tear_down)

    def _build(self) -> None:
        with self._building:
            if not self._closed:
                self._build_pipeline()

    def _build_pipeline(self) -> None:
        pipeline = self._pipeline = Gst.parse_launch(PIPELINE)
        rtc = self._rtc = pipeline.get_by_name("rtc")
        # Reports carry the monotonic clock: when the wall clock steps from 1970 to today in the middle of a call, the
        # round trip would else be hours for one reading after another and the picture given up.
        rtc.get_by_name("rtpbin").set_property("ntp-time-source", "clock-time")
        self._picture = pipeline.get_by_name("picture")
        self._voice = pipeline.get_by_name("voice")
        for index, name in enumerate(("picture", "voice")):
            # One shared stream id makes browsers delay the picture to lip-sync it.
            rtc.get_static_pad(f"sink_{index}").set_property("msid", name)
        picture = rtc.emit("get-transceiver", 0)
        picture.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        picture.set_property("do-nack", True)
        # The handlers hold the session weakly: a cycle through a GObject closure is never collected.
        me = weakref.ref(self)
        self._identity = throw_away_identity()
        pem = self._identity.pem
        self._connect(pipeline, "deep-element-added", lambda _p, _b, element: _on_element(me, element, pem))
        self._connect(rtc, "on-negotiation-needed", lambda _rtc: _call(me, PeerSession._negotiate))
        self._connect(rtc, "on-ice-candidate", lambda _rtc, m, c: _call(me, PeerSession._on_candidate, m, c))
        self._connect(rtc, "notify::connection-state", lambda *_: _call(me, PeerSession._on_state))
        self._connect(rtc, "pad-added", lambda _rtc, pad: _call(me, PeerSession._on_pad, pad))
        upstream = self._picture.get_static_pad("src")
        upstream.add_probe(Gst.PadProbeType.EVENT_UPSTREAM, lambda _pad, info: _on_upstream(me, info))
        upstream.add_probe(Gst.PadProbeType.BUFFER, lambda _pad, info: _on_picture(me, info))
        # Behind `identity` packets come one by one; the picture's own thread sleeps here, the voice has another.
        paced = pipeline.get_by_name("pace").get_static_pad("src")
        paced.add_probe(Gst.PadProbeType.BUFFER, lambda _pad, info: _on_packet(me, info))
        pipeline.set_state(Gst.State.PLAYING)
        self._picture.emit("push-buffer", buffer_of(PRIMER, 0))
        self._voice.emit("push-buffer", buffer_of(SILENCE, 0, FRAME_NS))
        self._voice.emit("push-buffer", buffer_of(SILENCE, FRAME_NS, FRAME_NS))

    def _connect(self, source: Any, signal: str, handler: Callable[..., None]) -> None:
        self._handlers.append((source, source.connect(signal, handler)))

    def _tear_down(self) -> None:
        with self._building:
            if self._pipeline is not None:
                self._tear_down_pipeline()

    def _tear_down_pipeline(self) -> None:
        pipeline = self._pipeline
        for source, handler in self._handlers:
            source.disconnect(handler)
        self._handlers.clear()
        pipeline.get_bus().set_flushing(True)
        pipeline.set_state(Gst.State.NULL)
        pipeline.get_state(2 * Gst.SECOND)
        for element in list(pipeline.children):
            pipeline.remove(element)
        self._pipeline = self._rtc = self._picture = self._voice = self._resender = None
        self._promised.clear()

    def _post(self, method: Callable[..., None], *values: Any) -> None:
        """Hand over to the loop from any thread."""
        if self._closed:
            return
        try:
            self._loop.call_soon_threadsafe(self._deliver, method, values)
        except RuntimeError:
            return  # the loop has ended: so does everything here

    def _deliver(self, method: Callable[..., None], values: tuple[Any, ...]) -> None:
        if not self._closed:
            method(self, *values)

    # --- negotiation (GStreamer threads) ----------------------------------------------------------------------------

    def _negotiate(self) -> None:
        if self._offered or self._closed:
            return
        self._offered = True
        me = weakref.ref(self)
        promise = Gst.Promise.new_with_change_func(lambda p, *_: _call(me, PeerSession._on_offer, p))
        self._rtc.emit("create-offer", None, promise)

    def _on_offer(self, promise: Any) -> None:
        reply = promise.get_reply()
        if reply is None or self._closed:
            return
        offer = reply.get_value("offer")
        # The description belongs to the reply: freed under webrtcbin it is a segmentation fault.
        self._promised += [promise, reply, offer]
        self._rtc.emit("set-local-description", offer, Gst.Promise.new())
        sdp = offer.sdp.as_text()
        self._mids = mids_in(sdp)
        self._post(self._events.session_offers, acceptable(sdp, self._identity.fingerprint))

    def _on_candidate(self, mline: int, candidate: str) -> None:
        # TCP candidates only lengthen the search. (Not switched off in the ICE agent: reading that property from Python
        # takes its only reference away, and the next step is a segmentation fault.)
        if " UDP " in candidate.upper():
            self._post(self._events.session_candidate, mline, candidate)

    def _on_state(self) -> None:
        rtc = self._rtc
        if rtc is not None:
            self._post(PeerSession._state_on_loop, rtc.get_property("connection-state").value_nick)

    def _on_pad(self, pad: Any) -> None:
        if pad.direction != Gst.PadDirection.SRC or self._closed:
            return
        caps = pad.get_current_caps() or pad.query_caps(None)
        # As text: from GStreamer 1.26 on, Python gets another kind of structure than before.
        if "media=(string)audio" not in caps.to_string():
            return
        self._voices += 1
        if self._voices > MAX_VOICES:
            return
        ear = Gst.parse_bin_from_description(VOICE_IN, True)
        hear = self._hear

        def heard(sink: Any) -> Any:
            sample = sink.emit("pull-sample")
            if sample is not None:
                hear(bytes_of(sample.get_buffer()))
            return Gst.FlowReturn.OK

        self._connect(ear.get_by_name("ear"), "new-sample", heard)
        self._pipeline.add(ear)
        ear.sync_state_with_parent()
        pad.link(ear.get_static_pad("sink"))

    # --- negotiation (loop) -----------------------------------------------------------------------------------------

    def _state_on_loop(self, state: str) -> None:
        self.state = state
        if state == "connected" and not self.connected:
            for gate in ("picture_gate", "voice_gate"):
                self._pipeline.get_by_name(gate).set_property("drop", False)
            self._voice_ns = self._running_ns()
            self.connected = True
        self._events.session_state(self, state, "")

    def set_answer(self, sdp: str) -> None:
        """Take the peer's answer, the first one that can be read. Raises WireError with the reason when it cannot be
        taken; the session is as it was."""
        if self._pipeline is None or self._closed:
            return
        if not self._mids:
            raise WireError("answer to an offer that was not made")
        if self._answered:
            raise WireError("answered twice")
        read = read_answer(sdp, self._mids)
        result, message = GstSdp.SDPMessage.new_from_text(read.sdp)
        if result != GstSdp.SDPResult.OK:
            raise WireError("answer cannot be read by GStreamer")
        self._answered = True
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        promise = Gst.Promise.new()
        self._promised += [answer, promise]
        self._rtc.emit("set-remote-description", answer, promise)
        for mline, candidate in read.candidates:
            self.add_candidate(mline, candidate)

    def add_candidate(self, mline: int, candidate: str) -> None:
        """Take one of the peer's transport candidates; what is none, and what is too much, is let go."""
        if self._pipeline is None or self._closed or mline > 1 or self._candidates >= MAX_CANDIDATES:
            return
        text = read_candidate(candidate)
        if text is not None:
            self._candidates += 1
            self._rtc.emit("add-ice-candidate", mline, text)

    # --- media (loop) -----------------------------------------------------------------------------------------------

    def push_picture(self, unit: AccessUnit) -> None:
        """Send one live picture. Before the peer is connected, and from a congested queue on until the next keyframe,
        pictures are dropped (the latter counted)."""
        if not self.connected:
            return
        if self._picture.get_property("current-level-bytes") > MAX_WAITING_PICTURE_BYTES:
            self._await_keyframe = True
        if self._await_keyframe and not unit.keyframe:
            self.dropped_pictures += 1
            return
        self._await_keyframe = False
        self._picture.emit("push-buffer", buffer_of(unit.data, self._timeline.live(unit.source_ns, self._running_ns())))
        self._set_pace()

    def push_backlog(self, units: list[AccessUnit]) -> None:
        """Send a group of pictures from its keyframe to now, as fast as the pace allows: for a peer that has just come,
        or lost one. What still waits of before is let go."""
        if not self.connected or not units or not units[0].keyframe:
            return
        self._await_keyframe = False
        self._stale_before_ns = self._timeline.next_ns
        for unit, pts_ns in zip(units, self._timeline.backlog(len(units), self._running_ns()), strict=True):
            self._picture.emit("push-buffer", buffer_of(unit.data, pts_ns))
        self._set_pace()

    def pace(self, stream_bit_s: float, is_clean: bool) -> None:
        """What the stream takes by itself, and whether the link has shown itself clean."""
        self._stream_bit_s, self._is_clean = stream_bit_s, is_clean
        self._set_pace()

    def _set_pace(self) -> None:
        if self._picture is not None:
            waiting = self._picture.get_property("current-level-bytes")
            self._pacer.rate_bit_s = pace_bit_s(self._stream_bit_s, self._is_clean, waiting)

    def resends(self) -> tuple[int, int]:
        """How many packets of the picture the far end has asked for again, and how many were sent, since the start."""
        resender = self._resender
        return (int(resender.get_property("num-rtx-requests")) if resender is not None else 0), self._pacer.sent

    def await_keyframe(self) -> None:
        """Send nothing of the picture until its next keyframe (its source changes); what waits is let go."""
        self._await_keyframe = True
        self._stale_before_ns = self._timeline.next_ns

    def push_voice(self, pcm: bytes) -> None:
        """Send one frame of 20 ms (FRAME_SAMPLES of s16). Times are exactly 20 ms apart: arrival times measured on the
        way cost 14.5 % of concealment at the far end. A gap of more than 250 ms is a jump."""
        if not self.connected:
            return
        if self._voice.get_property("current-level-bytes") > MAX_WAITING_VOICE_BYTES:
            self.dropped_voice += 1
            return
        now_ns = self._running_ns()
        if abs(now_ns - self._voice_ns) > VOICE_REBASE_NS:
            self._voice_ns = now_ns
        self._voice.emit("push-buffer", buffer_of(pcm, self._voice_ns, FRAME_NS))
        self._voice_ns += FRAME_NS

    def poll(self, on_stats: Callable[[LinkStats], None]) -> None:
        """Once a second: report a pipeline error as state `error`, and ask for the link's figures (`on_stats` on the
        loop)."""
        if self._pipeline is None or self._closed:
            return
        error = self._pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
        if error is not None:
            self._events.session_state(self, "error", error.parse_error()[0].message)
            return
        if self.connected:
            me = weakref.ref(self)
            promise = Gst.Promise.new_with_change_func(lambda p, *_: _call(me, PeerSession._on_stats, p, on_stats))
            self._rtc.emit("get-stats", None, promise)

    def _on_stats(self, promise: Any, on_stats: Callable[[LinkStats], None]) -> None:
        stats = read_stats(promise.get_reply())
        if stats is not None:
            self._post(lambda _session, value: on_stats(value), stats)

    def _running_ns(self) -> int:
        now_ns: int = self._pipeline.get_clock().get_time() - self._pipeline.get_base_time()
        return now_ns


def _call(reference: "weakref.ref[PeerSession]", method: Callable[..., None], *values: Any) -> None:
    session = reference()
    if session is not None:
        method(session, *values)


def _on_element(reference: "weakref.ref[PeerSession]", element: Any, pem: str) -> None:
    factory = element.get_factory()
    match factory.get_name() if factory is not None else "":
        case "rtprtxsend":
            element.set_property("max-size-packets", 0)
            element.set_property("max-size-time", RESEND_WINDOW_MS)
            session = reference()
            if session is not None:
                session._resender = element
        case "dtlssrtpdec":
            element.set_property("pem", pem)  # once more when its bin moves: the same one


def _on_upstream(reference: "weakref.ref[PeerSession]", info: Any) -> Any:
    structure = info.get_event().get_structure()
    if structure is not None and structure.get_name() == "GstForceKeyUnit":
        session = reference()
        if session is not None:
            session._post(session._events.session_wants_keyframe)
    return Gst.PadProbeReturn.OK


def _on_picture(reference: "weakref.ref[PeerSession]", info: Any) -> Any:
    """Before the payloader, so that the far end misses no packet number of what is let go here."""
    session = reference()
    if session is None or info.get_buffer().pts < session._stale_before_ns:
        return Gst.PadProbeReturn.DROP
    return Gst.PadProbeReturn.OK


def _on_packet(reference: "weakref.ref[PeerSession]", info: Any) -> Any:
    session = reference()
    if session is not None and session.connected:
        wait_s = session._pacer.wait_s(info.get_buffer().get_size(), time.monotonic())
        del session  # not held while asleep: the last reference must not go on this thread
        if wait_s > LEAST_SLEEP_S:
            time.sleep(min(wait_s, LONGEST_SLEEP_S))
    return Gst.PadProbeReturn.OK
