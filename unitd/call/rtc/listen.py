"""A session that only hears: the operator's voice from a media server (WHEP)."""

from concurrent.futures import Executor
from typing import Any

from unitd.call.link.ice_servers import NO_SERVERS, UsableServers
from unitd.call.rtc.answer import ReadAnswer, read_voice_answer
from unitd.call.rtc.gst import Gst, GstWebRTC
from unitd.call.rtc.pipeline import LISTEN_CAPS, LISTEN_PIPELINE
from unitd.call.rtc.session import PeerSession
from unitd.call.rtc.session_events import SessionEvents
from unitd.call.voice.playout import Playout


class ListenSession(PeerSession):
    """As PeerSession; what is pushed into it goes nowhere."""

    pipeline_text = LISTEN_PIPELINE

    def __init__(
        self,
        peer: str,
        events: SessionEvents,
        playout: Playout,
        executor: Executor,
        servers: UsableServers = NO_SERVERS,
    ) -> None:
        super().__init__(peer, events, playout, executor, data=False, servers=servers)
        self._asked_for = False

    def _attach(self, pipeline: Any, rtc: Any) -> None:
        """Nothing is sent."""

    def _prime(self) -> None:
        self._rtc.emit(
            "add-transceiver",
            GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY,
            Gst.Caps.from_string(LISTEN_CAPS),
        )
        self._asked_for = True
        self._negotiate()

    def _negotiate(self) -> None:
        # webrtcbin wants to negotiate as soon as it plays, and only once: an offer before the voice was asked for would
        # have no media in it.
        if self._asked_for:
            super()._negotiate()

    def _open(self) -> None:
        """Nothing is sent."""

    def _read(self, sdp: str) -> ReadAnswer:
        return read_voice_answer(sdp, self._mids)
