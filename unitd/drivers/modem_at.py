"""The AT dialogue with a modem: lines, answers, unsolicited reports (3GPP TS 27.007, V.250).

One command at a time. What arrives is never trusted: any bytes are accepted, nothing here raises past `feed`, and what
belongs to no command is a report. No I/O: bytes come in by `feed` and leave by the `write` that is given.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Any

from unitd.errors import DeviceError, ModemRefusedError, ModemSilentError

LONGEST_LINE_BYTES = 2048
LONGEST_ANSWER_LINES = 200
QUIET_S = 0.15
"""After an opening or a command without an answer the line must be silent this long: late answers are thrown away."""
QUIET_WAIT_S = 1.0
CTRL_Z = b"\x1a"
LEAVE_PROMPT = b"\x1b\r"
"""Ends the entry of a message's text without sending it (TS 27.005, 3.5.1); to a modem that waits for a command it is
noise. Without it a modem whose process died at the prompt would take every later command for text, for ever."""

_FINAL = re.compile(r"^(OK|ERROR|\+CM[ES] ERROR:.*|COMMAND NOT SUPPORT)$")
_REPORT_WORDS = (
    "RDY",
    "NO CARRIER",
    "RING",
    "POWERED DOWN",
    "NORMAL POWER DOWN",
    "SMS READY",
    "CALL READY",
    "SMS DONE",
)
_NAME = re.compile(r"^AT(\+[A-Z]+|[A-Z&]?)", re.IGNORECASE)


class LineFramer:
    """Cuts bytes into lines without their CR and LF; empty ones are left out. Never raises; keeps LONGEST_LINE_BYTES.

    A `> ` at the beginning of a line (the prompt for a message's text) is a line of its own.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skipping = False
        self.dropped_bytes = 0

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes, control characters replaced."""
        lines: list[str] = []
        for byte in data:
            if byte in (0x0D, 0x0A):
                if self._buffer and not self._skipping:
                    lines.append(_text(self._buffer))
                self._buffer.clear()
                self._skipping = False
            elif self._skipping:
                self.dropped_bytes += 1
            else:
                self._buffer.append(byte)
                if self._buffer == b"> ":
                    lines.append(">")
                    self._buffer.clear()
                elif len(self._buffer) > LONGEST_LINE_BYTES:
                    self.dropped_bytes += len(self._buffer)
                    self._buffer.clear()
                    self._skipping = True
        return lines

    def clear(self) -> None:
        self._buffer.clear()
        self._skipping = False


def _text(raw: bytearray) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in raw.decode("ascii", "replace")).strip()


class AtDialog:
    """One command outstanding, others wait their turn; loop only.

    `write` may raise DeviceError, which `ask` lets through. `on_report(line)` gets unsolicited lines; at most
    LONGEST_ANSWER_LINES of an answer are kept, `dropped_lines` counts the rest.
    """

    def __init__(
        self, write: Callable[[bytes], None], on_report: Callable[[str], None], quiet_s: float = QUIET_S
    ) -> None:
        self._write = write
        self._on_report = on_report
        self._quiet_s = quiet_s
        self._framer = LineFramer()
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[str] | None = None
        self._lines: list[str] = []
        self._command = ""
        self._prefix = ""
        self._prompt: asyncio.Future[None] | None = None
        self._text = ""
        self._distrust = True
        self._heard = asyncio.Event()
        self._lost: str | None = None
        self.dropped_lines = 0

    def feed(self, data: bytes) -> None:
        """Take what the modem said. Never raises on any bytes."""
        self._heard.set()
        for line in self._framer.feed(data):
            self._line(line)

    def lost(self, why: str) -> None:
        """The port has gone: the outstanding command fails with DeviceError."""
        self._lost = why
        self._heard.set()
        self._fail(DeviceError(why))

    async def ask(self, command: str, timeout_s: float, answers: str | None = None) -> list[str]:
        """Send `command` (with its AT, without CR) and return the lines before OK.

        Lines that begin with + belong to the answer when the command's own name follows, or `answers` where a modem
        answers by another (SIMCom's AT+CICCID says `+ICCID:`); others are reports.

        Raises ModemRefusedError, ModemSilentError after `timeout_s`, or DeviceError when the port fails.
        """
        async with self._turn:
            await self._begin(command, answers)
            return await self._finish(command, timeout_s)

    async def send_text(
        self, command: str, text: str, *, prompt_timeout_s: float, timeout_s: float, gone: Callable[[], None]
    ) -> list[str]:
        """Send `command`, wait for the prompt, write `text` and Ctrl-Z, and return the lines before OK.

        `gone` is called when the text has been written: an error after that, other than ModemRefusedError, leaves open
        whether the message was sent; before that it was not. Raises as `ask`, and at once when the modem starts anew.
        """
        async with self._turn:
            await self._begin(command, None)
            assert self._answer is not None  # noqa: S101 - `_begin` made it
            self._prompt, self._text = asyncio.get_running_loop().create_future(), text
            try:
                either: set[asyncio.Future[Any]] = {self._prompt, self._answer}
                await asyncio.wait(either, timeout=prompt_timeout_s, return_when=asyncio.FIRST_COMPLETED)
                if not self._answer.done():
                    if not self._prompt.done():
                        self._fail(ModemSilentError(f"{command}: no prompt within {prompt_timeout_s:g} s"))
                    else:
                        self._write(text.encode("ascii", "replace") + CTRL_Z)
                        gone()
                return await self._finish(command, timeout_s)
            except ModemRefusedError:
                raise
            except (asyncio.CancelledError, DeviceError):
                self._distrust = True
                with contextlib.suppress(DeviceError):
                    self._write(LEAVE_PROMPT)
                raise
            finally:
                self._prompt, self._answer, self._text = None, None, ""

    async def _begin(self, command: str, answers: str | None) -> None:
        if self._distrust:
            await self._quiet()
        self._lines, self._command = [], command
        name = _NAME.match(command)
        self._prefix = answers or (f"{name[1].upper()}:" if name and name[1].startswith("+") else "")
        self._write(command.encode("ascii", "replace") + b"\r")
        self._answer = asyncio.get_running_loop().create_future()

    async def _finish(self, command: str, timeout_s: float) -> list[str]:
        assert self._answer is not None  # noqa: S101 - `_begin` made it
        try:
            # Not wait_for: up to Python 3.11 it swallows a cancellation that comes together with the answer.
            async with asyncio.timeout(timeout_s):
                final = await self._answer
        except TimeoutError:
            self._distrust = True
            raise ModemSilentError(f"{command}: no answer within {timeout_s:g} s") from None
        except (asyncio.CancelledError, DeviceError):
            self._distrust = True
            raise
        finally:
            self._answer = None
        if final != "OK":
            raise ModemRefusedError(command, final)
        return self._lines

    def _fail(self, error: DeviceError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    async def _quiet(self) -> None:
        """Leave a prompt that may be open, and let late answers pass; they are reports to nobody. Raises DeviceError
        when the port goes meanwhile."""
        self._lost = None
        self._write(LEAVE_PROMPT)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + QUIET_WAIT_S
        while self._lost is None and loop.time() < deadline_s:
            self._heard.clear()
            try:
                async with asyncio.timeout(self._quiet_s):
                    await self._heard.wait()
            except TimeoutError:
                break
        if self._lost is not None:
            raise DeviceError(self._lost)
        self._framer.clear()
        self._distrust = False

    def _line(self, line: str) -> None:
        waiting = self._answer is not None and not self._answer.done()
        if not waiting:
            if not _FINAL.match(line) and not self._distrust:
                self._on_report(line)
        elif _FINAL.match(line):
            assert self._answer is not None  # noqa: S101 - `waiting` says so
            self._answer.set_result(line)
        elif line == self._command or (self._text and line.rstrip("\ufffd") == self._text):
            return  # echo, before ATE0 took effect
        elif line == ">" and self._prompt is not None:
            if not self._prompt.done():
                self._prompt.set_result(None)
        elif self._prompt is not None and line.upper() == "RDY":
            self._on_report(line)
            self._fail(ModemSilentError(f"{self._command}: the modem started anew"))
        elif self._is_report(line):
            self._on_report(line)
        elif len(self._lines) < LONGEST_ANSWER_LINES:
            self._lines.append(line)
        else:
            self.dropped_lines += 1

    def _is_report(self, line: str) -> bool:
        if line.upper().startswith(_REPORT_WORDS):
            return True
        return line[:1] in "+^*" and not (self._prefix and line.upper().startswith(self._prefix))
