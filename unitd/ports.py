"""Protocols between policy and the world: what a driver must offer, whatever device is behind it."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from unitd.messages.control_room import Stamp


class Clock(Protocol):
    """Time, injected. Neither call blocks; both may be called on any thread."""

    def mono_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds: the only clock for durations and order."""
        ...

    def stamp(self, mono_ns: int | None = None) -> Stamp:
        """The wall-clock stamp of the instant `mono_ns` (now by default), with its quality."""
        ...


class Lamp(Protocol):
    """A lamp reconciled to a level; setting the level it has already does nothing. Does not block."""

    def show(self, level: str) -> None:
        """`level` is `off`, `steady` or `flashing` (2 Hz at most)."""
        ...

    def close(self) -> None: ...


class Button(Protocol):
    """A contact that reports every edge, unfiltered, on its own thread."""

    def closed(self) -> bool:
        """Whether the contact is closed at this instant."""
        ...

    def watch(self, on_edge: Callable[[int, bool], None]) -> None:
        """Call `on_edge(mono_ns, closed)` for every edge from now on, on the driver's thread."""
        ...

    def close(self) -> None: ...


class DescriptorStore(Protocol):
    """Keeps file descriptors open while no process of ours runs (systemd's store in the field). No call waits."""

    def take(self, name: str) -> list[int]:
        """What a predecessor stored as `name`, once; the caller's to close."""
        ...

    def keep(self, name: str, fd: int) -> bool:
        """Keep a copy of `fd` as `name`; whether the keeper was told."""
        ...

    def drop(self, name: str) -> bool:
        """Close what is kept as `name`, a moment later; whether the keeper was told."""
        ...


class Will(NamedTuple):
    """The message that a broker publishes for us, retained, when the connection is lost."""

    topic: str
    payload: bytes


class UplinkHandlers(NamedTuple):
    """What an uplink tells, on the loop, by its name; `acked` with the token given to `publish` ("" for none) and the
    monotonic ns at which the broker's word was read."""

    connected: Callable[[str], None]
    lost: Callable[[str, str], None]
    message: Callable[[str, str, bytes], None]
    acked: Callable[[str, str, int], None]


class Uplink(Protocol):
    """A way to a control room's broker that is kept for ever while `run` runs; all of it belongs to the loop."""

    name: str
    connected: bool

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False, token: str | None = None) -> bool:
        """Hand one message to the broker; False when there is no connection. Does not block, queues nothing."""
        ...

    async def run(self) -> None:
        """Connect and stay connected until cancelled."""
        ...


class SerialLine(Protocol):
    """A serial device that may come and go, opened and closed any number of times by one loop; nothing blocks."""

    async def open(self) -> None:
        """Raises DeviceError within a few seconds."""
        ...

    def write(self, data: bytes) -> None:
        """Queue `data`. Raises DeviceError when the line is not open or does not take what it has."""
        ...

    async def wait_lost(self) -> str:
        """Wait until the open line is lost and return why."""
        ...

    async def close(self) -> None: ...


class ModemDialog(Protocol):
    """Commands and answers with a modem, one at a time; loop only."""

    def feed(self, data: bytes) -> None:
        """Take what the modem said; never raises."""
        ...

    def lost(self, why: str) -> None:
        """The line has gone: the outstanding command fails with DeviceError."""
        ...

    async def ask(self, command: str, timeout_s: float, answers: str | None = None) -> list[str]:
        """The lines of the answer. Raises ModemSilentError, ModemRefusedError, DeviceError."""
        ...

    async def send_text(
        self, command: str, text: str, *, prompt_timeout_s: float, timeout_s: float, gone: Callable[[], None]
    ) -> list[str]:
        """As `ask`, with `text` and Ctrl-Z at the modem's prompt; `gone` is called when it has been written: whatever
        is raised after that, the modem may have sent it."""
        ...


MakeLine = Callable[[Callable[[bytes], None]], SerialLine]
"""(called on the loop with what arrives) -> a line that is not open yet."""

MakeDialog = Callable[[Callable[[bytes], None], Callable[[str], None]], ModemDialog]
"""(write, called with each unsolicited line) -> a dialog."""
