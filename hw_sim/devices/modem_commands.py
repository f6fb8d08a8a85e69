"""The AT commands of a Quectel EC25, and what a SIMCom SIM7600 has instead, as the daemon and an engineer use them.

Each command is a function of the state and the text after its name (`?`, `=1,"x"`, `=?` or nothing) that
returns the lines before OK, or raises one of the failures below. Nothing here does I/O.
Sources: 3GPP TS 27.007 and 27.005, Quectel EC25 AT commands manual.
"""

from __future__ import annotations

from collections.abc import Callable

from hw_sim.devices.modem_state import ACT_EUTRAN, STAT, ModemState

SIM_NOT_INSERTED, SIM_PIN_REQUIRED, SIM_PUK_REQUIRED = 10, 11, 12
INCORRECT_PASSWORD, NO_NETWORK = 16, 30
GNSS_NOT_FIXED, GNSS_NOT_ACTIVE = 516, 505

CME_TEXT = {
    3: "Operation not allowed",
    SIM_NOT_INSERTED: "SIM not inserted",
    SIM_PIN_REQUIRED: "SIM PIN required",
    SIM_PUK_REQUIRED: "SIM PUK required",
    13: "SIM failure",
    14: "SIM busy",
    INCORRECT_PASSWORD: "Incorrect password",
    NO_NETWORK: "No network service",
    GNSS_NOT_ACTIVE: "Session not active",
    GNSS_NOT_FIXED: "Not fixed now",
}


class PlainError(Exception):
    """The answer is ERROR: unknown command or bad syntax."""


class CmeError(Exception):
    """The answer is +CME ERROR."""

    def __init__(self, code: int) -> None:
        super().__init__(CME_TEXT.get(code, "unknown"))
        self.code = code


