"""The stills' desk: passes record's stills on to the control room, behind every alarm and one at a time.

A still takes the slow link of a pole for seconds, so none is sent while an alarm waits for a broker's word, and the
next one only when a broker has taken the one before: what an alarm may find before it on the wire is one still at most.
"""

import base64
import binascii
from collections import deque
from collections.abc import Callable
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from unitd.messages import control_room as wire
from unitd.messages import workers as worker_wire
from unitd.ports import Clock, Uplink
from unitd.runtime.logs import Logger, chain
from unitd.runtime.waiting import Wake

KEPT = 16
LARGEST_JPEG_BYTES = 40_000
TAKEN_WITHIN_NS = 120_000_000_000
"""A still that no broker has acknowledged for so long is given up: 55 kB in it are 4 kbit/s. Never is it sent again on
the same connection: it would stand behind itself, and an alarm behind both."""
TRIES = 5
"""Connections that may be lost over one still."""
LOOK_S = 1.0
MARK = "still "
"""Before the tokens of stills, which no press has."""


class _Told(msgspec.Struct, frozen=True):
    """What record's event `still` says."""

    camera: Annotated[str, Meta(max_length=64)]
    at_mono_ns: int
    jpeg_base64: str
    sha256: Annotated[str, Meta(max_length=64)]
    width: int
    height: int


class _Waiting(NamedTuple):
    incident_id: str
    camera: str
    token: str
    payload: bytes


class StillDesk:
    """Lives on the loop; only `run` takes time. `alarms_taken()` says that each alarm on its way has reached a broker.

    At most KEPT wait: the oldest goes. While no broker is connected only the newest of each camera is kept. `dropped`
    counts what never left, `malformed` what was no still.
    """

    def __init__(self, unit_id: str, clock: Clock, log: Logger, alarms_taken: Callable[[], bool]) -> None:
        self._unit_id, self._clock, self._log = unit_id, clock, log
        self._alarms_taken = alarms_taken
        self._uplinks: list[Uplink] = []
        self._waiting: deque[_Waiting] = deque()
        self._wake = Wake()
        self._sent_ns: int | None = None
        self._sent_on: set[str] = set()
        self._tries = 0
        self.dropped = 0
        self.malformed = 0

    def send_on(self, uplinks: list[Uplink]) -> None:
        self._uplinks = uplinks

    def take(self, event: worker_wire.Event) -> None:
        """Record has a still. Never raises."""
        try:
            waiting = self._read(event)
        except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
            self.malformed += 1
            self._log.warning("malformed still", error=str(error)[:200])
            return
        if any(each.token == waiting.token for each in self._waiting):
            return
        if not any(link.connected for link in self._uplinks):
            self._forget(lambda each: each.camera == waiting.camera)
        if len(self._waiting) == KEPT:
            self.dropped += 1
            del self._waiting[0 if self._sent_ns is None else 1]
        self._waiting.append(waiting)
        self._wake.set()

    def acked(self, token: str) -> bool:
        """A broker has taken what had this token; whether it was a still. Then, and after an alarm, the next may go."""
        self._wake.set()
        if not token.startswith(MARK):
            return False
        if self._waiting and self._waiting[0].token == token:
            done = self._waiting.popleft()
            self._sent_ns, self._tries = None, 0
            chain(self._log, "still_taken", done.incident_id, self._clock.mono_ns())
        return True

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        while True:
            self._wake.clear()
            self._send_next()
            await self._wake.within(LOOK_S if self._waiting else None)

    def _read(self, event: worker_wire.Event) -> _Waiting:
        told = msgspec.convert(event.data, _Told)
        jpeg = base64.b64decode(told.jpeg_base64, validate=True)
        if not 0 < len(jpeg) < LARGEST_JPEG_BYTES:
            raise ValueError(f"a still of {len(jpeg)} bytes")
        still = wire.Still(
            incident_id=event.incident_id or "",
            camera=told.camera,
            at=self._clock.stamp(told.at_mono_ns),
            width=told.width,
            height=told.height,
            sha256=told.sha256,
            jpeg=jpeg,
        )
        payload = msgspec.json.encode(still)
        if len(payload) > wire.MAX_PAYLOAD_BYTES:
            raise ValueError(f"a still of {len(payload)} bytes with its names")
        return _Waiting(still.incident_id, told.camera, MARK + told.sha256, payload)

    def _send_next(self) -> None:
        if not self._waiting:
            self._sent_ns = None
            return
        now_ns = self._clock.mono_ns()
        # what a lost connection has taken is gone with it (unitd/drivers/paho_direct.py)
        self._sent_on &= {link.name for link in self._uplinks if link.connected}
        under_way = self._sent_ns is not None and bool(self._sent_on)
        if under_way and now_ns - (self._sent_ns or 0) < TAKEN_WITHIN_NS:
            return
        self._sent_ns = None
        if under_way or self._tries >= TRIES:
            self._waiting.popleft()
            self._tries = 0
            self.dropped += 1
        if not self._waiting or not self._alarms_taken():
            return
        first = self._waiting[0]
        topic = wire.topic(self._unit_id, "up", "still")
        taken = [link.publish(topic, first.payload, qos=1, token=first.token) for link in self._uplinks]
        self._sent_on = {link.name for link, took in zip(self._uplinks, taken, strict=True) if took}
        if self._sent_on:
            self._sent_ns = now_ns
            self._tries += 1

    def _forget(self, which: Callable[[_Waiting], bool]) -> None:
        """Drop what was not sent yet."""
        first = [self._waiting.popleft()] if self._sent_ns is not None and self._waiting else []
        kept = [each for each in self._waiting if not which(each)]
        self.dropped += len(self._waiting) - len(kept)
        self._waiting = deque([*first, *kept])
