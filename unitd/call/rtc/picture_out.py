"""One picture track of a session on its way out: gate, pace, and the group of pictures that a far end begins with."""

import weakref
from collections.abc import Callable
from typing import Any

from unitd.call.congestion.pacer import LONGEST_WAIT_S
from unitd.call.picture.units import AccessUnit
from unitd.call.rtc.gst import Gst
from unitd.call.rtc.packets import Pacer
from unitd.call.rtc.source import Source
from unitd.call.rtc.timeline import Timeline

MAX_WAITING_PICTURE_BYTES = 3_000_000
LONGEST_BACKLOG_S = 0.7
UNTIL_KNOWN_BIT_S = 2_000_000.0


class PictureOut:
    """The elements `<name>` (appsrc), `<name>_packets` (payloader) and `<name>_gate` of a pipeline. Until `open`
    nothing leaves.

    `attach` and `detach` belong to the thread that builds the pipeline, the probes to GStreamer's, all else to the
    loop; nothing blocks but the track's own streaming thread, between two packets. `wants_keyframe` is called on a
    GStreamer thread when the far end asks for one.
    """

    def __init__(self, name: str, running_ns: Callable[[], int], wants_keyframe: Callable[[], None]) -> None:
        self.name = name
        self.dropped_pictures = 0
        self._running_ns = running_ns
        self._wants_keyframe = wants_keyframe
        self._timeline = Timeline()
        self._source: Source | None = None
        self._gate: Any = None
        self._is_open = False
        self._await_keyframe = True
        self._holds = False
        self.pacer = Pacer(UNTIL_KNOWN_BIT_S)

    def attach(self, pipeline: Any) -> None:
        """Take the track's elements out of `pipeline`."""
        source = pipeline.get_by_name(self.name)
        self._source = Source(source)
        self._gate = pipeline.get_by_name(f"{self.name}_gate")
        # The probes hold the track weakly: a cycle through a GObject closure is never collected.
        me = weakref.ref(self)
        upstream = source.get_static_pad("src")
        upstream.add_probe(Gst.PadProbeType.EVENT_UPSTREAM, lambda _pad, info: _on_upstream(me, info))
        # Pictures are dropped before the payloader, so that the far end misses no packet number. The picture's own
        # thread sleeps behind it, the voice has another.
        packets = pipeline.get_by_name(f"{self.name}_packets").get_static_pad("src")
        self.pacer.watch(upstream, packets, self._gate.get_static_pad("src").get_peer())

    def prime(self, keyframe: bytes) -> None:
        """Let the payloader announce itself: webrtcbin negotiates when every track has had a buffer."""
        if self._source is not None:
            self._source.push(keyframe, 0)

    def open(self) -> None:
        """From now on pictures leave."""
        self._gate.set_property("drop", False)
        self._is_open = True
        self.pacer.open(True)

    def shut(self) -> None:
        """Nothing more is taken, and no packet waits: the end of a session waits for the track's thread."""
        self._is_open = False
        self.pacer.open(False)

    def detach(self) -> None:
        """Let go of the elements: nothing of the pipeline is held any more."""
        self._source = self._gate = None

    @property
    def awaits_keyframe(self) -> bool:
        """Nothing is sent until the next keyframe is pushed."""
        return self._await_keyframe and not self._holds

    @property
    def waiting_bytes(self) -> int:
        """What has been pushed and has not been taken by the track's thread."""
        return 0 if self._source is None else self._source.waiting_bytes

    def push(self, unit: AccessUnit) -> None:
        """Send one live picture. Before `open`, and from a congested queue on until the next keyframe, pictures are
        dropped (the latter counted)."""
        source = self._source
        if source is None or not self._is_open or self._holds:
            return
        if self.waiting_bytes > min(MAX_WAITING_PICTURE_BYTES, LONGEST_WAIT_S * self.pacer.rate_bit_s / 8):
            self.await_keyframe()
        if self._await_keyframe and not unit.keyframe:
            self.dropped_pictures += 1
            return
        self._await_keyframe = False
        source.push(unit.data, self._timeline.live(unit.source_ns, self._running_ns()))

    def push_backlog(self, units: list[AccessUnit]) -> None:
        """Send a group of pictures from its keyframe to now, as fast as the pace allows: for a peer that has just come,
        or lost one. What still waits of before is let go. A group that would take longer than LONGEST_BACKLOG_S is
        not sent but for its keyframe: it would be out when the next one comes."""
        source = self._source
        if source is None or not self._is_open or self._holds or not units or not units[0].keyframe:
            return
        self.pacer.drop_before(self._timeline.next_ns)
        self._await_keyframe = self.takes_s(units) > LONGEST_BACKLOG_S
        if self._await_keyframe:
            units = units[:1]
        for unit, pts_ns in zip(units, self._timeline.backlog(len(units), self._running_ns()), strict=True):
            source.push(unit.data, pts_ns)

    def takes_s(self, units: list[AccessUnit]) -> float:
        """How long these are on their way out, at the present pace."""
        return sum(len(unit.data) for unit in units) * 8 / self.pacer.rate_bit_s

    def await_keyframe(self) -> None:
        """Send nothing of the picture until its next keyframe (its source changes); what waits is let go."""
        self._await_keyframe = True
        self._timeline.anew()
        self.pacer.drop_before(self._timeline.next_ns)

    def set_pace(self, bit_s: float) -> None:
        """How fast packets may leave at most. What would wait longer than LONGEST_WAIT_S at it is let go, up to the
        next keyframe."""
        self.pacer.rate_bit_s = bit_s

    def flush(self) -> None:
        """Throw away what waits, the rest of the picture that is leaving too: the link does not carry it."""
        self.await_keyframe()

    def hold(self, holds: bool) -> None:
        """While held nothing is taken; what waits is thrown away."""
        if holds and not self._holds:
            self.await_keyframe()
        self._holds = holds


def _on_upstream(reference: "weakref.ref[PictureOut]", info: Any) -> Any:
    structure = info.get_event().get_structure()
    if structure is not None and structure.get_name() == "GstForceKeyUnit":
        track = reference()
        if track is not None:
            track._wants_keyframe()
    return Gst.PadProbeReturn.OK
