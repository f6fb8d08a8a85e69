"""The modem, spoken to as the driver does: through pyserial."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
import serial

from hw_sim.devices.modem import SimModem
from hw_sim.devices.modem_state import SIMCOM, Identity, Registration

FINAL = ("OK", "ERROR", "+CME ERROR", "+CMS ERROR")
WaitUntil = Callable[..., None]


class Line:
    """A plain AT dialogue."""

    def __init__(self, path: Path) -> None:
        self.port = serial.Serial(str(path), 115_200, timeout=3.0)

    def ask(self, command: str) -> list[str]:
        """The lines up to and with the final one."""
        self.port.write(command.encode() + b"\r")
        return self.answer()

    def answer(self) -> list[str]:
        lines: list[str] = []
        while not lines or not lines[-1].startswith(FINAL):
            lines.append(self.line())
        return lines

    def line(self) -> str:
        """The next line that is not empty."""
        while True:
            raw = self.port.readline()
            assert raw.endswith(b"\r\n"), f"no whole line within the time-out: {raw!r}"
            if raw.strip():
                return raw.strip().decode()


@pytest.fixture
def modem(tmp_path: Path) -> Iterator[SimModem]:
    modem = SimModem(link=tmp_path / "modem", reset_s=0.05, search_s=0.1)
    yield modem
    modem.close()


@pytest.fixture
def line(modem: SimModem) -> Iterator[Line]:
    line = Line(modem.path)
    assert line.ask("ATE0")[-1] == "OK"
    yield line
    line.port.close()


def test_ok__exact_framing_with_and_without_echo(modem: SimModem) -> None:
    with serial.Serial(str(modem.path), timeout=3.0) as port:
        port.write(b"AT\r")
        assert port.read(9) == b"AT\r\r\nOK\r\n"
        port.write(b"ATE0\r")
        assert port.read(11) == b"ATE0\r\r\nOK\r\n"
        port.write(b"AT+CSQ\r")
        assert port.read(21) == b"\r\n+CSQ: 24,99\r\n\r\nOK\r\n"
        assert port.in_waiting == 0


def test_ok__identity(line: Line) -> None:
    known = Identity()
    assert line.ask("ATI") == ["Quectel", "EC25", f"Revision: {known.revision}", "OK"]
    assert line.ask("AT+CGMI") == ["Quectel", "OK"]
    assert line.ask("AT+CGMM") == ["EC25", "OK"]
    assert line.ask("AT+CGMR") == [known.revision, "OK"]
    assert line.ask("AT+CGSN") == [known.imei, "OK"]
    assert line.ask("AT+CIMI") == [known.imsi, "OK"]
    assert line.ask("AT+QCCID") == [f"+QCCID: {known.iccid}", "OK"]


def test_ok__commands_in_any_case_and_several_on_a_line(line: Line) -> None:
    assert line.ask("at+cgmm") == ["EC25", "OK"]
    assert line.ask("ATE0V1;+CMEE=2;+CREG=2") == ["OK"]
    assert line.ask("AT+CMEE?;+CGMM") == ["+CMEE: 2", "EC25", "OK"]


@pytest.mark.parametrize(
    "command", ["AT+NOSUCH", "AT+NOSUCH?", "AT+CREG=9", "AT+CMEE=", "ATK", "AT+CGMI=1", "AT+CMGR=x"]
)
def test_fail__unknown_or_malformed_is_error(line: Line, command: str) -> None:
    assert line.ask(command) == ["ERROR"]
    assert line.ask("AT") == ["OK"]


def test_ok__noise_is_not_answered(line: Line) -> None:
    line.port.write(b"\xff\x00hello\r\n\r")
    assert line.ask("AT") == ["OK"]


def test_fail__an_endless_line_is_cut(line: Line) -> None:
    # The command at its end lies beyond what a modem keeps of a line.
    line.port.write(b" " * 3000)
    line.port.write(b"AT+CGMM\r")
    assert line.ask("AT+CGMI") == ["Quectel", "OK"]


@pytest.mark.parametrize(
    ("registration", "stat"),
    [("not_registered", 0), ("home", 1), ("searching", 2), ("denied", 3), ("unknown", 4), ("roaming", 5)],
)
def test_ok__registration(modem: SimModem, line: Line, registration: Registration, stat: int) -> None:
    modem.set_registration(registration)
    where = ',"7A1B","1A2D003",7' if stat in (1, 5) else ""
    for name in ("CREG", "CGREG", "CEREG"):
        assert line.ask(f"AT+{name}?") == [f"+{name}: 0,{stat}", "OK"]
        line.ask(f"AT+{name}=2")
        assert line.ask(f"AT+{name}?") == [f"+{name}: 2,{stat}{where}", "OK"]
    operator = '+COPS: 0,0,"Simulated UK",7' if where else "+COPS: 0"
    assert line.ask("AT+COPS?") == [operator, "OK"]


def test_ok__registration_changes_are_reported_where_asked_for(modem: SimModem, line: Line) -> None:
    line.ask("AT+CEREG=2")
    modem.set_registration("denied")
    assert line.line() == "+CEREG: 3"
    modem.set_registration("roaming")
    assert line.line() == '+CEREG: 5,"7A1B","1A2D003",7'
    modem.set_registration("roaming")
    assert line.ask("AT") == ["OK"]


def test_ok__signal(modem: SimModem, line: Line) -> None:
    modem.set_signal(-110)
    assert line.ask("AT+CSQ") == ["+CSQ: 15,99", "OK"]
    assert line.ask("AT+CESQ") == ["+CESQ: 99,99,255,255,20,31", "OK"]
    assert line.ask("AT+QCSQ") == ['+QCSQ: "LTE",-82,-110,160,-10', "OK"]
    cell = line.ask('AT+QENG="servingcell"')[0]
    assert cell.startswith('+QENG: "servingcell","NOCONN","LTE","FDD",001,01,')
    assert ",-110,-10,-82,12," in cell
    assert line.ask("AT+QNWINFO") == ['+QNWINFO: "FDD LTE","00101","LTE BAND 3",1350', "OK"]


def test_ok__no_signal_at_all(modem: SimModem, line: Line) -> None:
    modem.set_signal(None)
    assert line.ask("AT+CSQ") == ["+CSQ: 99,99", "OK"]
    assert line.ask("AT+CESQ") == ["+CESQ: 99,99,255,255,255,255", "OK"]
    assert line.ask("AT+QCSQ") == ['+QCSQ: "NOSERVICE"', "OK"]
    assert line.ask("AT+CEREG?") == ["+CEREG: 0,2", "OK"]
    assert line.ask('AT+QENG="servingcell"') == ['+QENG: "servingcell","SEARCH"', "OK"]
    assert line.ask("AT+QNWINFO") == ["+QNWINFO: No Service", "OK"]


def test_ok__sim_missing_locked_and_unlocked(modem: SimModem, line: Line) -> None:
    assert line.ask("AT+CPIN?") == ["+CPIN: READY", "OK"]
    modem.set_sim("NOT INSERTED")
    assert line.line() == "+CPIN: NOT READY"
    assert line.ask("AT+CPIN?") == ["+CME ERROR: 10"]
    assert line.ask("AT+CIMI") == ["+CME ERROR: 10"]
    assert line.ask("AT+CREG?") == ["+CREG: 0,0", "OK"]
    modem.set_sim("SIM PIN")
    assert line.line() == "+CPIN: SIM PIN"
    assert line.ask("AT+QCCID") == ["+CME ERROR: 11"]
    assert line.ask("AT+CPIN=0000") == ["+CME ERROR: 16"]
    assert line.ask("AT+QPINC?")[0] == '+QPINC: "SC",2,10'
    assert line.ask('AT+CPIN="1234"') == ["OK"]
    assert line.line() == "+CPIN: READY"
    assert line.ask("AT+CREG?") == ["+CREG: 0,1", "OK"]


def test_fail__three_wrong_pins_lock_the_sim(modem: SimModem, line: Line) -> None:
    modem.set_sim("SIM PIN")
    assert line.line() == "+CPIN: SIM PIN"
    for _ in range(3):
        assert line.ask("AT+CPIN=9999")[-1] == "+CME ERROR: 16"
    assert line.line() == "+CPIN: SIM PUK"
    assert line.ask("AT+CPIN?") == ["+CPIN: SIM PUK", "OK"]


@pytest.mark.parametrize(("mode", "answer"), [(0, "ERROR"), (1, "+CME ERROR: 10"), (2, "+CME ERROR: SIM not inserted")])
def test_ok__cmee_says_how_errors_look(modem: SimModem, line: Line, mode: int, answer: str) -> None:
    modem.set_sim("NOT INSERTED")
    line.line()
    line.ask(f"AT+CMEE={mode}")
    assert line.ask("AT+CPIN?") == [answer]


def send_sms(line: Line, number: str, text: str) -> list[str]:
    line.port.write(f'AT+CMGS="{number}"\r'.encode())
    assert line.port.read(4) == b"\r\n> "
    line.port.write(text.encode() + b"\x1a")
    return line.answer()


def test_ok__sends_text_messages(modem: SimModem, line: Line) -> None:
    line.ask("AT+CMGF=1")
    assert send_sms(line, "+447700900001", "PANIC K4T9QZ\nHigh Street") == ["+CMGS: 1", "OK"]
    assert send_sms(line, "+447700900002", "second") == ["+CMGS: 2", "OK"]
    assert [(sms.number, sms.text) for sms in modem.sms_sent] == [
        ("+447700900001", "PANIC K4T9QZ\nHigh Street"),
        ("+447700900002", "second"),
    ]


def test_ok__ucs2_messages_are_decoded(modem: SimModem, line: Line) -> None:
    line.ask("AT+CMGF=1")
    line.ask('AT+CSCS="UCS2"')
    number, text = ("+447700900001".encode("utf-16-be").hex(), "Żółć".encode("utf-16-be").hex())
    assert send_sms(line, number, text)[-1] == "OK"
    assert modem.sms_sent[-1].text == "Żółć"
    assert modem.sms_sent[-1].number == "+447700900001"


def test_ok__escape_gives_a_message_up(modem: SimModem, line: Line) -> None:
    line.ask("AT+CMGF=1")
    line.port.write(b'AT+CMGS="+447700900001"\r')
    assert line.port.read(4) == b"\r\n> "
    line.port.write(b"never mind\x1b")
    assert line.answer() == ["OK"]
    assert modem.sms_sent == []


def test_fail__messages_meet_errors(modem: SimModem, line: Line) -> None:
    line.ask("AT+CMGF=1")
    modem.sms_faults.refuse[""] = 500
    assert send_sms(line, "+447700900001", "lost") == ["+CMS ERROR: 500"]
    modem.set_registration("denied")
    assert line.ask('AT+CMGS="+447700900001"') == ["+CMS ERROR: 331"]
    modem.set_sim("NOT INSERTED")
    line.line()
    assert line.ask('AT+CMGS="+447700900001"') == ["+CMS ERROR: 310"]
    assert modem.sms_sent == []


PDU = "0011000C914477000910090000A70AE8329BFD4697D9EC37"
"""To +447700900190, "hellohello", 24 hours: 23 octets and the empty service centre."""


def send_pdu(line: Line, pdu: str = PDU, length: int = 23) -> list[str]:
    line.port.write(f"AT+CMGS={length}\r".encode())
    assert line.port.read(4) == b"\r\n> "
    line.port.write(pdu.encode() + b"\x1a")
    return line.answer()


@pytest.mark.parametrize("identity", [Identity(), SIMCOM], ids=["quectel", "simcom"])
def test_ok__a_pdu_is_read_as_the_service_centre_reads_it(tmp_path: Path, identity: Identity) -> None:
    modem = SimModem(link=tmp_path / "modem", identity=identity)
    line = Line(modem.path)
    assert line.ask("ATE0+CMGF=0")[-1] == "OK"
    assert send_pdu(line) == ["+CMGS: 1", "OK"]
    assert [(sms.number, sms.text, sms.pdu) for sms in modem.sms_sent] == [("+447700900190", "hellohello", PDU)]
    assert (line.ask("AT+CICCID")[-1] == "OK") == identity.simcom
    assert (line.ask("AT+QCCID")[-1] == "OK") != identity.simcom
    line.port.close()
    modem.close()


@pytest.mark.parametrize(
    ("pdu", "length"), [(PDU, 22), (PDU[:-2], 22), (PDU + "00", 24), ("zz", 1), ("", 5), ("0001", 1), ("00" * 24, 23)]
)
def test_fail__a_bad_pdu(modem: SimModem, line: Line, pdu: str, length: int) -> None:
    assert send_pdu(line, pdu, length) == ["+CMS ERROR: 304"]
    assert modem.sms_sent == []


def test_faults_of_sending(modem: SimModem, line: Line) -> None:
    faults = modem.sms_faults
    faults.refuse["+447700900190"] = 28
    assert send_pdu(line) == ["+CMS ERROR: 28"]
    faults.refuse.clear()
    faults.network_s = 0.1
    assert send_pdu(line) == ["+CMGS: 1", "OK"]
    faults.no_prompt = True
    line.port.write(b"AT+CMGS=23\r")
    assert line.ask("AT") == ["OK"]
    faults.no_prompt, faults.silent, faults.silent_s = False, True, 0.05
    line.port.write(b"AT+CMGS=23\r")
    assert line.port.read(4) == b"\r\n> "
    line.port.write(PDU.encode() + b"\x1a")
    line.port.timeout = 0.1
    assert line.port.read(1) == b""
    line.port.timeout = 3.0
    assert line.ask("AT") == ["OK"]
    assert len(modem.sms_sent) == 1


@pytest.mark.parametrize(("when", "sent"), [("before", 0), ("after", 1)])
def test_a_reset_in_the_middle_of_a_message(
    modem: SimModem, line: Line, wait_until: WaitUntil, when: Literal["before", "after"], sent: int
) -> None:
    modem.sms_faults.reset = when
    line.port.write(b"AT+CMGS=23\r")
    assert line.port.read(4) == b"\r\n> "
    line.port.write(PDU.encode() + b"\x1a")
    wait_until(lambda: modem.resets == 1 and modem.plugged, "back after the reset")
    assert len(modem.sms_sent) == sent
    assert modem.sms_faults.reset == ""


def test_ok__receives_lists_reads_and_deletes_messages(modem: SimModem, line: Line) -> None:
    line.ask("AT+CMGF=1")
    assert modem.receive_sms("+447700900002", "STATUS?")
    assert line.line() == '+CMTI: "ME",0'
    assert modem.receive_sms("+447700900003", "two")
    assert line.line() == '+CMTI: "ME",1'
    read = line.ask("AT+CMGR=0")
    assert read[0].startswith('+CMGR: "REC UNREAD","+447700900002",,"')
    assert read[1:] == ["STATUS?", "OK"]
    assert line.ask("AT+CMGR=0")[0].startswith('+CMGR: "REC READ"')
    assert [text for text in line.ask('AT+CMGL="ALL"') if not text.startswith("+")] == ["STATUS?", "two", "OK"]
    assert line.ask("AT+CMGD=0") == ["OK"]
    assert line.ask("AT+CMGR=0") == ["OK"]
    assert line.ask("AT+CMGD=1,4") == ["OK"]
    assert modem.state.inbox == {}


def test_fail__storage_full(modem: SimModem, line: Line) -> None:
    line.ask("AT+CNMI=2,0")
    assert [modem.receive_sms("+44", "x") for _ in range(24)] == [True] * 23 + [False]
    assert line.ask("AT+CPMS?") == ['+CPMS: "ME",23,23,"ME",23,23,"ME",23,23', "OK"]


def test_ok__context_address_clock(modem: SimModem, line: Line) -> None:
    assert line.ask('AT+CGDCONT=1,"IP","hub.example"') == ["OK"]
    assert line.ask("AT+CGDCONT?")[0].startswith('+CGDCONT: 1,"IP","hub.example"')
    assert line.ask("AT+CGPADDR=1") == ['+CGPADDR: 1,"10.64.12.7"', "OK"]
    assert line.ask("AT+CCLK?")[0].startswith('+CCLK: "2')
    assert line.ask("AT+QLTS=2")[0].startswith('+QLTS: "20')
    modem.set_registration("searching")
    assert line.ask("AT+CCLK?")[0] == '+CCLK: "80/01/06,00:00:16+00"'
    assert line.ask("AT+QLTS=2")[0] == '+QLTS: ""'


def test_ok__airplane_mode_and_back(line: Line) -> None:
    line.ask("AT+CREG=1")
    assert line.ask("AT+CFUN=4") == ["OK"]
    assert line.line() == "+CREG: 0"
    assert line.ask("AT+CSQ") == ["+CSQ: 99,99", "OK"]
    assert line.ask("AT+CFUN=1") == ["OK"]
    assert line.line() == "+CREG: 1"


def test_ok__reset_takes_the_port_away_and_brings_it_back(modem: SimModem, line: Line, wait_until: WaitUntil) -> None:
    line.ask("AT+CREG=2")
    assert line.ask("AT+CFUN=1,1") == ["OK"]
    with pytest.raises((serial.SerialException, OSError)):
        for _ in range(10):
            line.port.read(1)
    assert line.port.is_open  # as with the real thing: only a reopen helps
    wait_until(modem.path.exists, "the port is back")
    again = Line(modem.path)
    assert [again.line() for _ in range(3)] == ["RDY", "+CFUN: 1", "+CPIN: READY"]
    assert modem.resets == 1
    # Reports that were still to come, the echo (on again) and the answer.
    assert again.ask("ATE0")[-2:] == ["ATE0", "OK"]
    wait_until(lambda: again.ask("AT+CREG?") == ["+CREG: 0,1", "OK"], "it registers; the report mode is forgotten")
    again.port.close()


def test_ok__powered_down_by_command_and_up_by_its_supply(modem: SimModem, line: Line, wait_until: WaitUntil) -> None:
    assert line.ask("AT+QPOWD") == ["OK"]
    assert line.line() == "POWERED DOWN"
    wait_until(lambda: not modem.path.is_symlink(), "the port is gone")
    modem.set_power(True)
    wait_until(modem.path.exists, "the port is back")


def test_fail__hung_takes_bytes_and_says_nothing_until_its_supply_is_cut(
    modem: SimModem, line: Line, wait_until: WaitUntil
) -> None:
    modem.hang(True)
    line.port.timeout = 0.2
    line.port.write(b"AT\r")
    assert line.port.read(1) == b""
    modem.set_registration("denied")
    assert line.port.read(1) == b""
    modem.power_cycle()
    wait_until(lambda: modem.plugged, "the port is back")
    again = Line(modem.path)
    assert again.ask("AT")[-1] == "OK"
    again.port.close()


def test_fail__unplugged_is_a_hang_up(modem: SimModem, line: Line) -> None:
    modem.unplug()
    with pytest.raises((serial.SerialException, OSError)):
        line.port.read(1)
    assert not modem.path.is_symlink()
    modem.plug()
    again = Line(modem.path)
    assert again.ask("AT") == ["OK"]
    again.port.close()
