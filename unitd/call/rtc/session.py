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
from typing import Any

from unitd.call.link.ice_servers import NO_SERVERS, UsableServers
from unitd.call.picture.units import AccessUnit
from unitd.call.rtc import playout_delay
from unitd.call.rtc.answer import MAX_CANDIDATES, ReadAnswer, read_answer, read_candidate
from unitd.call.rtc.data import DataChannels
from unitd.call.rtc.feedback import TransportFeedback
from unitd.call.rtc.gst import Gst, GstSdp, GstWebRTC
from unitd.call.rtc.ice import give_servers, tame_agent
from unitd.call.rtc.identity import throw_away_identity
from unitd.call.rtc.linkstats import LinkStats, read_stats
from unitd.call.rtc.picture_out import PictureOut
from unitd.call.rtc.pipeline import PIP_PIPELINE, PIPELINE, PRIMER, RESEND_WINDOW_MS, acceptable, mids_in
from unitd.call.rtc.session_events import AnsweredTwiceError, SessionEvents
from unitd.call.rtc.voice_in import VoiceIn
from unitd.call.rtc.voice_out import VoiceOut
from unitd.call.rtc.weakly import call, reading
from unitd.call.voice.playout import Playout
from unitd.errors import WireError


class PeerSession:
    """Offers at `start`, then sends what is pushed once connected. All methods belong on the loop's thread; none
    blocks.

    The pipeline is built and torn down on `executor` (a state change can take tens of milliseconds). `playout` draws
    the far end's voice. `hear_text(letters)` gets what it typed, on the loop. Without `data` no data channels are
    offered; without `hears` voice goes one way, as WHIP wants it. `relay_only`: nothing but TURN. With `pip` a second
    picture track is offered (`self.pip`), which an answer may refuse; it is silent until something is pushed.
    """

    pipeline_text = PIPELINE

    def __init__(
        self,
        peer: str,
        events: SessionEvents,
        playout: Playout,
        executor: Executor,
        hear_text: Callable[[str], None] = lambda _letters: None,
        data: bool = True,
        hears: bool = True,
        servers: UsableServers = NO_SERVERS,
        relay_only: bool = False,
        pip: bool = False,
    ) -> None:
        self.peer = peer
        self.connected = False
        self.state = "new"
        self._events = events
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._pipeline: Any = None
        self._rtc: Any = None
        self._handlers: list[tuple[Any, int]] = []
        self._offered = False
        self._closed = False
        self._promised: list[Any] = []
        self._resender: Any = None
        self._answered = False
        self._asked: set[str] = set()
        self.has_pip = False
        self.has_feedback = False
        """The far end agreed to report every packet."""
        self.on_pip_keyframe: Callable[[], None] = lambda: None
        self._mids: tuple[str, ...] = ()
        self._candidates = 0
        self._clock_ahead_ns: int | None = None
        me = weakref.ref(self)
        # All of these hold the session weakly: its last reference must not go on one of their threads.
        running_ns = reading(me, PeerSession._running_ns, 0)
        self.picture = PictureOut("picture", running_ns, lambda: call(me, PeerSession._ask_keyframe))
        self.pip = PictureOut("pip", running_ns, lambda: call(me, PeerSession._ask_pip_keyframe)) if pip else None
        self._tracks = (self.picture,) if self.pip is None else (self.picture, self.pip)
        self.voice = VoiceOut(running_ns)
        self.feedback = TransportFeedback(lambda *of: call(me, PeerSession._on_feedback, *of))
        self._voice_in = VoiceIn(playout)
        self.data = DataChannels(
            lambda *of: call(me, PeerSession._post_plain, *of),
            hear_text,
            lambda reason: call(me, lambda session: session._events.session_state(session, "error", reason)),
        )
        self._has_data = data
        self._hears = hears
        self._servers = servers
        self._relay_only = relay_only
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
        text = self.pipeline_text + (PIP_PIPELINE if self.pip is not None else "")
        pipeline = self._pipeline = Gst.parse_launch(text)
        rtc = self._rtc = pipeline.get_by_name("rtc")
        # Reports carry the monotonic clock: when the wall clock steps from 1970 to today in the middle of a call, the
        # round trip would else be hours for one reading after another and the picture given up.
        rtc.get_by_name("rtpbin").set_property("ntp-time-source", "clock-time")
        self._attach(pipeline, rtc)
        give_servers(rtc, self._servers, self._relay_only)
        # The handlers hold the session weakly: a cycle through a GObject closure is never collected.
        me = weakref.ref(self)
        self._identity = throw_away_identity()
        pem = self._identity.pem
        self._connect(pipeline, "deep-element-added", lambda _p, _b, element: _on_element(me, element, pem))
        self._connect(rtc, "on-negotiation-needed", lambda _rtc: call(me, lambda session: session._negotiate()))
        self._connect(rtc, "on-ice-candidate", lambda _rtc, m, c: call(me, PeerSession._on_candidate, m, c))
        self._connect(rtc, "notify::connection-state", lambda *_: call(me, PeerSession._on_state))
        self._connect(rtc, "pad-added", lambda _rtc, pad: call(me, PeerSession._on_pad, pad))
        if self._has_data:
            pipeline.set_state(Gst.State.READY)
            self.data.create(rtc, self._connect)
        pipeline.set_state(Gst.State.PLAYING)
        self._prime()

    def _attach(self, pipeline: Any, rtc: Any) -> None:
        """The media of this session, before anything runs."""
        self.picture.attach(pipeline)
        self.voice.attach(pipeline)
        for index, name in enumerate(("picture", "voice")):
            # One shared stream id makes browsers delay the picture to lip-sync it.
            rtc.get_static_pad(f"sink_{index}").set_property("msid", name)
        picture = rtc.emit("get-transceiver", 0)
        picture.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        picture.set_property("do-nack", True)
        if self.pip is not None:
            self.pip.attach(pipeline)
            rtc.get_static_pad("sink_2").set_property("msid", "pip")
            pip = rtc.emit("get-transceiver", 2)
            pip.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
            pip.set_property("do-nack", True)
        if not self._hears:
            voice = rtc.emit("get-transceiver", 1)
            voice.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)

    def _prime(self) -> None:
        self.picture.prime(PRIMER)
        self.voice.prime()
        if self.pip is not None:
            self.pip.prime(PRIMER)

    def _open(self) -> None:
        self.picture.open()
        if self.pip is not None and self.has_pip:
            self.pip.open()
        self.voice.open()

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
        for track in self._tracks:
            track.shut()
        pipeline.set_state(Gst.State.NULL)
        pipeline.get_state(2 * Gst.SECOND)
        for element in list(pipeline.children):
            pipeline.remove(element)
        for track in self._tracks:
            track.detach()
        self.voice.detach()
        self._voice_in.detach()
        self.data.detach()
        self.feedback.detach()
        self._pipeline = self._rtc = self._resender = None
        self._promised.clear()

    def _post(self, method: Callable[..., None], *values: Any) -> None:
        """Hand over to the loop from any thread."""
        if self._closed:
            return
        try:
            self._loop.call_soon_threadsafe(self._deliver, method, values)
        except RuntimeError:
            return  # the loop has ended: so does everything here

    def _post_plain(self, function: Callable[..., None], *values: Any) -> None:
        self._post(lambda _session, *of: function(*of), *values)

    def _deliver(self, method: Callable[..., None], values: tuple[Any, ...]) -> None:
        if not self._closed:
            method(self, *values)

    # --- negotiation (GStreamer threads) ----------------------------------------------------------------------------

    def _negotiate(self) -> None:
        if self._offered or self._closed:
            return
        self._offered = True
        me = weakref.ref(self)
        promise = Gst.Promise.new_with_change_func(lambda p, *_: call(me, PeerSession._on_offer, p))
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
        # TCP candidates only lengthen the search; the agent makes none (tame_agent), and none is passed on.
        if " UDP " in candidate.upper():
            self._post(self._events.session_candidate, mline, candidate)

    def _on_state(self) -> None:
        rtc = self._rtc
        if rtc is not None:
            self._post(PeerSession._state_on_loop, rtc.get_property("connection-state").value_nick)

    def _on_pad(self, pad: Any) -> None:
        if pad.direction != Gst.PadDirection.SRC or self._closed:
            return
        self._voice_in.take_pad(self._pipeline, pad)

    # --- negotiation (loop) -----------------------------------------------------------------------------------------

    def _state_on_loop(self, state: str) -> None:
        self.state = state
        if state == "connected" and not self.connected:
            self._open()
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
            raise AnsweredTwiceError("answered twice")
        read = self._read(sdp)
        result, message = GstSdp.SDPMessage.new_from_text(read.sdp)
        if result != GstSdp.SDPResult.OK:
            raise WireError("answer cannot be read by GStreamer")
        self._answered = True
        self.has_pip = read.has_pip
        self.has_feedback = read.has_feedback
        for track in self._tracks if read.shows_at_once else ():
            track.pacer.mark(playout_delay.EXTENSION_ID, playout_delay.SAID)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        promise = Gst.Promise.new()
        self._promised += [answer, promise]
        self._rtc.emit("set-remote-description", answer, promise)
        for mline, candidate in read.candidates:
            self.add_candidate(mline, candidate)

    def _read(self, sdp: str) -> ReadAnswer:
        return read_answer(sdp, self._mids, self._hears, self.pip is not None)

    def add_candidate(self, mline: int, candidate: str) -> None:
        """Take one of the peer's transport candidates; what is none, and what is too much, is let go. So is what comes
        before the offer: it belongs to the session before."""
        if not self._mids or self._closed or mline > 3 or self._candidates >= MAX_CANDIDATES:
            return
        text = read_candidate(candidate)
        if text is not None:
            self._candidates += 1
            self._rtc.emit("add-ice-candidate", mline, text)

    # --- media (loop) -----------------------------------------------------------------------------------------------

    def push_picture(self, unit: AccessUnit) -> None:
        """Send one live picture, as PictureOut.push."""
        self.picture.push(unit)

    def push_backlog(self, units: list[AccessUnit]) -> None:
        """Send a group of pictures from its keyframe to now, as PictureOut.push_backlog."""
        self.picture.push_backlog(units)

    def push_voice(self, pcm: bytes) -> None:
        """Send one frame of 20 ms, as VoiceOut.push; on any thread."""
        self.voice.push(pcm)

    def deaf(self) -> str:
        """Why the far end's voice is not heard although it comes, as VoiceIn.stuck; empty when all is well."""
        return "" if self._closed else self._voice_in.stuck()

    def resends(self) -> tuple[int, int]:
        """How many packets of the picture the far end has asked for again, and how many were sent, since the start."""
        resender = self._resender
        return (int(resender.get_property("num-rtx-requests")) if resender is not None else 0), self.feedback.pictures

    def poll(self, on_stats: Callable[[LinkStats], None]) -> None:
        """Once a second: report a pipeline error as state `error`, and ask for the link's figures (`on_stats` on the
        loop)."""
        if self._pipeline is None or self._closed:
            return
        if (error := self._pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)) is not None:
            if error.src.get_name().startswith("sctp"):
                # An outage of 3 s is too much for the data channels, and costs the picture and the voice nothing:
                # letters and stills take the signalling link from here on.
                self.data.lose()
                return
            failure, where = error.parse_error()
            detail = f"{error.src.get_name()}: {failure.message} {(where or '').splitlines()[-1:]}"
            self._events.session_state(self, "error", detail[:300])
            return
        if self.connected:
            me = weakref.ref(self)
            promise = Gst.Promise.new_with_change_func(lambda p, *_: call(me, PeerSession._on_stats, p, on_stats))
            self._rtc.emit("get-stats", None, promise)

    def _on_stats(self, promise: Any, on_stats: Callable[[LinkStats], None]) -> None:
        stats = read_stats(promise.get_reply())
        if stats is not None:
            self._post(lambda _session, value: on_stats(value), stats)

    def _on_feedback(self, fci: bytes, at_s: float) -> None:
        if self.connected:
            self._post(lambda session: session._events.session_feedback(session, fci, at_s))

    def _ask_pip_keyframe(self) -> None:
        self._ask_once("pip", lambda session: session.on_pip_keyframe())

    def _ask_keyframe(self) -> None:
        self._ask_once("picture", self._events.session_wants_keyframe)

    def _ask_once(self, track: str, ask: Callable[["PeerSession"], None]) -> None:
        """On a GStreamer thread; a flood of requests is one."""
        if track not in self._asked:
            self._asked.add(track)
            self._post(PeerSession._asked_on_loop, track, ask)

    def _asked_on_loop(self, track: str, ask: Callable[["PeerSession"], None]) -> None:
        self._asked.discard(track)
        ask(self)

    def _running_ns(self) -> int:
        # Asked of GStreamer once: its clock is the monotonic one, and never another in the life of a pipeline.
        if self._clock_ahead_ns is None:
            pipeline = self._pipeline
            self._clock_ahead_ns = pipeline.get_clock().get_time() - pipeline.get_base_time() - time.monotonic_ns()
        return time.monotonic_ns() + self._clock_ahead_ns


def _on_element(reference: "weakref.ref[PeerSession]", element: Any, pem: str) -> None:
    factory = element.get_factory()
    match factory.get_name() if factory is not None else "":
        case "rtprtxsend":
            element.set_property("max-size-packets", 0)
            element.set_property("max-size-time", RESEND_WINDOW_MS)
            session = reference()
            if session is not None:
                session._resender = element
                session.feedback.take_resender(element)
        case "rtpsession" if (session := reference()) is not None:
            session.feedback.take_session(element, session._connect)
        case "rtpjitterbuffer" if (session := reference()) is not None:
            session._voice_in.take_buffer(element)
        case "nicesrc" | "nicesink":
            tame_agent(element)
        case "dtlssrtpdec":
            element.set_property("pem", pem)  # once more when its bin moves: the same one
