"""A simulated 4G modem (Quectel EC25, or SIMCom SIM7600 by its identity) on a pseudo-terminal: lines, reports, faults.

The commands themselves are in `modem_commands` and `modem_sms`, sending in `modem_send`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from hw_sim.devices import modem_sms
from hw_sim.devices.modem_commands import (
    CME_TEXT,
    CmeError,
    CmsError,
    PlainError,
    arguments,
    known,
    number,
    registration_line,
)
from hw_sim.devices.modem_send import Doors, Outgoing, SmsFaults
from hw_sim.devices.modem_state import Identity, ModemState, Network, Registration, SentSms, SimState
from hw_sim.devices.pty_port import PtyPort

_LONGEST_LINE_BYTES = 1024
_REPORTED = ("CREG", "CGREG", "CEREG")


class SimModem:
    """A modem one can talk AT to. Thread-safe; commands run on its own thread.

    It is ready as soon as it is made. After a reset (AT+CFUN=1,1) or a power cycle the port is gone for
    `reset_s` and comes back under another PTY and the same `link`; it finds the network `search_s` later.
    A real EC25 takes about 10 s and 5 s.
    """

    def __init__(
        self,
        *,
        link: Path | None = None,
        identity: Identity | None = None,
        operator: str = "Simulated UK",
        registration: Registration = "home",
        rsrp_dbm: int | None = -92,
        sim: SimState = "READY",
        reset_s: float = 2.0,
        search_s: float = 1.0,
    ) -> None:
        self.state = ModemState(
            identity=identity or Identity(),
            network=Network(operator=operator, registration=registration, rsrp_dbm=rsrp_dbm),
            sim=sim,
        )
        self.reset_s, self.search_s = reset_s, search_s
        self.commands: int = 0
        """Command lines answered."""
        self.resets: int = 0
        self._lock = threading.RLock()
        self._line = bytearray()
        self._hung = False
        self._powered = True
        self._starts = 0
        doors = Doors(lambda data: self._port.write(data), self._finish, self._call_later_locked, self._reset)
        self._out = Outgoing(self.state, doors)
        self._port = PtyPort(self._received, name="modem", link=link)

    @property
    def sms_sent(self) -> list[SentSms]:
        """The messages that the network took, oldest first; the last 200."""
        with self._lock:
            return list(self._out.sent)

    @property
    def sms_faults(self) -> SmsFaults:
        """What goes wrong in sending; change it at will."""
        return self._out.faults

    @property
    def entering(self) -> bool:
        """Whether it is at the prompt of a message or sending one."""
        return self._out.wants_bytes

    @property
    def path(self) -> Path:
        """The serial port the driver opens."""
        return self._port.path

    @property
    def plugged(self) -> bool:
        """Whether the serial port exists at present."""
        return self._port.plugged

    def set_registration(self, registration: Registration) -> None:
        """What the network does with it from now on; reported as +CREG, +CGREG and +CEREG where asked for."""
        self._change(lambda: setattr(self.state.network, "registration", registration))

    def set_signal(self, rsrp_dbm: int | None) -> None:
        """The signal it hears; None for nothing at all, which also loses the registration."""
        self._change(lambda: setattr(self.state.network, "rsrp_dbm", rsrp_dbm))

    def set_sim(self, sim: SimState) -> None:
        """Insert, lock or pull out the SIM; reported as +CPIN."""

        def change() -> None:
            if sim != self.state.sim:
                self.state.sim = sim
                self._report(f"+CPIN: {'NOT READY' if sim == 'NOT INSERTED' else sim}")

        self._change(change)

    def receive_sms(self, sender: str, text: str) -> bool:
        """A message arrives; False when the storage is full or there is no network to bring it."""
        with self._lock:
            if not self.state.registered:
                return False
            index = modem_sms.store(self.state, sender, text)
            if index is not None and self.state.new_sms_urc:
                self._report(f'+CMTI: "ME",{index}')
            return index is not None

    def hang(self, hung: bool) -> None:
        """Fault: the port takes bytes and says nothing, until this is lifted or its supply is cut."""
        with self._lock:
            self._hung = hung
            self._out.forget()

    def unplug(self) -> None:
        """Fault: the USB cable is out."""
        self._port.unplug()

    def plug(self) -> None:
        """The USB cable is back (the modem is as it was)."""
        self._port.plug()

    def set_power(self, on: bool) -> None:
        """The supply, as a GPIO of the pole switches it: off ends a hang, on starts the modem afresh."""
        with self._lock:
            if on == self._powered:
                return
            self._powered = on
            self._starts += 1
            if on:
                self._start_after(self.reset_s)
        if not on:
            self._port.unplug()

    def power_cycle(self) -> None:
        """Supply off and on again."""
        self.set_power(False)
        self.set_power(True)

    def close(self) -> None:
        """End its thread and remove the port."""
        self._port.close()

    # What arrives on the line; the port's thread.

    def _received(self, data: bytes) -> None:
        with self._lock:
            for byte in data:
                if self._hung or not self._port.plugged:
                    return
                if self.state.echo:
                    self._port.write(bytes((byte,)))
                if self._out.wants_bytes:
                    self._out.byte(byte)
                elif byte == 0x0D:
                    line = self._line.decode("ascii", "replace").strip()
                    self._line.clear()
                    self._command_line(line)
                elif byte == 0x08:
                    del self._line[-1:]
                elif byte != 0x0A and len(self._line) < _LONGEST_LINE_BYTES:
                    self._line.append(byte)

    def _command_line(self, line: str) -> None:
        if line[:2].upper() != "AT":
            return  # noise and line feeds are not answered
        self.commands += 1
        self._finish(lambda: self._run(line[2:].strip()))

    def _finish(self, work: Callable[[], list[str] | None]) -> None:
        """Do the work and send its lines with the final result; None means that it answers later."""
        before = self.state.sim, self.state.registration
        try:
            lines = work()
        except PlainError:
            self._answer([], "ERROR")
        except CmeError as error:
            self._answer([], self._cme(error.code))
        except CmsError as error:
            self._answer([], f"+CMS ERROR: {error.code}")
        else:
            if lines is not None:
                self._answer(lines, "OK")
        if before != (self.state.sim, self.state.registration):
            if before[0] != self.state.sim:
                self._report(f"+CPIN: {self.state.sim}")
            self._report_registration()

    def _run(self, rest: str) -> list[str] | None:
        lines: list[str] = []
        while rest:
            if rest[0] in "+&":
                command, rest = _split(rest) if rest[0] == "+" else (rest[:3], rest[3:])
            else:
                size = 1 + len(rest[1:]) - len(rest[1:].lstrip("0123456789"))
                command, rest = rest[:size], rest[size:]
            answer = self._one(command)
            if answer is None:
                return None
            lines += answer
            rest = rest.lstrip("; ")
        return lines

    def _one(self, command: str) -> list[str] | None:
        upper = command.upper()
        if upper[0] != "+":
            return self._basic(upper)
        size = next((index for index, char in enumerate(command) if char in "=?"), len(command))
        name, tail = upper[:size], command[size:]
        if name == "+CFUN":
            return self._cfun(tail)
        if name == "+QPOWD":
            self._port.call_later(0.05, self._power_down)
            return []
        if name == "+CMGS":
            self._out.command(tail)
            return None
        found = known(self.state, name) or modem_sms.SMS_COMMANDS.get(name)
        if found is None:
            raise PlainError
        return found(self.state, tail)

    def _basic(self, command: str) -> list[str]:
        if command in ("E0", "E1", "E"):
            self.state.echo = command == "E1"
        elif command in ("I", "I0"):
            identity = self.state.identity
            return [identity.manufacturer, identity.model, f"Revision: {identity.revision}"]
        elif command in ("Z", "Z0", "&F", "&F0"):
            self.state.after_reset()
        elif command[0] not in "VQSX&HL":
            raise PlainError
        return []

    def _cfun(self, tail: str) -> list[str]:
        if tail == "?":
            return [f"+CFUN: {self.state.functionality}"]
        values = arguments(tail)
        functionality = number(values[0], 0, 4)
        if len(values) > 1 and values[1] == "1":
            self._port.call_later(0.05, self._reset)
        else:
            self.state.functionality = functionality
        return []

    # What it says.

    def _answer(self, lines: list[str], result: str) -> None:
        if self._hung:
            return
        head = "\r\n" + "\r\n".join(lines) + "\r\n" if lines else ""
        self._port.write(f"{head}\r\n{result}\r\n".encode("latin-1", "replace"))

    def _report(self, line: str) -> None:
        if not self._hung and self._powered and self._port.plugged:
            self._port.write(f"\r\n{line}\r\n".encode("latin-1", "replace"))

    def _report_registration(self) -> None:
        for name in _REPORTED:
            if self.state.urc[name]:
                self._report(registration_line(self.state, name, unasked=True))

    def _change(self, change: Callable[[], None]) -> None:
        with self._lock:
            before = self.state.registration
            change()
            if self.state.registration != before:
                self._report_registration()

    def _cme(self, code: int) -> str:
        if self.state.cmee == 0:
            return "ERROR"
        return f"+CME ERROR: {CME_TEXT.get(code, 'unknown') if self.state.cmee == 2 else code}"

    # Reset and power; timers on the port's thread.

    def _call_later_locked(self, delay_s: float, call: Callable[[], None]) -> None:
        def locked() -> None:
            with self._lock:
                call()

        self._port.call_later(delay_s, locked)

    def _reset(self) -> None:
        with self._lock:
            if not self._powered:
                return
            self.resets += 1
            self._starts += 1
            self._port.unplug()
            self._start_after(self.reset_s)

    def _power_down(self) -> None:
        self._report("POWERED DOWN")
        # Let the driver read the last words before the port goes.
        self._port.call_later(0.1, lambda: self.set_power(False))

    def _start_after(self, delay_s: float) -> None:
        start = self._starts
        self._port.call_later(delay_s, lambda: self._boot(start))

    def _boot(self, start: int) -> None:
        with self._lock:
            if start != self._starts or not self._powered:
                return
            self.state.after_reset()
            self.state.settled = False
            self._hung = False
            self._line.clear()
            self._out.forget()
            self._port.plug()
            self._port.call_later(0.05, lambda: self._ready(start))
            self._port.call_later(self.search_s, lambda: self._found(start))

    def _ready(self, start: int) -> None:
        with self._lock:
            if start != self._starts:
                return
            self._report("RDY")
            self._report("+CFUN: 1")
            self._report("+CPIN: NOT READY" if self.state.sim == "NOT INSERTED" else f"+CPIN: {self.state.sim}")
            if self.state.identity.simcom:
                self._report("SMS DONE")
                self._report("PB DONE")
                return
            self._report("+QUSIM: 1")
            self._report("+QIND: SMS DONE")

    def _found(self, start: int) -> None:
        if start == self._starts:
            self._change(lambda: setattr(self.state, "settled", True))


def _split(rest: str) -> tuple[str, str]:
    """The first extended command of a line, up to a semicolon outside quotes, and what follows."""
    quoted = False
    for index, char in enumerate(rest):
        if char == '"':
            quoted = not quoted
        elif char == ";" and not quoted:
            return rest[:index], rest[index + 1 :]
    return rest, ""
