"""What core needs of the machine it runs on: clocks, pins, brokers, a disk thread. The real one is made in app.py; a
simulation in virtual time brings its own."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from unitd.config import BrokerTable
from unitd.core.button import Felt, Gap
from unitd.core.latch import Latch, Latched
from unitd.core.panel import Panel
from unitd.ports import Clock, Lamp, Uplink, UplinkHandlers, Will

T = TypeVar("T")


class Pace(NamedTuple):
    """How long a service that has nothing to do sleeps at most: in the field as here. A simulation of whole days gives
    longer ones, or it would spend its time on waking core up."""

    vital_s: float = 1.0
    """A vital service completes a cycle at least so often; four times as long without one is a hang."""
    look_s: float = 5.0
    """What core is not told of (a fault that comes with time alone) is looked at so often."""


class Watch(Protocol):
    """A button that is being watched."""

    @property
    def stuck(self) -> bool:
        """Whether the contact has been closed for too long, now."""
        ...

    @property
    def fault(self) -> str:
        """What is wrong with the contact's cable: "", `button_cable` or `button_disagrees`."""
        ...

    @property
    def gap(self) -> Gap | None:
        """What a predecessor in this boot left unwatched; None for the first core of a boot."""
        ...

    @property
    def alive_ns(self) -> int:
        """When the judge of presses last completed a cycle; it does so at least every second."""
        ...


class Early(NamedTuple):
    """What was made before the rest of core was loaded: the panel, the latch, and what a predecessor left in it."""

    panel: Panel
    latch: Latch
    left: list[Latched]


class DiskWorker(Protocol):
    """Runs disk calls in order, away from the loop."""

    @property
    def hung(self) -> bool:
        """Whether a call has been at work for too long."""
        ...

    async def run(self, call: Callable[[], T], timeout_s: float | None = None) -> T:
        """Await `call()`; raises what it raises, TimeoutError when it takes longer, OSError when too many wait."""
        ...

    def close(self) -> None:
        """Take nothing more; does not wait."""
        ...


class Answer(NamedTuple):
    """`certificate`: `fits` the key, `missing`, of `another` key, or `unreadable`. `signature` is empty if none was
    asked for, else 64 bytes."""

    signature: bytes
    certificate: str


class Signer(Protocol):
    """Who has the unit's evidence key. One call at a time; each raises OSError, 10 s from now at the latest."""

    async def make(self) -> Answer:
        """See to it that there are a key and a request for its certificate."""
        ...

    async def sign(self, body: bytes) -> Answer:
        """Sign exactly `body`, which is UTF-8."""
        ...


class Machine(Protocol):
    """Everything outside core's own process memory. Belongs to the loop unless a method says otherwise."""

    @property
    def clock(self) -> Clock: ...

    @property
    def boot_id(self) -> str:
        """The kernel's id of this boot."""
        ...

    @property
    def disk(self) -> DiskWorker: ...

    @property
    def pace(self) -> Pace: ...

    @property
    def signer(self) -> Signer: ...

    def check_pins(self) -> None:
        """Raises when the board's pins cannot be reached at all; may block for seconds."""
        ...

    def lamp(self, pin: int) -> Lamp:
        """The lamp or sounder on `pin`. Raises whatever a pin library raises."""
        ...

    def watch(
        self, panel: Panel, latch: Latch, on_press: Callable[[Felt], None], on_stuck: Callable[[bool], None]
    ) -> Watch:
        """Watch the button from now on; the callbacks come on any thread. Raises whatever a pin library raises."""
        ...

    def uplink(self, broker: BrokerTable, subscribe: str, will: Callable[[], Will], handlers: UplinkHandlers) -> Uplink:
        """A connection to `broker` that is not running yet."""
        ...

    def new_id(self) -> str:
        """A random UUIDv4 text; thread-safe."""
        ...

    def notify(self, message: str) -> None:
        """Tell the service manager (sd_notify(3)); does not block."""
        ...
