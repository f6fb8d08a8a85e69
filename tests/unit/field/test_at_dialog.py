"""The AT dialogue: lines, echo, reports between, silence, and any bytes at all."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitd.drivers.modem_at import LONGEST_LINE_BYTES, AtDialog, LineFramer, ModemRefusedError, ModemSilentError
from unitd.errors import DeviceError


class Line:
    """A modem's end: what was written, and what it answers."""

    def __init__(self, answers: dict[str, bytes], quiet_s: float) -> None:
        self.answers = answers
        self.written: list[str] = []
        self.wrote = asyncio.Event()
        self.reports: list[str] = []
        self.at = AtDialog(self.write, self.reports.append, quiet_s=quiet_s)

    def write(self, data: bytes) -> None:
        command = data.decode().rstrip("\r")
        self.written.append(command)
        self.wrote.set()
        answer = self.answers.get(command, b"")
        asyncio.get_running_loop().call_soon(self.at.feed, answer)


def talk(answers: dict[str, bytes], conversation: Callable[[Line], Awaitable[None]], quiet_s: float = 0.15) -> Line:
    line: Line

    async def go() -> None:
        nonlocal line
        line = Line(answers, quiet_s)
        await conversation(line)

    asyncio.run(go())
    return line


@pytest.mark.parametrize(
    "answer",
    [
        b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n",
        b"AT+CSQ\r\r\n+CSQ: 20,99\r\n\r\nOK\r\n",
        b"+CSQ: 20,99\r\nOK\r\n",
        b'\r\n+CMTI: "SM",1\r\n\r\n+CSQ: 20,99\r\n\r\nRDY\r\n\r\nOK\r\n',
    ],
    ids=["plain", "echo", "short", "reports-between"],
)
def test_ok__answer(answer: bytes) -> None:
    async def conversation(line: Line) -> None:
        assert await line.at.ask("AT+CSQ", 1) == ["+CSQ: 20,99"]

    talk({"AT+CSQ": answer}, conversation)


def test_ok__lines_without_a_name_belong_to_the_answer() -> None:
    async def conversation(line: Line) -> None:
        assert await line.at.ask("ATI", 1) == ["Quectel", "EC25", "Revision: X"]

    talk({"ATI": b"\r\nQuectel\r\nEC25\r\nRevision: X\r\n\r\nOK\r\n"}, conversation)


def test_reports_go_to_their_own_ear() -> None:
    async def conversation(line: Line) -> None:
        await line.at.ask("AT", 1)
        line.at.feed(b"\r\n+CEREG: 1\r\n\r\nRDY\r\n")

    line = talk({"AT": b'\r\n+QIND: "x"\r\n\r\nOK\r\n'}, conversation)
    assert line.reports == ['+QIND: "x"', "+CEREG: 1", "RDY"]


@pytest.mark.parametrize(
    ("final", "code"),
    [("ERROR", None), ("+CME ERROR: 10", 10), ("+CMS ERROR: 310", 310), ("+CME ERROR: SIM busy", None)],
)
def test_fail__refused(final: str, code: int | None) -> None:
    async def conversation(line: Line) -> None:
        with pytest.raises(ModemRefusedError) as caught:
            await line.at.ask("AT+CPIN?", 1)
        assert caught.value.code == code
        assert caught.value.answer == final

    talk({"AT+CPIN?": f"\r\n{final}\r\n".encode()}, conversation)


def test_fail__silence() -> None:
    async def conversation(line: Line) -> None:
        with pytest.raises(ModemSilentError, match=r"AT\+CSQ: no answer within 0.05 s"):
            await line.at.ask("AT+CSQ", 0.05)

    talk({}, conversation)


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    async def conversation(line: Line) -> None:
        with pytest.raises(ModemSilentError):
            await line.at.ask("AT+CSQ", 0.05)
        asyncio.get_running_loop().call_later(0.02, line.at.feed, b"\r\n+CSQ: 1,99\r\n\r\nOK\r\n")
        line.answers["AT+CGMM"] = b"\r\nEC25\r\n\r\nOK\r\n"
        assert await line.at.ask("AT+CGMM", 1) == ["EC25"]

    assert talk({}, conversation).reports == []


