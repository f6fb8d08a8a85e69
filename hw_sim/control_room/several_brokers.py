"""One control room behind several brokers: what comes by any of them is one conversation with the unit.

Messages that come twice collapse where they are kept (alarms by their id, the rest by value). A unit is gone only when
every broker that has heard it says so: the last will of a broken connection does not speak for the others.
"""

from collections.abc import Callable, Sequence

import msgspec

from hw_sim.control_room.mqtt import Message, Transport
from unitd.messages.control_room import State


class SeveralBrokers:
    """A Transport over several. Orders go by all of them; a unit takes each once (its number is the same)."""

    def __init__(self, transports: Sequence[Transport]) -> None:
        self._transports = tuple(transports)
        self._connected: set[int] = set()
        self._online: dict[str, set[int]] = {}

    def start(self, on_message: Callable[[Message], None], on_connection: Callable[[bool], None]) -> None:
        """Begin with all. `on_connection` gets True at each new connection, False when the last one is lost."""

        def connection(number: int, connected: bool) -> None:
            if connected:
                self._connected.add(number)
                on_connection(True)
                return
            self._connected.discard(number)
            for heard_by in self._online.values():
                heard_by.discard(number)
            if not self._connected:
                on_connection(False)

        def begin(number: int, transport: Transport) -> None:
            transport.start(
                lambda message: on_message(message) if self._speaks_for_all(number, message) else None,
                lambda connected: connection(number, connected),
            )

        for number, transport in enumerate(self._transports):
            begin(number, transport)

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        for number, transport in enumerate(self._transports):
            if number in self._connected:
                transport.publish(topic, payload, qos)

    def stop(self) -> None:
        """End; may block for a second each, so call it on a thread."""
        for transport in self._transports:
            transport.stop()

    def _speaks_for_all(self, number: int, message: Message) -> bool:
        """False for a last will of one broker while another one hears the unit."""
        if not message.topic.endswith("/up/state"):
            return True
        try:
            online = msgspec.json.decode(message.payload, type=State).online
        except msgspec.DecodeError:
            return True  # the hub counts it
        heard_by = self._online.setdefault(message.topic, set())
        if online:
            heard_by.add(number)
            return True
        heard_by.discard(number)
        return not heard_by
