"""What real cameras do to their streams while they go on: clocks that jump, sources that change, pictures cut short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Disturbance = Literal["jump", "back", "still", "source", "lose", "half", "bye", "parameters", "calm"]
DISTURBANCES: tuple[Disturbance, ...] = get_args(Disturbance)
"""`jump`: RTP time one hour ahead; `back`: 5 s back; `still`: it stands until `calm`; `source`: another SSRC, sequence
and time; `lose`: one packet fewer; `half`: half a picture and then nothing more, the connection open; `bye`: RTCP BYE
and silence; `parameters`: half the picture's size, or the whole again."""

_CLOCK_HZ = 90_000


@dataclass
class Quirks:
    """One camera's, seen by every stream of it; on the event loop."""

    offset_ticks: int = 0
    still: bool = False
    sources: int = 0
    losses: int = 0
    halves: int = 0
    byes: int = 0

    def disturb(self, what: Disturbance) -> None:
        """Do it once, or begin it."""
        match what:
            case "jump":
                self.offset_ticks += 3600 * _CLOCK_HZ
            case "back":
                self.offset_ticks -= 5 * _CLOCK_HZ
            case "still":
                self.still = True
            case "source":
                self.sources += 1
            case "lose":
                self.losses += 1
            case "half":
                self.halves += 1
            case "bye":
                self.byes += 1
            case "calm":
                self.still = False
            case "parameters":
                pass  # the encoder's