def test_one_command_at_a_time() -> None:
    async def conversation(line: Line) -> None:
        answers = await asyncio.gather(*(line.at.ask(f"AT+X{n}", 1) for n in range(5)))
        assert answers == [[f"answer {n}"] for n in range(5)]

    answers = {f"AT+X{n}": f"\r\nanswer {n}\r\nOK\r\n".encode() for n in range(5)}
    assert talk(answers, conversation).written == ["\x1b", *(f"AT+X{n}" for n in range(5))]


def test_fail__port_lost_while_waiting() -> None:
    async def conversation(line: Line) -> None:
        asyncio.get_running_loop().call_later(0.2, line.at.lost, "gone")
        with pytest.raises(DeviceError, match="gone"):
            await line.at.ask("AT", 30)

    talk({}, conversation)


def test_an_endless_answer_is_bounded() -> None:
    async def conversation(line: Line) -> None:
        assert len(await line.at.ask("AT", 5)) == 200
        assert line.at.dropped_lines == 800

    talk({"AT": b"x\r\n" * 1000 + b"OK\r\n"}, conversation)


def test_framer_prompt_and_overlong_line() -> None:
    framer = LineFramer()
    assert framer.feed(b"\r\n> ") == [">"]
    assert framer.feed(b"y" * (LONGEST_LINE_BYTES + 5)) == []
    assert framer.feed(b"tail\r\nOK\r\n") == ["OK"]
    assert framer.dropped_bytes > LONGEST_LINE_BYTES


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_framer_is_indifferent_to_how_bytes_are_cut(chunks: list[bytes]) -> None:
    whole, cut = LineFramer(), LineFramer()
    assert whole.feed(b"".join(chunks)) == [line for chunk in chunks for line in cut.feed(chunk)]


noise = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"\r\nOK\r\n", b"\r\nERROR\r\n", b"+CME ERROR: 99999999999999999999\r\n", b"AT\r", b"\xff\x00\r\n", b"> "]
    ),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(noise, max_size=15))
def test_no_bytes_raise_past_it(chunks: list[bytes]) -> None:
    async def conversation(line: Line) -> None:
        asking = asyncio.create_task(line.at.ask("AT+COPS?", 0.02))
        await asyncio.sleep(0)
        for chunk in chunks:
            line.at.feed(chunk)
            await asyncio.sleep(0)
        with contextlib.suppress(DeviceError):  # refused or silent: both are what a caller expects
            assert isinstance(await asking, list)

    talk({}, conversation, quiet_s=0.001)


def test_a_cancellation_that_comes_with_the_answer_is_not_lost() -> None:
    async def conversation(line: Line) -> None:
        asking = asyncio.create_task(line.at.ask("AT", 30))
        await line.wrote.wait()
        line.at.feed(b"OK\r\n")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    talk({}, conversation)


async def _send(line: Line, gone: list[int], text: str = "0011AA", timeout_s: float = 5.0) -> list[str]:
    return await line.at.send_text(
        "AT+CMGS=6", text, prompt_timeout_s=0.1, timeout_s=timeout_s, gone=lambda: gone.append(1)
    )


PROMPT = b"\r\n> "


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        (PROMPT, b"\r\n+CMGS: 7\r\n\r\nOK\r\n"),
        (b"AT+CMGS=6\r" + PROMPT, b"0011AA\x1a\r\n+CMGS: 7\r\n\r\nOK\r\n"),
        (b'\r\n+CMTI: "ME",1\r\n' + PROMPT, b"\r\n+CEREG: 1\r\n\r\n+CMGS: 7\r\n\r\nOK\r\n"),
    ],
    ids=["plain", "echo", "reports-between"],
)
def test_ok__text_at_the_prompt(prompt: bytes, answer: bytes) -> None:
    async def conversation(line: Line) -> None:
        gone: list[int] = []
        assert await _send(line, gone) == ["+CMGS: 7"]
        assert gone == [1]

    line = talk({"AT+CMGS=6": prompt, "0011AA\x1a": answer}, conversation)
    assert line.written == ["\x1b", "AT+CMGS=6", "0011AA\x1a"]


