"""What the pole's page needs of the bench behind it: a Protocol, so that the page is tested without a pole."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class FaultSwitch:
    """One fault that can be put in and taken out.

    `choices` are the positions besides "off" (one choice makes a plain switch), as (value, words for a person);
    `state` is "off" or the value in force; `expect` says in a sentence or two what should be seen to happen.
    For "process killed" a choice is a one-shot act: the bench kills and `state` stays "off" (`momentary`).
    """

    name: str
    label: str
    choices: Sequence[tuple[str, str]]
    state: str
    expect: str
    momentary: bool = False


@dataclass(frozen=True)
class LogLine:
    """One line for the page's list: `number` rises by one."""

    number: int
    utc_us: int
    source: str
    text: str
    level: str = "info"


@dataclass(frozen=True)
class TextMessage:
    """One text message that the mobile network took from the unit's modem."""

    number: str
    text: str


class PoleBench(Protocol):
    """The world around one daemon, as the page uses it. No call blocks the loop for more than a few milliseconds."""

    @property
    def unit_id(self) -> str: ...

    @property
    def site_name(self) -> str: ...

    def press(self) -> None:
        """Close the button's contact (and let a caller walk up to the panel)."""
        ...

    def release(self) -> None:
        """Open the contact."""
        ...

    def pressed(self) -> bool: ...

    def outputs(self) -> Mapping[str, bool]:
        """Levels at this instant: `yellow`, `green`, `locator`, `sounder`."""
        ...

    def horn_words(self) -> str | None:
        """What the horn says now, in words ("We are calling for help..."), None when silent or not known."""
        ...

    def text_messages(self) -> Sequence[TextMessage]:
        """The last few that the modem has sent, oldest first."""
        ...

    async def snapshot_jpeg(self, width: int) -> bytes:
        """What the dome sees now (the world's own picture, also when the camera is off for the daemon)."""
        ...

    def processes(self) -> Mapping[str, bool]:
        """The daemon's processes and whether each runs."""
        ...

    def faults(self) -> Sequence[FaultSwitch]: ...

    async def set_fault(self, name: str, value: str) -> None:
        """Put the switch to `value` ("off" or a choice). Raises ValueError on an unknown name or value."""
        ...

    def log_after(self, number: int) -> Sequence[LogLine]:
        """Lines with a higher number, oldest first, at most 200."""
        ...


class StreetSound(Protocol):
    """Optional: sound both ways between the page and the simulated street (`VirtualSound`); 48 kHz mono s16le."""

    def horn_pcm(self) -> AsyncIterator[bytes]:
        """What the horn plays from now on, in frames of 20 ms (1920 bytes)."""
        ...

    def write_caller_pcm(self, pcm: bytes) -> None:
        """Sound into the street in front of the microphone; never blocks, surplus is dropped."""
        ...
