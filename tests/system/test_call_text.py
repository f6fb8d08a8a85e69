"""Real-time text through the real `unitd call`: the panel's socket, a real relay, two consoles, core's end."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hw_sim.operator.peer import OperatorPeer
from tests.system.call_rig import INCIDENT, rig, until
from unitd.messages.workers import TextLine

pytestmark = pytest.mark.system

SEEN_WITHIN_S = 0.5
"""EN 301 549, 6.2.4. The middle one of those that are measured: a busy machine may hold one up."""


class Display:
    """The panel's program: the last state, and keys."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.state: dict[str, Any] = {}
        self.changes = 0

    async def read(self) -> None:
        while line := await self._reader.readline():
            self.state = json.loads(line)
            self.changes += 1

    def send(self, **message: Any) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")

    def lines(self) -> list[tuple[str, str, bool]]:
        return [(line["who"], line["text"], line["done"]) for line in self.state.get("lines", ())]


@contextlib.asynccontextmanager
async def display(run_dir: Path) -> AsyncIterator[Display]:
    path = run_dir / "panel.sock"
    await until(path.is_socket, 10, "the panel's socket")
    shown = Display(*await asyncio.open_unix_connection(str(path)))
    reading = asyncio.create_task(shown.read())
    try:
        await until(lambda: shown.changes, 5, "the state on connection")
        yield shown
    finally:
        shown._writer.close()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def test_a_conversation_in_letters(tmp_path: Path) -> None:
    async def play() -> None:
        async with rig(tmp_path) as made:
            first, second = OperatorPeer(made.relay.peer_url), OperatorPeer(made.relay.peer_url)
            try:
                await made.start_call()
                async with display(made.run_dir) as panel:
                    assert panel.state["incident"] is None
                    panel.send(type="typed", t140="nobody reads this")
                    await first.start()
                    await second.start()
                    made.core.want(made.call())
                    await until(lambda: first.has_text_channel and second.has_text_channel, 30, "both channels")
                    await until(lambda: panel.state["incident"] == INCIDENT, 5, "the incident on the display")
                    assert "I am hurt" in panel.state["quick_answers"]
                    assert panel.state["stage"] == "raised"

                    waits_s: list[float] = []
                    began_s = time.monotonic()
                    panel.send(type="typed", t140="Hx")
                    await until(lambda: first.read() == "Hx" and second.read() == "Hx", 5, "the caller's letters")
                    waits_s.append(time.monotonic() - began_s)
                    began_s = time.monotonic()
                    panel.send(type="typed", t140="\belp me\u2028")
                    await until(lambda: second.read() == "Hx\belp me\u2028", 5, "the rest")
                    waits_s.append(time.monotonic() - began_s)

                    began_s = time.monotonic()
                    assert await first.types("Where are you?")
                    asked = ("operator", "Where are you?", False)
                    await until(lambda: asked in panel.lines(), 5, "the operator's letters on the display")
                    waits_s.append(time.monotonic() - began_s)
                    await until(lambda: second.read().endswith("Where are you?"), 5, "and at the other console")
                    assert "Where" not in first.read()
                    assert sorted(waits_s)[1] < SEEN_WITHIN_S, waits_s
                    panel.send(type="quick", n=1)
                    await until(lambda: first.read().endswith("No\u2028"), 5, "a quick answer")

                    line = TextLine(number=1, by="ann", text="Police are coming")
                    for _ in range(2):
                        made.core.want(msgspec.structs.replace(made.call(), texts=(line,)))
                    await until(
                        lambda: ("operator", "Police are coming", True) in panel.lines(), 5, "a line by the broker"
                    )
                    assert sum(text == "Police are coming" for _, text, _ in panel.lines()) == 1

                    told = [event.data for event in made.core.events if event.name == "text"]
                    assert told[:2] == [
                        {"from": "caller", "by": "", "words": "Help me"},
                        {"from": "caller", "by": "", "words": "No"},
                    ]
                    made.core.want(None)
                    await until(lambda: panel.state["incident"] is None and not panel.lines(), 5, "an empty display")
                    texts = [event for event in made.core.events if event.name == "text"]
                    assert texts[-1].data["words"] == "Where are you?"  # begun, and told when it was over
                    assert {event.incident_id for event in texts} == {INCIDENT}
                    panel.send(type="typed", t140="and nobody this\u2028")
                    made.core.want(msgspec.structs.replace(made.call(), watch=True, microphone=False))
                    await until(lambda: "call_connected" in made.core.names()[-3:], 20, "a watch")
                    assert panel.state["incident"] is None
                    assert await first.types("to a watch\u2028")
                    await until(lambda: made.core.health.facts.get("text.refused", 0) > 0, 5, "letters were refused")
                    assert len([event for event in made.core.events if event.name == "text"]) == len(texts)
                assert await made.stop_call() == 0
                assert not (made.run_dir / "panel.sock").exists()
            finally:
                await first.close()
                await second.close()

    asyncio.run(play())
