"""Text messages of the simulated modem: the commands of 3GPP TS 27.005 in text mode (PDU sending only)."""

from __future__ import annotations

from hw_sim.devices.modem_commands import CmeError, CmsError, Command, PlainError, arguments, need_sim, number
from hw_sim.devices.modem_state import SMS_SLOTS, ModemState, ReceivedSms

SIM_NOT_INSERTED, MEMORY_INDEX, MEMORY_FULL, NO_SMSC, NO_NETWORK = 310, 321, 322, 330, 331


def ready_to_send(state: ModemState) -> None:
    """Raise the +CMS ERROR that a message would meet now."""
    _need_sim(state)
    if not state.smsc:
        raise CmsError(NO_SMSC)
    if not state.registered:
        raise CmsError(NO_NETWORK)


def store(state: ModemState, sender: str, text: str) -> int | None:
    """Keep an arriving message; its index, or None when the storage is full (the network would try later)."""
    free = next((index for index in range(SMS_SLOTS) if index not in state.inbox), None)
    if free is not None:
        state.inbox[free] = ReceivedSms(sender, text, f"{state.network_time():%y/%m/%d,%H:%M:%S}+00")
    return free


def decode(state: ModemState, text: str) -> str:
    """A number or text as the daemon wrote it, from the chosen character set."""
    if state.charset != "UCS2":
        return text
    try:
        return bytes.fromhex(text).decode("utf-16-be")
    except ValueError:
        raise PlainError from None


def _encode(state: ModemState, text: str) -> str:
    return text.encode("utf-16-be").hex().upper() if state.charset == "UCS2" else text


def _need_sim(state: ModemState) -> None:
    try:
        need_sim(state)
    except CmeError as error:
        raise CmsError(300 + error.code) from None


def _cmgf(state: ModemState, tail: str) -> list[str]:
    if tail == "?":
        return [f"+CMGF: {int(state.sms_text_mode)}"]
    state.sms_text_mode = number(arguments(tail)[0], 0, 1) == 1
    return []


def _cscs(state: ModemState, tail: str) -> list[str]:
    if tail == "?":
        return [f'+CSCS: "{state.charset}"']
    charset = arguments(tail)[0].upper()
    if charset not in ("GSM", "IRA", "UCS2"):
        raise PlainError
    state.charset = charset
    return []


def _csca(state: ModemState, tail: str) -> list[str]:
    if tail == "?":
        return [f'+CSCA: "{state.smsc}",145']
    state.smsc = arguments(tail)[0]
    return []


def _cpms(state: ModemState, tail: str) -> list[str]:
    _need_sim(state)
    used = f"{len(state.inbox)},{SMS_SLOTS}"
    if tail == "?":
        return ["+CPMS: " + ",".join(f'"ME",{used}' for _ in range(3))]
    return [f"+CPMS: {used},{used},{used}"]


def _cnmi(state: ModemState, tail: str) -> list[str]:
    if tail == "?":
        return [f"+CNMI: 2,{int(state.new_sms_urc)},0,0,0"]
    values = arguments(tail)
    state.new_sms_urc = len(values) > 1 and values[1] == "1"
    return []


def _head(state: ModemState, message: ReceivedSms) -> str:
    status = "REC UNREAD" if message.unread else "REC READ"
    return f'"{status}","{_encode(state, message.number)}",,"{message.stamp}"'


def _cmgr(state: ModemState, tail: str) -> list[str]:
    _need_sim(state)
    message = state.inbox.get(number(arguments(tail)[0], 0, 255))
    if message is None:
        return []
    lines = [f"+CMGR: {_head(state, message)}", _encode(state, message.text)]
    message.unread = False
    return lines


def _cmgl(state: ModemState, tail: str) -> list[str]:
    _need_sim(state)
    which = arguments(tail)[0] if tail else "REC UNREAD"
    lines: list[str] = []
    for index, message in sorted(state.inbox.items()):
        if which in ("ALL", "4") or (which in ("REC UNREAD", "0")) == message.unread:
            lines += [f"+CMGL: {index},{_head(state, message)}", _encode(state, message.text)]
            message.unread = False
    return lines


def _cmgd(state: ModemState, tail: str) -> list[str]:
    _need_sim(state)
    values = arguments(tail)
    index = number(values[0], 0, 255)
    flag = number(values[1], 0, 4) if len(values) > 1 else 0
    if flag == 4:
        state.inbox.clear()
    elif flag:
        state.inbox = {slot: message for slot, message in state.inbox.items() if message.unread}
    else:
        if index >= SMS_SLOTS:
            raise CmsError(MEMORY_INDEX)
        state.inbox.pop(index, None)
    return []


SMS_COMMANDS: dict[str, Command] = {
    "+CMGF": _cmgf,
    "+CSCS": _cscs,
    "+CSCA": _csca,
    "+CPMS": _cpms,
    "+CNMI": _cnmi,
    "+CMGR": _cmgr,
    "+CMGL": _cmgl,
    "+CMGD": _cmgd,
    "+CSMP": lambda state, tail: ["+CSMP: 17,167,0,0"] if tail == "?" else [],
    "+CSMS": lambda state, tail: ["+CSMS: 1,1,1,1"] if tail == "?" else ["+CSMS: 1,1,1"],
}
