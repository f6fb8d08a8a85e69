"""Commands are matched with their own replies, also beside another control room that counts for itself."""

from __future__ import annotations

import asyncio

from hw_sim.control_room.commands import Commander
from unitd.messages.control_room import Reply


def test_another_control_rooms_reply_to_the_same_seq_is_not_ours() -> None:
    async def run() -> None:
        sent = asyncio.Event()

        async def next_seq(_unit: str, _session: int) -> int:
            return 3

        commander = Commander(lambda *_: sent.set(), next_seq)
        asked = asyncio.ensure_future(commander.send("u", 7, 1000, True, "dome_stop", "Ann", {}))
        await sent.wait()
        commander.replied("u", Reply(session=7, seq=3, result="done", by="Ben"))
        commander.replied("u", Reply(session=7, seq=3, result="refused", code="clash", reason="clash", by="Ann"))
        assert (await asked).result == "refused"

    asyncio.run(run())
