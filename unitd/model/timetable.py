"""When an alarm is sent again: until the control room's system says `received`, for ever, with back-off; and when a
lost broker is dialled again."""

FIRST_NS = 2_000_000_000
LONGEST_NS = 30_000_000_000
REDIAL_FIRST_S, REDIAL_LONGEST_S = 1.0, 10.0
REDIAL_SPREAD = 0.5
"""A broker that dies loses all its units in one instant; they must not all come back in one (docs/benchmarks.md)."""


def resend_after_ns(attempt: int) -> int:
    """The pause after the `attempt`-th sending (1 = first): 2, 4, 8, 16, then every 30 s. Pure."""
    return min(FIRST_NS << max(0, min(attempt - 1, 10)), LONGEST_NS)


def redial_s(short: int, chance: float) -> tuple[float, float]:
    """The first and the longest pause before a broker is dialled again; between them it doubles with each try. Pure.

    `short` counts the connections in a row that did not hold: each after the first doubles the first pause. `chance`, 0
    to 1 and drawn anew for each loss, spreads both by REDIAL_SPREAD each way.
    """
    by = 1 - REDIAL_SPREAD + 2 * REDIAL_SPREAD * chance
    first_s = min(REDIAL_FIRST_S * 2 ** min(max(short - 1, 0), 8), REDIAL_LONGEST_S)
    return first_s * by, REDIAL_LONGEST_S * by
