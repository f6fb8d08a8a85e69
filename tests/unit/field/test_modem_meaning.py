"""What a modem's answers mean, good ones and any text at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.model import modem


@pytest.mark.parametrize(
    ("lines", "name", "meant"),
    [
        (['+CEREG: 2,1,"7A1B","1A2D003",7'], "+CEREG", "home"),
        (["+CEREG: 0,5"], "+CEREG", "roaming"),
        (["+CREG: 2,3"], "+CREG", "denied"),
        (["+CREG: 2,2"], "+CREG", "searching"),
        (["+CREG: 2,0"], "+CREG", "not_registered"),
        (["+CREG: 2,4"], "+CREG", "unknown"),
        (["+CREG: 2,77"], "+CREG", "unknown"),
        # A report that came between the question and its answer has no <n>.
        (["+CEREG: 2", "+CEREG: 2,1"], "+CEREG", "home"),
        (['+CEREG: 1,"7A1B","1A2D003",7', "+CEREG: 2,5"], "+CEREG", "roaming"),
        (["+CGREG: 2,1"], "+CEREG", None),
        (["+CEREG: 2"], "+CEREG", None),
        ([], "+CEREG", None),
    ],
)
def test_registration(lines: list[str], name: str, meant: str | None) -> None:
    assert modem.registration(lines, name) == meant


@pytest.mark.parametrize(
    ("line", "dbm"),
    [
        ("+CESQ: 99,99,255,255,20,49", -92),
        ("+CESQ: 99,99,255,255,255,255", None),
        ("+CESQ: 99,99,255,255,0,0", -141),
        ("+CESQ: 99,99,255,255,34,97", -44),
        ("+CESQ: 99,99", None),
        ("+CESQ: a,b,c,d,e,f", None),
        ("", None),
    ],
)
def test_rsrp(line: str, dbm: int | None) -> None:
    assert modem.rsrp_dbm([line]) == dbm


@pytest.mark.parametrize(
    ("line", "dbm"), [("+CSQ: 0,99", -113), ("+CSQ: 31,0", -51), ("+CSQ: 99,99", None), ("+CSQ: 32,0", None)]
)
def test_rssi(line: str, dbm: int | None) -> None:
    assert modem.rssi_dbm([line]) == dbm


@pytest.mark.parametrize(
    ("line", "name", "technology"),
    [
        ('+COPS: 0,0,"O2, UK",7', "O2, UK", "4G"),
        ('+COPS: 0,0,"X",2', "X", "3G"),
        ("+COPS: 0", None, None),
        ('+COPS: 0,0,""', None, None),
        ('+COPS: 0,0,"X"', "X", None),
        ('+COPS: 0,0,"X",99', "X", None),
    ],
)
def test_operator(line: str, name: str | None, technology: str | None) -> None:
    assert modem.operator([line]) == (name, technology)


@pytest.mark.parametrize(
    ("line", "sim"),
    [
        ("+CPIN: READY", "ready"),
        ("+CPIN: SIM PIN", "pin"),
        ("+CPIN: SIM PUK", "puk"),
        ("+CPIN: SIM PUK2", "puk"),
        ("+CPIN: NOT READY", "missing"),
        ("+CPIN: PH-NET PIN", "pin"),
        ("+CPIN: ?", "unknown"),
        ("", "unknown"),
    ],
)
def test_sim(line: str, sim: str) -> None:
    assert modem.sim_of_answer([line]) == sim


@pytest.mark.parametrize(
    ("code", "sim"),
    [(10, "missing"), (11, "pin"), (12, "puk"), (13, "missing"), (14, "busy"), (30, "unknown"), (None, "unknown")],
)
def test_sim_refused(code: int | None, sim: str) -> None:
    assert modem.sim_of_error(code) == sim


def test_numbers_on_cards() -> None:
    assert modem.digits(["861536030196001"], 14) == "861536030196001"
    assert modem.digits(["+QCCID: 8944500000000000019F"], 18) == "8944500000000000019F"
    assert modem.digits(['+ICCID: "89445000"'], 18) is None
    assert modem.digits(["hello"]) is None


@given(st.lists(st.text(max_size=40), max_size=4))
def test_any_text_is_accepted(lines: list[str]) -> None:
    prefixed = (
        [f"+CEREG: {line}" for line in lines]
        + [f"+CESQ: {line}" for line in lines]
        + [f"+COPS: {line}" for line in lines]
    )
    for each in (lines, prefixed):
        modem.registration(each, "+CEREG")
        modem.rsrp_dbm(each)
        modem.rssi_dbm(each)
        modem.operator(each)
        modem.sim_of_answer(each)
        modem.digits(each)
