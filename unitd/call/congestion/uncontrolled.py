"""No control at all: what a proof compares the controller with. Nothing in the product chooses it."""

from collections.abc import Iterable

from unitd.call.congestion.decision import Decision
from unitd.call.congestion.packet_log import Kind
from unitd.call.rtc.linkstats import LinkStats
from unitd.messages.duplex import Step

NO_LIMIT_BIT_S = 100e6


class Uncontrolled:
    """The same sight from outside, deciding nothing: the best step, no pace, no cap. For a comparison in a proof."""

    def __init__(
        self, steps: tuple[Step, ...], now_s: float, *, has_feedback: bool, known_bit_s: float | None = None
    ) -> None:
        self._step = steps[0]
        self._reported = LinkStats()

    def needs(self, bit_s: dict[Step, float], pip_bit_s: float = 0.0) -> None: ...

    def sent(self, packets: Iterable[tuple[int, int, float, Kind]]) -> None:
        for _ in packets:
            pass

    def feedback(self, fci: bytes, now_s: float) -> None: ...

    def report(self, stats: LinkStats, now_s: float) -> None:
        self._reported = stats

    def take_lost(self) -> list[int]:
        return []

    def asked_again(self, asked: int, sent: int, now_s: float) -> None: ...

    def decide(self, now_s: float) -> Decision:
        return Decision(
            step=self._step, target_bit_s=NO_LIMIT_BIT_S, pace_bit_s=NO_LIMIT_BIT_S, low_bit_s=400_000,
            voice_bit_s=32_000, voice_is_lossy=True, resend_bit_s=NO_LIMIT_BIT_S, resends_unasked=False,
            pip=False, words="not controlled", round_trip_s=self._reported.round_trip_s or 0.0,
        )  # fmt: skip
