"""`unitd check`: good, good with warnings, or one line that says what to mend."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from unitd.__main__ import main
from unitd.tools import check as check_tool

PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


class Unit:
    """A configuration whose files all exist, to be spoilt one at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("ca.pem", "unit.pem", "unit.key"):
            (directory / name).write_text(PEM)
        (directory / "unit.key").chmod(0o600)
        (directory / "camera.password").write_text("secret\n")
        (directory / "camera.password").chmod(0o600)
        master, self._slave = os.openpty()
        self.port = os.ttyname(self._slave)
        self._master = master
        self.file = directory / "unit.toml"
        self.write()

    def write(self, **replace: str) -> None:
        d = self.directory
        tls = f'ca_file = "{d}/ca.pem"\ncert_file = "{d}/unit.pem"\nkey_file = "{d}/unit.key"\n'
        text = f"""schema = 1
[paths]
state_dir = "{d}/state"
run_dir = "{d}/run"
evidence_dir = "{d}/evidence"
[[brokers]]
name = "main"
host = "broker.example"
{tls}
[[endpoints]]
name = "console"
url = "wss://media.example/unit"
{tls}
[[cameras]]
name = "dome"
main_url = "rtsp://camera/main"
username = "unitd"
password_file = "{d}/camera.password"
[dome]
port = "{self.port}"
[sound]
[upload]
hosts = ["evidence.example"]
{tls}
"""
        for old, new in replace.items():
            assert old in text
            text = text.replace(old, new)
        self.file.write_text(text)

    def close(self) -> None:
        os.close(self._slave)
        os.close(self._master)


@pytest.fixture
def unit(tmp_path: Path):  # type: ignore[no-untyped-def]
    made = Unit(tmp_path)
    yield made
    made.close()


