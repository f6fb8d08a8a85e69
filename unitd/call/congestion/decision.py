"""What the controller says."""

from dataclasses import dataclass

from unitd.messages.duplex import Step


@dataclass(frozen=True, slots=True)
class Decision:
    """All of it levels. Rates as on the wire, for one far end."""

    step: Step
    target_bit_s: float
    """What the picture may take, resends aside."""
    pace_bit_s: float
    """How fast the picture's packets leave at most."""
    low_bit_s: int
    voice_bit_s: int
    voice_is_lossy: bool
    resend_bit_s: float
    resends_unasked: bool
    """The link loses what it has room for: what feedback tells lost goes again unasked, besides what is asked for. The
    question may be lost, and so may the answer."""
    pip: bool
    words: str
    holds: bool = False
    """The link is silent: no picture until it is back (the voice goes on, and tells when it is)."""
    flushes: int = 0
    """Rises when pictures that wait to be sent are to be thrown away."""
    trains: int = 0
    """Rises when a train is to be sent: some recent packets of the picture again, at once."""
    capacity_bit_s: float | None = None
    queue_s: float = 0.0
    loss: float = 0.0
    round_trip_s: float = 0.0
