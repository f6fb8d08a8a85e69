"""When an alarm is sent again: until the control room's system says `received`, for ever, with back-off."""

FIRST_NS = 2_000_000_000
LONGEST_NS = 30_000_000_000


def resend_after_ns(attempt: int) -> int:
    """The pause after the `attempt`-th sending (1 = first): 2, 4, 8, 16, then every 30 s. Pure."""
    return min(FIRST_NS << max(0, min(attempt - 1, 10)), LONGEST_NS)