def test_fail__refused_instead_of_a_prompt_or_after_the_text() -> None:
    async def conversation(line: Line) -> None:
        gone: list[int] = []
        line.answers["AT+CMGS=6"] = b"\r\n+CMS ERROR: 310\r\n"
        with pytest.raises(ModemRefusedError) as caught:
            await _send(line, gone)
        assert (caught.value.code, gone) == (310, [])
        line.answers |= {"AT+CMGS=6": PROMPT, "0011AA\x1a": b"\r\n+CMS ERROR: 331\r\n"}
        with pytest.raises(ModemRefusedError) as caught:
            await _send(line, gone)
        assert (caught.value.code, gone) == (331, [1])

    assert talk({}, conversation).written.count("\x1b") == 1


def test_fail__no_prompt_is_left_before_the_next_command() -> None:
    async def conversation(line: Line) -> None:
        gone: list[int] = []
        with pytest.raises(ModemSilentError, match="no prompt"):
            await _send(line, gone)
        assert gone == []
        assert line.written[-1] == "\x1b"
        line.at.feed(PROMPT)
        assert await line.at.ask("AT", 1) == []

    talk({"AT": b"\r\nOK\r\n"}, conversation)


def test_fail__silence_after_the_text_a_restart_and_a_lost_port() -> None:
    async def conversation(line: Line) -> None:
        gone: list[int] = []
        with pytest.raises(ModemSilentError, match="no answer"):
            await _send(line, gone, timeout_s=0.05)
        line.answers["0011AA\x1a"] = b"\r\nRDY\r\n"
        with pytest.raises(ModemSilentError, match="started anew"):
            await _send(line, gone, timeout_s=30)
        asyncio.get_running_loop().call_later(0.3, line.at.lost, "gone")
        line.answers["0011AA\x1a"] = b""
        with pytest.raises(DeviceError, match="gone"):
            await _send(line, gone, timeout_s=30)
        assert gone == [1, 1, 1]
        assert line.reports == ["RDY"]

    talk({"AT+CMGS=6": PROMPT}, conversation)


def test_a_cancelled_entry_leaves_the_prompt() -> None:
    async def conversation(line: Line) -> None:
        sending = asyncio.create_task(_send(line, []))
        await line.wrote.wait()
        line.wrote.clear()
        await line.wrote.wait()  # after leaving a prompt that may have been open
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert line.written[-1] == "\x1b"

    talk({}, conversation)


@settings(max_examples=50, deadline=None)
@given(st.lists(noise | st.just(PROMPT), max_size=15))
def test_no_bytes_raise_past_a_text(chunks: list[bytes]) -> None:
    async def conversation(line: Line) -> None:
        sending = asyncio.create_task(
            line.at.send_text("AT+CMGS=6", "00", prompt_timeout_s=0.01, timeout_s=0.01, gone=lambda: None)
        )
        await asyncio.sleep(0)
        for chunk in chunks:
            line.at.feed(chunk)
            await asyncio.sleep(0)
        with contextlib.suppress(DeviceError):
            assert isinstance(await sending, list)

    talk({}, conversation, quiet_s=0.001)


def test_fail__port_lost_while_late_answers_pass() -> None:
    """The command is not even written: nobody is left to answer it."""

    async def conversation(line: Line) -> None:
        asking = asyncio.create_task(line.at.ask("AT", 30))
        await line.wrote.wait()
        line.at.lost("gone")
        with pytest.raises(DeviceError, match="gone"):
            async with asyncio.timeout(5):
                await asking
        assert line.written == ["\x1b"]
        line.answers["AT"] = b"\r\nOK\r\n"
        assert await line.at.ask("AT", 5) == []

    talk({}, conversation)
