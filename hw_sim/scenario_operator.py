"""The operator of a scenario: a program that speaks what the console speaks (its WebSocket, and the relay's media)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from typing import Any

import websockets

from hw_sim.control_room.server import ControlRoom
from hw_sim.operator.peer import OperatorPeer

REPLY_TIMEOUT_S = 15.0
OF_INCIDENT = (
    *("accept", "answer", "close", "extend", "upload"),
    *("dial_back", "hand_over", "set_sound", "send_text", "snapshot"),
)
"""Orders about an incident: the newest is meant."""


class OperatorError(RuntimeError):
    """An order did not end as it should; the message says how it ended."""


class ScenarioOperator:
    """One operator at one console. `state` is the console's last picture; `peer` sees and hears (when `media`).

    `stages[incident][stage]`, `clips[incident]`, `stills[incident][url]` and `received[incident]` (its alarm is in the
    book) hold when this console first showed each (CLOCK_MONOTONIC ns); `events` what the unit reported, likewise.
    """

    def __init__(self, room: ControlRoom, unit: str, *, media: bool) -> None:
        self._url = room.console_url.replace("http://", "ws://")
        self._unit = unit
        self.state: dict[str, Any] = {"incidents": [], "units": [], "events": []}
        self.received: dict[str, int] = {}
        self.stages: dict[str, dict[str, int]] = {}
        self.clips: dict[str, int] = {}
        self.presses: dict[str, tuple[int, int]] = {}
        self.stills: dict[str, dict[str, int]] = {}
        self.events: list[tuple[int, str, str | None]] = []
        self._seen_events: set[str] = set()
        self.peer = OperatorPeer(f"{self._url}duplex/{unit}") if media else None
        self._socket: websockets.ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._ids = itertools.count(1)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def start(self) -> None:
        self._socket = await websockets.connect(f"{self._url}api/ws", max_size=4 * 2**20)
        self._task = asyncio.create_task(self._read(self._socket), name="operator")
        if self.peer is not None:
            await self.peer.start()

    async def stop(self) -> None:
        if self.peer is not None:
            await self.peer.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._socket is not None:
            await self._socket.close()

    @property
    def newest(self) -> dict[str, Any] | None:
        """The newest incident of the unit, as the console shows it."""
        own = [incident for incident in self.state["incidents"] if incident["unit"] == self._unit]
        return own[-1] if own else None

    async def order(self, cmd: str, by: str, result: str, fields: dict[str, Any]) -> None:
        """Give one order about the newest incident; raises OperatorError unless it ends in `result`."""
        if cmd in OF_INCIDENT:
            if self.newest is None:
                raise OperatorError(f"{cmd}: the console shows no incident")
            fields = {"incident_id": self.newest["incident_id"], **fields}
        if cmd == "close":
            fields = {"outcome": "test", "note": "", **fields}
        if self._socket is None:
            raise OperatorError("the console is not connected")
        number = next(self._ids)
        self._replies[number] = asyncio.get_running_loop().create_future()
        order = {"type": "command", "id": number, "unit": self._unit, "by": by, "cmd": cmd, **fields}
        await self._socket.send(json.dumps(order))
        reply = await asyncio.wait_for(self._replies[number], REPLY_TIMEOUT_S)
        if reply["result"] != result:
            raise OperatorError(f"{cmd}: {reply['result']} ({reply.get('reason') or 'no reason'}), not {result}")

    async def _read(self, socket: websockets.ClientConnection) -> None:
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "reply":
                waiting = self._replies.pop(message["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            elif message["type"] == "state":
                self.state = message
                self._note(message, time.monotonic_ns())

    def _note(self, state: dict[str, Any], now_ns: int) -> None:
        for incident in state["incidents"]:
            identity = incident["incident_id"]
            if incident["code"]:  # without it the hub knows only what the unit's state lists; the alarm is not here
                self.received.setdefault(identity, now_ns)
            self.stages.setdefault(identity, {}).setdefault(incident["stage"], now_ns)
            if self.presses.get(identity, (0, 0))[0] != incident["presses"]:
                self.presses[identity] = (incident["presses"], now_ns)
            for still in incident["stills"]:
                self.stills.setdefault(identity, {}).setdefault(still["url"], now_ns)
            if incident["clip"]["state"] == "ready":
                self.clips.setdefault(identity, now_ns)
        for event in state["events"]:
            key = json.dumps(event, sort_keys=True)
            if event["unit"] == self._unit and key not in self._seen_events:
                self._seen_events.add(key)
                self.events.append((now_ns, event["name"], event["incident_id"]))
