"""A broker connection without a broker: what the hub publishes is kept, what a unit says is handed in."""

import asyncio
from collections.abc import Callable

import msgspec

from hw_sim.control_room.mqtt import Message
from unitd.messages.control_room import Reply, topic


class FakeTransport:
    """Transport for tests. `on_publish` sees every message to a unit, on the hub's loop."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []
        self.on_publish: Callable[[str, bytes], None] = lambda _topic, _payload: None
        self.on_connection: Callable[[bool], None] = lambda _connected: None
        self._on_message: Callable[[Message], None] = lambda _message: None

    def start(self, on_message: Callable[[Message], None], on_connection: Callable[[bool], None]) -> None:
        self._on_message, self.on_connection = on_message, on_connection
        on_connection(True)

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        self.published.append((topic, payload))
        asyncio.get_running_loop().call_soon(self.on_publish, topic, payload)

    def stop(self) -> None:
        pass

    def say(self, unit: str, what: str, payload: msgspec.Struct | bytes, retained: bool = False) -> None:
        """`unit` publishes on `up/<what>`."""
        raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        self._on_message(Message(topic(unit, "up", what), raw, retained))

    def sent(self, ending: str) -> list[dict[str, object]]:
        """Decoded payloads of what went to topics that end so."""
        return [msgspec.json.decode(payload) for name, payload in self.published if name.endswith(ending)]

    def always_reply(self, result: str = "done", reason: str = "") -> None:
        """Answer every command in this way from now on."""

        def reply(name: str, payload: bytes) -> None:
            if name.endswith("/cmd"):
                command = msgspec.json.decode(payload)
                answer = Reply(session=command["session"], seq=command["seq"], result=result, reason=reason)
                self.say(name.split("/")[2], "reply", answer)

        self.on_publish = reply