class CmsError(Exception):
    """The answer is +CMS ERROR."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


Command = Callable[[ModemState, str], list[str]]


def arguments(tail: str) -> list[str]:
    """The values of a set command `=a,"b,c",3`, without quotes."""
    if not tail.startswith("="):
        raise PlainError
    values, value, quoted = [], "", False
    for char in tail[1:]:
        if char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            values.append(value)
            value = ""
        else:
            value += char
    return [*values, value]


def number(text: str, low: int, high: int) -> int:
    """A decimal argument in a range, or `PlainError`."""
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise PlainError
    return int(text)


def need_sim(state: ModemState) -> None:
    """Raise the error of a SIM that is missing or locked."""
    if state.sim == "NOT INSERTED":
        raise CmeError(SIM_NOT_INSERTED)
    if state.sim == "SIM PIN":
        raise CmeError(SIM_PIN_REQUIRED)
    if state.sim == "SIM PUK":
        raise CmeError(SIM_PUK_REQUIRED)


def registration_line(state: ModemState, name: str, *, unasked: bool) -> str:
    """`+CREG: ...`, `+CGREG: ...` or `+CEREG: ...`, as an answer or (without <n>) as a report."""
    mode = state.urc[name]
    parts = [] if unasked else [str(mode)]
    parts.append(str(STAT[state.registration]))
    if mode == 2 and state.registered:
        parts += ['"7A1B"', '"1A2D003"', str(ACT_EUTRAN)]
    return f"+{name}: " + ",".join(parts)


def _registration(name: str) -> Command:
    def command(state: ModemState, tail: str) -> list[str]:
        if tail == "?":
            return [registration_line(state, name, unasked=False)]
        if tail == "=?":
            return [f"+{name}: (0-2)"]
        state.urc[name] = number(arguments(tail)[0], 0, 2)
        return []

    return command


def _says(line: Callable[[ModemState], str], *, sim: bool = False) -> Command:
    def command(state: ModemState, tail: str) -> list[str]:
        if tail == "=?":
            return []
        if tail:
            raise PlainError
        if sim:
            need_sim(state)
        return [line(state)]

    return command


def _accept(answer: str = "") -> Command:
    """A setting without effect here: any set is OK, a read says `answer`."""

    def command(state: ModemState, tail: str) -> list[str]:
        return [answer] if tail == "?" and answer else []

    return command


def _cmee(state: ModemState, tail: str) -> list[str]:
    if tail == "?":
        return [f"+CMEE: {state.cmee}"]
    state.cmee = number(arguments(tail)[0], 0, 2)
    return []


def _cpin(state: ModemState, tail: str) -> list[str]:
    if tail == "?":
        if state.sim == "NOT INSERTED":
            raise CmeError(SIM_NOT_INSERTED)
        return [f"+CPIN: {state.sim}"]
    entered = arguments(tail)[0]
    if state.sim == "NOT INSERTED":
        raise CmeError(SIM_NOT_INSERTED)
    if state.sim != "SIM PIN":
        raise CmeError(3)
    if entered == state.pin:
        state.sim, state.pin_tries = "READY", 3
        return []
    state.pin_tries -= 1
    if state.pin_tries <= 0:
        state.sim = "SIM PUK"
    raise CmeError(INCORRECT_PASSWORD)


def _qpinc(state: ModemState, tail: str) -> list[str]:
    return [f'+QPINC: "SC",{max(0, state.pin_tries)},10', '+QPINC: "P2",3,10']


def _clck(state: ModemState, tail: str) -> list[str]:
    values = arguments(tail)
    if values[:2] != ["SC", "2"]:
        raise CmeError(3)
    return [f"+CLCK: {int(state.sim in ('SIM PIN', 'SIM PUK'))}"]


def _qsimstat(state: ModemState, tail: str) -> list[str]:
    return [f"+QSIMSTAT: 0,{int(state.sim != 'NOT INSERTED')}"] if tail == "?" else []


def _cops(state: ModemState, tail: str) -> list[str]:
    if tail == "?":
        if not state.registered:
            return ["+COPS: 0"]
        name = state.network.mcc_mnc if state.cops_format == 2 else state.network.operator
        return [f'+COPS: 0,{state.cops_format},"{name}",{ACT_EUTRAN}']
    if tail == "=?":
        stat = 2 if state.registered else 1
        return [f'+COPS: ({stat},"{state.network.operator}","SIM","{state.network.mcc_mnc}",7),,(0-4),(0-2)']
    values = arguments(tail)
    if values[0] == "3" and len(values) > 1:
        state.cops_format = number(values[1], 0, 2)
    return []


def _csq(state: ModemState, tail: str) -> list[str]:
    rssi = state.rssi_dbm
    # TS 27.007: 0 is -113 dBm or less, 2 dB a step, 31 is -51 or more, 99 unknown.
    return [f"+CSQ: {99 if rssi is None else max(0, min(31, (rssi + 113) // 2))},99"]


def _cesq(state: ModemState, tail: str) -> list[str]:
    rsrp = state.rsrp_dbm
    if rsrp is None:
        return ["+CESQ: 99,99,255,255,255,255"]
    # TS 27.007: RSRQ 0..34 from -19.5 dB by 0.5; RSRP 0..97 from -140 dBm by 1.
    rsrq_step = max(0, min(34, int((state.network.rsrq_db + 20) * 2)))
    return [f"+CESQ: 99,99,255,255,{rsrq_step},{max(0, min(97, rsrp + 141))}"]


def _qcsq(state: ModemState, tail: str) -> list[str]:
    if not state.registered:
        return ['+QCSQ: "NOSERVICE"']
    # The manual's SINR step: (dB + 20) * 5.
    sinr = max(0, min(250, (state.network.sinr_db + 20) * 5))
    return [f'+QCSQ: "LTE",{state.rssi_dbm},{state.rsrp_dbm},{sinr},{state.network.rsrq_db}']


def _qeng(state: ModemState, tail: str) -> list[str]:
    if arguments(tail)[0] != "servingcell":
        raise CmeError(3)
    if state.rsrp_dbm is None or state.registration in ("searching", "not_registered"):
        return ['+QENG: "servingcell","SEARCH"']
    service = "NOCONN" if state.registered else "LIMSRV"
    mcc, mnc = state.network.mcc_mnc[:3], state.network.mcc_mnc[3:]
    n = state.network
    return [
        f'+QENG: "servingcell","{service}","LTE","FDD",{mcc},{mnc},1A2D003,211,1350,3,3,3,7A1B,'
        f"{n.rsrp_dbm},{n.rsrq_db},{state.rssi_dbm},{n.sinr_db},33"
    ]


def _qnwinfo(state: ModemState, tail: str) -> list[str]:
    if not state.registered:
        return ["+QNWINFO: No Service"]
    return [f'+QNWINFO: "FDD LTE","{state.network.mcc_mnc}","LTE BAND 3",1350']


def _cgdcont(state: ModemState, tail: str) -> list[str]:
    if tail == "?":
        return [f'+CGDCONT: {cid},"{kind}","{apn}","",0,0,0,0' for cid, (kind, apn) in state.contexts.items()]
    values = arguments(tail)
    cid = number(values[0], 1, 16)
    if len(values) == 1:
        state.contexts.pop(cid, None)
    else:
        state.contexts[cid] = (values[1], values[2] if len(values) > 2 else "")
    return []


def _cgpaddr(state: ModemState, tail: str) -> list[str]:
    address = state.network.ip_address if state.registered else "0.0.0.0"
    return [f'+CGPADDR: {cid},"{address if cid == 1 else "0.0.0.0"}"' for cid in state.contexts]


def _cgatt(state: ModemState, tail: str) -> list[str]:
    return [f"+CGATT: {int(state.registered)}"] if tail == "?" else []


def _cgact(state: ModemState, tail: str) -> list[str]:
    return [f"+CGACT: {cid},{int(state.registered and cid == 1)}" for cid in state.contexts] if tail == "?" else []


def _cclk(state: ModemState, tail: str) -> list[str]:
    if tail != "?":
        return []
    if not state.registered:
        return ['+CCLK: "80/01/06,00:00:16+00"']  # what an EC25 says before a network gave it the time
    return [f'+CCLK: "{state.network_time():%y/%m/%d,%H:%M:%S}+00"']


def _qlts(state: ModemState, tail: str) -> list[str]:
    if not state.registered:
        return ['+QLTS: ""']
    return [f'+QLTS: "{state.network_time():%Y/%m/%d,%H:%M:%S}+00,0"']


def _qcfg(state: ModemState, tail: str) -> list[str]:
    values = arguments(tail)
    if values[0] != "usbnet":
        return []
    if len(values) == 1:
        return [f'+QCFG: "usbnet",{state.usbnet}']
    state.usbnet = number(values[1], 0, 3)
    return []


def _qgps(state: ModemState, tail: str) -> list[str]:
    if tail == "?":
        return [f"+QGPS: {int(state.gnss_on)}"]
    state.gnss_on = True
    return []


def _qgpsend(state: ModemState, tail: str) -> list[str]:
    state.gnss_on = False
    return []


def _qgpsloc(state: ModemState, tail: str) -> list[str]:
    if not state.gnss_on:
        raise CmeError(GNSS_NOT_ACTIVE)
    if state.position is None:
        raise CmeError(GNSS_NOT_FIXED)
    latitude, longitude = state.position
    now = state.network_time()
    return [f"+QGPSLOC: {now:%H%M%S}.000,{latitude:.5f},{longitude:.5f},1.2,82.0,2,000.00,0.0,0.0,{now:%d%m%y},08"]


COMMANDS: dict[str, Command] = {
    "+CGMI": _says(lambda s: s.identity.manufacturer),
    "+GMI": _says(lambda s: s.identity.manufacturer),
    "+CGMM": _says(lambda s: s.identity.model),
    "+GMM": _says(lambda s: s.identity.model),
    "+CGMR": _says(lambda s: s.identity.revision),
    "+GMR": _says(lambda s: s.identity.revision),
    "+QGMR": _says(lambda s: s.identity.revision + "_01.003.01.003"),
    "+CGSN": _says(lambda s: s.identity.imei),
    "+GSN": _says(lambda s: s.identity.imei),
    "+CIMI": _says(lambda s: s.identity.imsi, sim=True),
    "+CICCID": _says(lambda s: f"+ICCID: {s.identity.iccid}", sim=True),
    "+SPIC": lambda state, tail: [f"+SPIC: {max(0, state.pin_tries)},10,0,10"],
    "+QCCID": _says(lambda s: f"+QCCID: {s.identity.iccid}", sim=True),
    "+CNUM": _says(lambda s: f'+CNUM: ,"{s.identity.number}",145', sim=True),
    "+CMEE": _cmee,
    "+CPIN": _cpin,
    "+QPINC": _qpinc,
    "+CLCK": _clck,
    "+QSIMSTAT": _qsimstat,
    "+QSIMDET": _accept("+QSIMDET: 0,0"),
    "+CREG": _registration("CREG"),
    "+CGREG": _registration("CGREG"),
    "+CEREG": _registration("CEREG"),
    "+COPS": _cops,
    "+CSQ": _csq,
    "+CESQ": _cesq,
    "+QCSQ": _qcsq,
    "+QENG": _qeng,
    "+QNWINFO": _qnwinfo,
    "+CGDCONT": _cgdcont,
    "+CGPADDR": _cgpaddr,
    "+CGATT": _cgatt,
    "+CGACT": _cgact,
    "+CCLK": _cclk,
    "+CTZU": _accept("+CTZU: 3"),
    "+CTZR": _accept("+CTZR: 0"),
    "+QLTS": _qlts,
    "+QCFG": _qcfg,
    "+QURCCFG": _accept('+QURCCFG: "urcport","usbat"'),
    "+QINDCFG": _accept(),
    "+QGPS": _qgps,
    "+QGPSEND": _qgpsend,
    "+QGPSLOC": _qgpsloc,
    "+IPR": _accept("+IPR: 115200"),
    "+IFC": _accept("+IFC: 0,0"),
}

_SIMCOM_ONLY = ("+CICCID", "+SPIC")


def known(state: ModemState, name: str) -> Command | None:
    """The command `name` if a module of this maker has it."""
    if name in _SIMCOM_ONLY if not state.identity.simcom else name.startswith("+Q"):
        return None
    return COMMANDS.get(name)
