"""paho's client, made fit for alarms: it writes on the caller's thread, and its own thread does not die in silence.

paho wakes its thread for each message, and that thread then waits for the interpreter until the caller has nothing
more to do: half a millisecond of a press that has everything else to settle (docs/benchmarks.md). This overrides
private methods of the pinned version; tests/contract/test_mqtt_uplink.py fails when another does not call them.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import MessageType, MQTTErrorCode

_PUBLISH = MessageType.PUBLISH.value
LARGE_BYTES = 16 * 1024


class DirectClient(paho.Client):
    """What `publish` queues is written to the socket before it returns, as far as the kernel takes it; the rest is left
    to paho's thread. Neither blocks: the socket does not, and the lock is held for system calls on it alone."""

    died: Callable[[Exception], None] = staticmethod(lambda _error: None)
    """Told on paho's thread, once, when that thread ends by an error: the client is of no use any more."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        # An SSL connection is not for two threads at once (Python before 3.13 has no lock of its own around it), and
        # packets must not overtake one that was written in part. Re-entrant: writing may close.
        self._line = threading.RLock()
        super().__init__(*arguments, **named)

    def unacked(self) -> int:
        """Messages of QoS 1 that the broker has not acknowledged, those of earlier connections among them."""
        return len(self._out_messages)

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception as error:  # noqa: BLE001 - whatever it is, the connection is made anew
            self.died(error)
            return MQTTErrorCode.MQTT_ERR_UNKNOWN

    def _messages_reconnect_reset_out(self) -> None:
        """What is large (a still) is not sent again by itself: on a slow link it would stand before an alarm for
        seconds, at each connection. Who sends such things sends them again."""
        with self._out_message_mutex:
            for mid in [mid for mid, message in self._out_messages.items() if len(message.payload) > LARGE_BYTES]:
                del self._out_messages[mid]
        super()._messages_reconnect_reset_out()

    def _packet_queue(self, command: int, packet: Any, mid: int, qos: int, info: Any = None) -> MQTTErrorCode:
        if command & 0xF0 != _PUBLISH or threading.current_thread() is self._thread:
            return super()._packet_queue(command, packet, mid, qos, info)
        self._out_packet.append(
            {
                "command": command,
                "mid": mid,
                "qos": qos,
                "pos": 0,
                "to_process": len(packet),
                "packet": packet,
                "info": info,
            }
        )
        self._packet_write()
        waker = self._sockpairW
        if self._out_packet and waker is not None:  # the kernel is full, or the connection gone: its thread sees to it
            with contextlib.suppress(OSError):  # it is awake already, or ending
                waker.send(b"0")
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _packet_write(self) -> MQTTErrorCode:
        with self._line:
            waiting = len(self._out_packet)
            result = super()._packet_write()
            # paho 2.2 forgets to note that something went out, and so pings in the midst of heartbeats
            if len(self._out_packet) < waiting:
                with self._msgtime_mutex:
                    self._last_msg_out = time.monotonic()
            return result

    def _sock_recv(self, bufsize: int) -> bytes:
        with self._line:
            return super()._sock_recv(bufsize)

    def _sock_close(self) -> None:
        with self._line:
            super()._sock_close()
