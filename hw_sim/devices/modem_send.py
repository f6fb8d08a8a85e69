"""Messages that leave the simulated modem: prompt, text, network and faults (3GPP TS 27.005, 3.5.1 and 4.3)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from hw_sim.devices import modem_sms
from hw_sim.devices.modem_commands import CmsError, PlainError, arguments, number
from hw_sim.devices.modem_pdu import decode_submit
from hw_sim.devices.modem_state import ModemState, SentSms

CTRL_Z, ESC = 0x1A, 0x1B
LONGEST_TEXT_BYTES = 1024
KEEP_SENT = 200
BAD_PDU = 304


@dataclass
class SmsFaults:
    """What goes wrong when a message is sent; may be changed at any time."""

    refuse: dict[str, int] = field(default_factory=dict)
    """+CMS ERROR by number; "" for every number."""
    no_prompt: bool = False
    silent: bool = False
    """The text is taken and nothing follows; the modem goes on with other commands after `silent_s`."""
    silent_s: float = 1.0
    network_s: float = 0.0
    """How long the network takes for each message."""
    reset: Literal["", "before", "after"] = ""
    """The modem restarts in the middle of the next message, before or after the network took it. Once."""


@dataclass(frozen=True)
class Doors:
    """What the modem lends to this part."""

    write: Callable[[bytes], None]
    finish: Callable[[Callable[[], list[str] | None]], None]
    """Do the work and answer with its lines and OK, or with its error."""
    call_later: Callable[[float, Callable[[], None]], None]
    reset: Callable[[], None]


class Outgoing:
    """The entry of one text at a time; the owner holds its lock in every call. `sent` keeps the last KEEP_SENT."""

    def __init__(self, state: ModemState, doors: Doors) -> None:
        self._state, self._doors = state, doors
        self.faults = SmsFaults()
        self.sent: list[SentSms] = []
        self.total = 0
        self._text: bytearray | None = None
        self._to = ""
        self._length = 0
        self._reference = 0
        self._busy = 0
        """Counts up with each message and each restart: an answer for an earlier one is not given."""
        self._sending = False

    @property
    def wants_bytes(self) -> bool:
        """Whether what arrives is a message's text, or thrown away because one is being sent."""
        return self._text is not None or self._sending

    def forget(self) -> None:
        """As after a restart."""
        self._text, self._sending = None, False
        self._busy += 1

    def command(self, tail: str) -> None:
        """AT+CMGS=<number> in text mode, AT+CMGS=<octets> in PDU mode: gives the prompt, or raises the error."""
        modem_sms.ready_to_send(self._state)
        first = arguments(tail)[0]
        if self._state.sms_text_mode:
            self._to = modem_sms.decode(self._state, first)
            if not first:
                raise PlainError
        else:
            self._length = number(first, 1, 255)
        if not self.faults.no_prompt:
            self._text = bytearray()
            self._doors.write(b"\r\n> ")

    def byte(self, byte: int) -> None:
        """One byte while `wants_bytes`."""
        text = self._text
        if text is None:
            return
        if byte == ESC:
            self._text = None
            self._doors.finish(list)
        elif byte == CTRL_Z:
            self._text = None
            self._doors.finish(lambda: self._send(bytes(text)))
        elif len(text) < LONGEST_TEXT_BYTES:
            text.append(byte)

    def _send(self, text: bytes) -> list[str] | None:
        sms = self._message(text.decode("latin-1"))
        self._sending = True
        self._busy += 1
        if self.faults.reset == "before":
            self.faults.reset = ""
            self._doors.reset()
            return None
        number, faults = self._busy, self.faults
        if faults.silent:
            self._doors.call_later(faults.silent_s, lambda: self._end(number))
            return None
        if faults.network_s == 0 and not faults.reset:
            return self._took(sms)
        self._doors.call_later(faults.network_s, lambda: self._later(number, sms))
        return None

    def _end(self, number: int) -> None:
        if number == self._busy:
            self._sending = False

    def _later(self, number: int, sms: SentSms) -> None:
        if number != self._busy:
            return
        if self.faults.reset == "after":
            self.faults.reset = ""
            self._keep(sms)
            self._doors.reset()
            return
        self._doors.finish(lambda: self._took(sms))

    def _took(self, sms: SentSms) -> list[str]:
        self._sending = False
        modem_sms.ready_to_send(self._state)
        code = self.faults.refuse.get(sms.number, self.faults.refuse.get(""))
        if code is not None:
            raise CmsError(code)
        self._keep(sms)
        return [f"+CMGS: {self._reference}"]

    def _keep(self, sms: SentSms) -> None:
        self._reference = (self._reference + 1) % 256
        self.total += 1
        self.sent.append(sms)
        del self.sent[:-KEEP_SENT]

    def _message(self, text: str) -> SentSms:
        now_ns = time.monotonic_ns()
        if self._state.sms_text_mode:
            return SentSms(self._to, modem_sms.decode(self._state, text), now_ns)
        try:
            to, decoded = decode_submit(text.strip(), self._length)
        except ValueError:
            raise CmsError(BAD_PDU) from None
        return SentSms(to, decoded, now_ns, text.strip())
