"""What comes over cables and from the kernel: the modem's answers and reports, and the GPIO chip's edges."""

from __future__ import annotations

import asyncio

from tests.fuzz.target import Target, registry
from unitd.drivers.gpio_uapi import EVENT, edges, held
from unitd.drivers.modem_at import LONGEST_ANSWER_LINES, LONGEST_LINE_BYTES, AtDialog
from unitd.errors import DeviceError, ModemRefusedError
from unitd.model import modem as meaning

LOOP = asyncio.new_event_loop()
WORDS = (
    b"\r\nOK\r\n",
    b"\r\nERROR\r\n",
    b"+CME ERROR: 10\r\n",
    b"+CMS ERROR: 322\r\n",
    b"+CPIN: READY\r\n",
    b"+CREG: 2,1,",
    b'+COPS: 0,0,"x",7\r\n',
    b"+CSQ: 20,99\r\n",
    b"+CESQ: 99,99,255,255,20,60\r\n",
    b'+CEREG: 2,5,"A","B",7\r\n',
    b"> ",
    b"RDY\r\n",
    b'+CMTI: "SM",1\r\n',
    b"+CMGS: 7\r\n",
)


def meanings(lines: list[str]) -> None:
    """Every reader of every answer, also of those that do not belong to it."""
    for name in ("+CEREG", "+CGREG", "+CREG"):
        meaning.registration(lines, name)
    meaning.technology(meaning.whole(meaning.values(lines, "+COPS"), 3))
    meaning.operator(lines)
    assert meaning.rsrp_dbm(lines) is None or -141 <= (meaning.rsrp_dbm(lines) or 0) <= -44
    assert meaning.rssi_dbm(lines) is None or -113 <= (meaning.rssi_dbm(lines) or 0) <= -51
    meaning.sim_of_answer(lines)
    found = meaning.digits(lines)
    assert found is None or len(found) <= 22


def modem(data: bytes) -> None:
    """The first byte says in which pieces the rest comes: to nobody, to a question, to a text message at its prompt."""
    step = 1 + data[0] if data else 1
    pieces = [data[at : at + step] for at in range(1, len(data), step)]
    reports: list[str] = []
    dialog = AtDialog(lambda _written: None, reports.append, quiet_s=0.0)
    dialog._distrust = False

    async def run() -> None:
        for question in (
            lambda: dialog.ask("AT+COPS?", 1.0),
            lambda: dialog.send_text("AT+CMGS=20", "00", prompt_timeout_s=1.0, timeout_s=1.0, gone=lambda: None),
        ):
            asked = asyncio.ensure_future(question())
            await asyncio.sleep(0)
            for piece in pieces:
                dialog.feed(piece)
                await asyncio.sleep(0)
            dialog.lost("the port has gone")
            try:
                lines = await asked
            except ModemRefusedError as error:
                meaning.sim_of_error(error.code)
            except DeviceError:
                dialog._distrust = False
            else:
                assert len(lines) <= LONGEST_ANSWER_LINES
                meanings(lines)
        for piece in pieces:
            dialog.feed(piece)

    LOOP.run_until_complete(run())
    meanings(reports)
    assert all(len(line) <= LONGEST_LINE_BYTES for line in reports)


def gpio(data: bytes) -> None:
    found, strange = edges(data)
    assert len(found) + strange <= len(data) // EVENT.size + 1
    held(data.decode("utf-8", "replace"))


TARGETS = registry(
    Target("modem", modem, WORDS, share=0.4),
    Target("gpio", gpio, (b"gpio-chip:\tgpiochip0\n", b"gpio-line:\t17\n", b"\x01\0\0\0", b"\x02\0\0\0")),
)