def _check(unit: Unit, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    status = main(["check", "--config", str(unit.file), *options])
    caught = capsys.readouterr()
    assert caught.err == ""
    return status, caught.out


def test_ok__nothing_to_say_against_it(unit: Unit, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = _check(unit, capsys, "--strict")
    assert status == 0, out
    assert out.startswith("good: ")
    assert "warning" not in out
    for words in (
        "button on pin 17 (contact 'no'",
        "broker.example:8883",
        "wss://media.example/unit",
        "films dome",
        "pelco-d",
    ):
        assert words in out
    assert "secret" not in out


def _spoil_key_mode(unit: Unit) -> None:
    (unit.directory / "unit.key").chmod(0o644)


def _spoil_key_locked(unit: Unit) -> None:
    (unit.directory / "unit.key").write_text("-----BEGIN ENCRYPTED PRIVATE" + " KEY-----\n")
    (unit.directory / "unit.key").chmod(0o600)


def _spoil_certificate(unit: Unit) -> None:
    (unit.directory / "unit.pem").unlink()


def _spoil_certificate_form(unit: Unit) -> None:
    (unit.directory / "unit.pem").write_text("0\x82")


def _spoil_authority(unit: Unit) -> None:
    (unit.directory / "ca.pem").write_text("")


def _spoil_authority_directory(unit: Unit) -> None:
    (unit.directory / "ca.pem").unlink()
    (unit.directory / "ca.pem").mkdir()


def _spoil_password(unit: Unit) -> None:
    (unit.directory / "camera.password").chmod(0o604)


def _spoil_port(unit: Unit) -> None:
    unit.port = str(unit.directory / "gone")
    unit.write()


def _spoil_port_kind(unit: Unit) -> None:
    unit.port = str(unit.directory / "ca.pem")
    unit.write()


def _spoil_port_name(unit: Unit) -> None:
    unit.port = "/dev/ttyUSB7"
    unit.write()


def _spoil_state_dir(unit: Unit) -> None:
    (unit.directory / "state").write_text("a file")


def _no_sound(unit: Unit) -> None:
    unit.file.write_text(unit.file.read_text().replace("[sound]\n", ""))


def _no_hosts(unit: Unit) -> None:
    unit.file.write_text(unit.file.read_text().replace('["evidence.example"]', "[]"))


def _add(text: str) -> Callable[[Unit], None]:
    def add(unit: Unit) -> None:
        unit.file.write_text(unit.file.read_text() + text)

    return add


def _sound(text: str) -> Callable[[Unit], None]:
    def spoil(unit: Unit) -> None:
        unit.write(**{"[sound]": f"[sound]\n{text}"})

    return spoil


def _no_broker(unit: Unit) -> None:
    unit.file.write_text('schema = 1\n[[control_rooms]]\nname = "a"\n')


DUTY = '[[duty_numbers]]\nname = "{}"\nnumber = "{}"\n'
TWICE = '[modem]\nport = "/dev/null"\n' + DUTY.format("a", "+447700900123") + DUTY.format("b", "+44 7700 900123")

SPOILT = [
    (_no_broker, "control_rooms", "no broker by which to ask"),
    (_add(TWICE), "duty_numbers[1].number", "is there twice"),
    (_add('[button]\ndriver = "kernel"\nchip = "/dev/gpiochip77"\n'), "button.chip", "there is no /dev/gpiochip77"),
    (_spoil_key_mode, "brokers[0].key_file", "0644"),
    (_spoil_key_locked, "brokers[0].key_file", "passphrase"),
    (_spoil_certificate, "brokers[0].cert_file", "there is no file"),
    (_spoil_certificate_form, "brokers[0].cert_file", "not PEM"),
    (_spoil_authority, "brokers[0].ca_file", "is empty"),
    (_spoil_authority_directory, "brokers[0].ca_file", "not a file"),
    (_spoil_password, "cameras[0].password_file", "0604"),
    (_spoil_port, "dome.port", "plug it in"),
    (_spoil_port_kind, "dome.port", "not a serial port"),
    (_spoil_port_name, "dome.port", "/dev/serial/by-id/"),
    (_spoil_state_dir, "paths.state_dir", "not a directory"),
    (_no_sound, "sound", "add [sound]"),
    (_sound('language = "xx"'), "sound.language", 'no words in "xx"; write one of cy, de, en'),
    (_sound('more_languages = ["cy", "yy"]'), "sound.more_languages[1]", 'no words in "yy"'),
    (_sound('site_dir = "/nonexistent/sounds"'), "sound.site_dir", "there is no directory /nonexistent/sounds"),
    (_add('[[ice_servers]]\nurls = ["stun:a.example", "stuns:a.example"]\n'), "ice_servers[0].urls[1]", "write stun:"),
    (_add('[[ice_servers]]\nurls = ["turn:turn.example:3478"]\n'), "ice_servers[0]", "set username and password_file"),
    (_no_hosts, "upload.hosts", "name the hosts"),
]


@pytest.mark.parametrize(("spoil", "key", "words"), SPOILT, ids=[case[0].__name__ + case[1] for case in SPOILT])
def test_ok__with_a_warning_that_names_key_and_remedy(
    unit: Unit,
    capsys: pytest.CaptureFixture[str],
    spoil,
    key: str,
    words: str,
) -> None:
    spoil(unit)
    status, out = _check(unit, capsys)
    assert status == 0
    lines = [line for line in out.splitlines() if line.startswith(f"warning: {key}: ")]
    assert any(words in line for line in lines), out
    assert _check(unit, capsys, "--strict")[0] == 1


def test_ok__who_is_asked_texted_and_tested_is_said(unit: Unit, capsys: pytest.CaptureFixture[str]) -> None:
    _add(
        '[[control_rooms]]\nname = "council"\nhours = ["daily 08:00-18:00"]\n[modem]\nport = "/dev/null"\n'
        + DUTY.format("warden", "+447700900123")
    )(unit)
    _, out = _check(unit, capsys)
    assert "asks to answer council (daily 08:00-18:00)\n" in out
    assert "text messages to warden +447700900123 (always)\n" in out
    assert "a test alarm every 3 days (daily 09:00-17:00)\n" in out


def test_ok__a_site_s_bad_recording_is_named_with_what_to_do(
    unit: Unit, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sounds = tmp_path / "sounds"
    (sounds / "prompts" / "en").mkdir(parents=True)
    (sounds / "prompts" / "en" / "calling.wav").write_bytes(b"MP3")
    unit.write(**{"[sound]": f'[sound]\nsite_dir = "{sounds}"'})
    status, out = _check(unit, capsys)
    assert status == 0
    assert f"sound.site_dir: {sounds}/prompts/en/calling.wav: it cannot be read" in out
    assert "make it a WAV of one channel, 16 bit" in out


def test_fail__one_line_and_status_2(unit: Unit, capsys: pytest.CaptureFixture[str]) -> None:
    unit.file.write_text(unit.file.read_text() + "[modm]\n")
    assert main(["check", "--config", str(unit.file)]) == 2
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err == f"unitd: {unit.file}: modm: no such key; did you mean `modem`?\n"


def test_ok__stand_alone_is_a_warning_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "unit.toml"
    file.write_text("schema = 1\n")
    assert main(["check", "--config", str(file)]) == 0
    assert "stand-alone" in capsys.readouterr().out


def test_ok__a_pi_is_told_of_the_kernels_driver(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    board, file = tmp_path / "model", tmp_path / "unit.toml"
    board.write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    monkeypatch.setattr(check_tool, "_BOARD", board)
    for driver, warned in (("gpiozero", True), ("kernel", False)):
        file.write_text(f'schema = 1\n[button]\ndriver = "{driver}"\n')
        assert main(["check", "--config", str(file)]) == 0
        assert ("warning: button.driver: " in capsys.readouterr().out) is warned
