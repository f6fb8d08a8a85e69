"""Why a text message was refused (3GPP TS 27.005, 3.2.5; TS 24.011, E-2; TS 23.040, 9.2.3.22). Pure."""

_WORDS = {
    1: "number not assigned",
    8: "barred by the operator",
    10: "barred",
    17: "network failure",
    21: "rejected",
    27: "destination out of service",
    28: "number not known",
    29: "facility rejected",
    30: "subscriber not known",
    38: "network out of order",
    41: "temporary failure",
    42: "congestion",
    47: "no resources",
    50: "not in the SIM's contract",
    69: "not offered by the network",
    96: "bad message",
    111: "protocol error",
    195: "invalid number",
    196: "number barred by the service centre",
    208: "SIM's message store full",
    300: "modem failure",
    301: "no message service in the modem",
    302: "not allowed",
    303: "not supported",
    304: "bad message",
    305: "bad text",
    310: "no SIM",
    311: "SIM PIN wanted",
    313: "SIM failure",
    314: "SIM busy",
    315: "SIM wrong",
    316: "SIM PUK wanted",
    320: "memory failure",
    321: "bad index",
    322: "message store full",
    330: "no service centre's number on the SIM",
    331: "no network",
    332: "network time-out",
    500: "unknown error",
}
MEMORY_FULL = 322
_NOT_THE_NUMBER = frozenset({17, 38, 41, 42, 47, 310, 311, 312, 313, 314, 315, 316, 317, 318, 331, 332})
"""SIM and network: other faults say so, and every number is refused alike."""


def words(code: int | None) -> str:
    """For a person; a code that is not known is given as a number, a plain ERROR as `refused`."""
    if code is None:
        return "refused"
    known = _WORDS.get(code)
    return f"CMS {code}" if known is None else f"{known} (CMS {code})"


def is_about_the_number(code: int | None) -> bool:
    """Whether a refusal counts against this number, its contract or our settings and not against SIM or network."""
    return code not in _NOT_THE_NUMBER
