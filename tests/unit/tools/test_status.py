"""`unitd status` over a real socket: plain lines when core answers, one line and status 1 when it does not."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from unitd.__main__ import main
from unitd.messages.control_room import RefusalCode
from unitd.messages.workers import Fault, Hello, OpenIncident, Status
from unitd.tools import status as tool
from unitd.tools.remedies import REMEDIES

ROOT = Path(__file__).resolve().parents[3]
WELL = Status(
    unit="pole-1",
    session=3,
    armed=True,
    uptime_s=90_000.0,
    clock="synced",
    control_room_heard=True,
    brokers={"main": True},
    lamps={"yellow": "off", "green": "off", "locator": "steady"},
    workers={"field": True, "record": True},
    facts={
        "field": {
            "modem.signal_dbm": -92,
            "modem.registration": "home",
            "modem.operator": "Example",
            "modem.technology": "4G",
            "sms.sent": 2,
            "sms.waiting": 0,
        },
        "record": {"ring.used_percent": 61.4, "dome.state": "recording"},
    },
)
ILL = Status(
    unit="pole-1",
    session=4,
    armed=False,
    uptime_s=30.0,
    clock="unknown",
    control_room_heard=False,
    brokers={"main": False, "spare": True},
    incident=OpenIncident(incident_id="8f14e45f", kind="panic", stage="raised", raised_mono_ns=1),
    open_incidents=2,
    asked=("council", "police"),
    isolated_by="Meg",
    isolated_s=1500.0,
    watched_by="Ann",
    watched_s=120.0,
    facts={"core": {"restarts": 2, "blind_ms": 340}},
    waiting_alarms=3,
    workers={"field": False},
    faults=(Fault(code="camera_lost", subject="dome", text="no answer"), Fault(code="made_up_later")),
)


class FakeCore:
    """Answers one status reader with `answer`, or not at all."""

    def __init__(self, directory: Path, answer: bytes | None) -> None:
        self.heard = b""
        self._answer = answer
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(directory / "core.sock"))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        link, _ = self._server.accept()
        with link:
            self.heard = link.recv(65536)
            if self._answer is not None:
                middle = len(self._answer) // 2
                link.sendall(self._answer[:middle])
                link.sendall(self._answer[middle:])
            else:
                link.recv(1)  # until the reader gives up

    def close(self) -> None:
        self._server.close()
        self._thread.join(5)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "unit.toml"
    file.write_text(f'schema = 1\n[paths]\nrun_dir = "{tmp_path}"\n')
    return file


@pytest.fixture
def cores(tmp_path: Path) -> Iterator[list[FakeCore]]:
    made: list[FakeCore] = []
    yield made
    for core in made:
        core.close()


def test_ok__all_well(config: Path, cores: list[FakeCore], capsys: pytest.CaptureFixture[str]) -> None:
    cores.append(FakeCore(config.parent, msgspec.json.encode(WELL) + b"\n"))
    assert main(["status", "--config", str(config)]) == 0
    out = capsys.readouterr().out
    assert "pole-1: armed, machine up 1 d 1 h, clock right" in out
    assert "control room: heard" in out
    assert "main connected" in out
    assert "signal fair (-92 dBm), home, Example, 4G" in out
    assert "text messages: 2 sent, 0 waiting" in out
    assert "evidence ring: 61 % of its disk used" in out
    assert "faults: none" in out
    assert msgspec.json.decode(cores[0].heard, type=Hello).who == "status"


def test_ok__ill_with_remedies(config: Path, cores: list[FakeCore], capsys: pytest.CaptureFixture[str]) -> None:
    cores.append(FakeCore(config.parent, msgspec.json.encode(ILL) + b"\n"))
    assert main(["status", "--config", str(config)]) == 0
    out = capsys.readouterr().out
    for words in (
        "NOT ARMED",
        "NOT HEARD",
        "main NOT CONNECTED",
        "spare connected",
        "panic, raised",
        "asked to answer: council, police",
        "isolated by Meg for 25 min more; a press is an alarm all the same",
        "watched by Ann for 2 min more; the microphone is shut",
        "core: restarted 2 times since boot, last blind for 340 ms",
        "1 more open",
        "3 not yet received",
        "field DOWN",
        "FAULT camera_lost (dome): no answer\n  -> check the camera",
        "FAULT made_up_later\n",
    ):
        assert words in out


def test_ok__stand_alone_hears_no_control_room_and_that_is_no_complaint() -> None:
    alone = msgspec.structs.replace(WELL, brokers={}, control_room_heard=False)
    text = "\n".join(tool.lines(alone))
    assert "stands alone" in text
    assert "NOT HEARD" not in text


def test_ok__heard_lately_but_no_broker_is_connected() -> None:
    text = "\n".join(tool.lines(msgspec.structs.replace(WELL, brokers={"main": False, "spare": False})))
    assert "heard lately, NOT CONNECTED now" in text
    assert "heard within its time" not in text


def test_ok__a_modem_that_does_not_answer_tells_nothing() -> None:
    silent = {"field": {"modem.registration": "unknown"}}
    assert "modem: tells nothing now" in tool.lines(msgspec.structs.replace(WELL, facts=silent))


def test_ok__a_remedy_is_told_once_for_each_code() -> None:
    two = (Fault(code="worker_lost", subject="field"), Fault(code="worker_lost", subject="call"))
    text = "\n".join(tool.lines(msgspec.structs.replace(WELL, faults=two)))
    assert text.count("FAULT worker_lost") == 2
    assert text.count("  -> ") == 1


def test_ok__json(config: Path, cores: list[FakeCore], capsys: pytest.CaptureFixture[str]) -> None:
    cores.append(FakeCore(config.parent, msgspec.json.encode(ILL) + b"\n"))
    assert main(["status", "--config", str(config), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["waiting_alarms"] == 3
    assert set(shown) == set(Status.__struct_fields__)
    assert shown["armed"] is False
    assert shown["faults"][0]["code"] == "camera_lost"


def test_fail__no_core(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--config", str(config)]) == 1
    caught = capsys.readouterr()
    assert caught.out == ""
    assert "core does not answer" in caught.err
    assert caught.err.count("\n") == 1


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\n", b'{"type":"desired"}\n', b"[" * 400_000], ids=["hang-up", "text", "other", "flood"]
)
def test_fail__core_answers_nonsense(
    config: Path, cores: list[FakeCore], capsys: pytest.CaptureFixture[str], answer: bytes
) -> None:
    cores.append(FakeCore(config.parent, answer))
    assert main(["status", "--config", str(config)]) == 1
    assert "core does not answer" in capsys.readouterr().err


def test_fail__core_hangs(
    config: Path, cores: list[FakeCore], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "ANSWER_WITHIN_S", 0.2)
    cores.append(FakeCore(config.parent, None))
    started = time.monotonic()
    assert main(["status", "--config", str(config)]) == 1
    assert time.monotonic() - started < 5
    assert "core does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("dbm", "word"),
    [
        (-79, "very good"),
        (-80, "very good"),
        (-81, "good"),
        (-100, "fair"),
        (-115, "very weak"),
        (-140, "as good as none"),
    ],
)
def test_signal_in_words(dbm: int, word: str) -> None:
    assert tool.signal_words(dbm).startswith(word + " (")


def test_every_fault_code_in_the_code_has_a_remedy() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "unitd").rglob("*.py"))
    codes = set(re.findall(r'code="([a-z_]+)"', source)) - set(get_args(RefusalCode))  # a reply's code is no fault
    assert {"modem_hung", "button_stuck"} <= codes
    assert codes <= set(REMEDIES)


def test_every_fault_code_of_the_seams_has_a_remedy() -> None:
    seams = (ROOT / "docs" / "design" / "seams.md").read_text(encoding="utf-8")
    listed = seams.partition("Fault codes (stable):")[2].partition("\n\n")[0]
    codes = set(re.findall(r"`([a-z_]+)`", listed))
    assert len(codes) > 10
    assert codes <= set(REMEDIES)


def test_a_call_is_said_in_words() -> None:
    call = {
        "incident": "8f14e45f", "endpoint": "hub", "link": "1 console; main; loss 0 %",
        "sound.noise_dba": 54.6, "sound.limit_dba": 80.0, "sound.echo_db": 31.2,
    }  # fmt: skip
    text = "\n".join(tool.lines(msgspec.structs.replace(WELL, facts={"call": call})))
    assert "call: 1 console; main; loss 0 %, by hub\n" in text
    assert "sound: street 55 dB(A), horn up to 80 dB(A), echo 31 dB down\n" in text
    text = "\n".join(tool.lines(msgspec.structs.replace(WELL, facts={"call": {**call, "endpoint": None}})))
    assert "call: NO ENDPOINT ANSWERS\n" in text
    quiet = {"incident": None, "sound.noise_dba": None}
    assert not {"call:", "sound:"} & set(
        "\n".join(tool.lines(msgspec.structs.replace(WELL, facts={"call": quiet}))).split()
    )
