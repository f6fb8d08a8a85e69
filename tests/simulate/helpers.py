"""Core's workers as far as the alarm needs them: `call` (words, microphone) and `field` (text messages), each at its
end of core's real socket server, by the real wire; and how they fail."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulate.memory_disk import VOLATILE
from unitd.messages import workers as wire

if TYPE_CHECKING:
    from tests.simulate.day import Day

SOCKET = VOLATILE + "/core.sock"


class _Pipe(asyncio.Transport):
    """The server's end of a unix socket whose other end is an object of the simulation."""

    def __init__(
        self, day: "Day", protocol: Any, on_data: Callable[[bytes], None], on_lost: Callable[[], None]
    ) -> None:
        super().__init__()
        self._day, self._protocol, self._on_data, self._on_lost = day, protocol, on_data, on_lost
        self._closing = False

    def write(self, data: Any) -> None:
        if not self._closing:
            content = bytes(data)
            self._day.timeline.after(0.0005, lambda: self._on_data(content))

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)
            self._day.timeline.after(0.0, self._on_lost)

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Helper:
    """One worker's connection to core: made again and again while it is `up`."""

    def __init__(self, day: "Day", who: wire.Worker, on_desired: Callable[[wire.Desired], None]) -> None:
        self.day, self.who, self._on_desired = day, who, on_desired
        self.up = True
        self.connected_ns = 0
        self._protocol: Any = None
        self._loop: Any = None
        self._rest = b""
        self._try()

    @property
    def connected(self) -> bool:
        return self._protocol is not None

    def _try(self) -> None:
        day = self.day
        if self.up and self._protocol is None:
            life = day.pole.life
            factory = None if life is None or life.dead or life.loop.hung else life.loop.servers.get(SOCKET)
            if factory is not None and life is not None:
                self._loop = life.loop
                protocol = self._protocol = self._in_loop(factory)
                pipe = _Pipe(day, protocol, lambda data: self._data(protocol, data), lambda: self._lost(protocol))
                self._loop.call_soon(protocol.connection_made, pipe)
                self._rest, self.connected_ns = b"", day.timeline.now_ns
                self.send(wire.Hello(who=self.who, pid=1))
                self._health(protocol)
        day.timeline.after(day.chance.uniform(0.5, 2.0) if self._protocol is None else 20.0, self._try)

    def _in_loop(self, factory: Callable[[], Any]) -> Any:
        """asyncio's streams ask which loop is theirs."""
        asyncio._set_running_loop(self._loop)
        try:
            return factory()
        finally:
            asyncio._set_running_loop(None)

    def _health(self, protocol: Any) -> None:
        if protocol is self._protocol and self.up:
            self.send(wire.Health())
            if self.day.busy:
                self.day.timeline.after(5.0, lambda: self._health(protocol))

    def send(self, message: wire.FromWorker) -> None:
        if self._protocol is not None and not self._loop.dead:
            self._loop.call_soon(self._protocol.data_received, msgspec.json.encode(message) + b"\n")

    def _data(self, protocol: Any, data: bytes) -> None:
        if protocol is not self._protocol:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._on_desired(self.day.parse(line, wire.Desired))

    def _lost(self, protocol: Any) -> None:
        if protocol is self._protocol:
            self._protocol = None

    def gone(self) -> None:
        """Core's process is dead."""
        self._protocol = None

    def stop(self) -> None:
        """The worker's process dies: core sees the end of its stream."""
        self.up = False
        if self._protocol is not None and not self._loop.dead:
            self._loop.call_soon(self._protocol.eof_received)
            self._loop.call_soon(self._protocol.connection_lost, None)
        self._protocol = None

    def start(self) -> None:
        self.up = True


class Helpers:
    """`call` and `field`. Field sends what is wanted until it has left, and remembers in tmpfs what has left."""

    def __init__(self, day: "Day") -> None:
        self.day = day
        self.call = Helper(day, "call", day.checker.desired)
        self.field = Helper(day, "field", self._field)
        self.modem_works = True
        self.modem_since_ns = 0
        self._wanted: dict[str, wire.SmsWanted] = {}
        self._sent: set[str] = set()
        self._under_way: set[str] = set()

    def set_modem(self, works: bool) -> None:
        if works and not self.modem_works:
            self.modem_since_ns = self.day.timeline.now_ns
        self.modem_works = works

    def core_gone(self) -> None:
        self.call.gone()
        self.field.gone()

    def _field(self, desired: wire.Desired) -> None:
        self.day.checker.texts_wanted(desired.sms)
        self._wanted = {sms.sms_id: sms for sms in desired.sms}
        for sms_id in self._wanted:
            self._take_up(sms_id)

    def _take_up(self, sms_id: str) -> None:
        if sms_id in self._wanted and sms_id not in self._under_way:
            self._under_way.add(sms_id)
            self.day.timeline.after(self.day.chance.uniform(2, 9), lambda: self._modem(sms_id))

    def _modem(self, sms_id: str) -> None:
        self._under_way.discard(sms_id)
        sms = self._wanted.get(sms_id)
        if sms is None or not self.field.connected:
            return
        boot_mono_ns = self.day.timeline.now_ns - self.day.pole.booted_ns
        data: dict[str, Any] = {"sms_id": sms.sms_id, "number": sms.number}
        if self.modem_works or sms_id in self._sent:
            if sms_id not in self._sent:
                self._sent.add(sms_id)
                self.day.trace.say("text message", sms.sms_id)
                self.day.checker.texted(sms)
            self.field.send(wire.Event(name="sms_sent", mono_ns=boot_mono_ns, data={**data, "reference": 1}))
        else:
            self.field.send(wire.Event(name="sms_failed", mono_ns=boot_mono_ns, data={**data, "error": "no network"}))
        self.day.timeline.after(5.0, lambda: self._take_up(sms_id))  # while it is still wanted
