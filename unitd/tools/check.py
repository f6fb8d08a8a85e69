"""`unitd check`: is this configuration good, and is what it names there on this machine?

Two kinds of finding. What no machine could run is a ConfigError: one line, exit status 2. What is only not there yet
(a certificate before provisioning, a modem that is unplugged) is a warning: the configuration is good and the unit
would run, say so as a fault and come to itself; exit status 0, or 1 with `strict` (the end of an installation).
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from unitd.config import BrokerTable, Config, EndpointTable, SoundTable, UploadTable, load
from unitd.config_files import layers
from unitd.model.sms import normal_number
from unitd.prompts import site_files, site_problems, voice_languages
from unitd.tools.check_signing import signing_warnings
from unitd.tools.plain import fitted

_RENUMBERED = re.compile(r"^/dev/tty(USB|ACM)\d+$")
_BOARD = Path("/proc/device-tree/model")
_OTHERS_MAY_READ_OR_WRITE = stat.S_IRWXO | stat.S_IWGRP


def check(path: Path, strict: bool = False) -> int:
    """Print what is fitted and what is missing; 0 good, 1 warnings and `strict`. Raises ConfigError. Blocks on disk."""
    config = load(path)
    found = list(warnings(config))
    read = ", ".join(str(file) for file in layers(path))
    print(f"good: {read}")
    for line in fitted(config):
        print(f"  {line}")
    for warning in found:
        print(f"warning: {warning}")
    if found:
        print(f"warnings: {len(found)}; the unit runs with them, and reports what they keep from working as a fault")
    return 1 if found and strict else 0


def warnings(c: Config) -> Iterator[str]:
    """Yield `key: what is seen; remedy` for what is not in order on this machine, each file once."""
    if not c.brokers:
        yield "brokers: none; no alarm leaves this unit; add [[brokers]] unless it is meant to stand alone"
    elif not c.endpoints:
        yield "endpoints: none; alarms are sent but no call can be made; add [[endpoints]]"
    if not c.cameras:
        yield "cameras: none; nothing is filmed; add [[cameras]]"
    elif not c.upload.hosts and c.brokers:
        yield "upload.hosts: empty; the control room cannot get clips; name the hosts that may receive them"
    if c.sound is None:
        yield "sound: not fitted; the caller hears nobody and is not heard; add [sound]"
    else:
        yield from _words(c.sound)
    yield from _rooms(c)
    yield from _turn(c)
    yield from _button(c)
    yield from _files(c)
    yield from _ports(c)
    yield from signing_warnings(c)
    for key in ("state_dir", "evidence_dir", "run_dir"):
        if problem := _directory_problem(Path(getattr(c.paths, key))):
            yield f"paths.{key}: {problem}"


def _rooms(c: Config) -> Iterator[str]:
    if c.control_rooms and not c.brokers:
        yield f"control_rooms: {len(c.control_rooms)}, and no broker by which to ask one; add [[brokers]]"
    seen: set[str | None] = set()
    for index, duty in enumerate(c.duty_numbers):
        if (number := normal_number(duty.number)) in seen:
            yield f"duty_numbers[{index}].number: {duty.number} is there twice and may get each message twice; keep one"
        seen.add(number)


def _words(sound: SoundTable) -> Iterator[str]:
    yield from (f"sound.site_dir: {problem}" for problem in site_problems(sound.site_dir))
    if sound.site_dir != SoundTable().site_dir and not Path(sound.site_dir).is_dir():
        yield f"sound.site_dir: there is no directory {sound.site_dir}; make it, or take the key out"
    spoken = {*voice_languages(), *(file.parts[-2] for file in site_files(sound.site_dir))}
    named = [("sound.language", sound.language)]
    named += [(f"sound.more_languages[{index}]", each) for index, each in enumerate(sound.more_languages)]
    for key, language in named:
        if language not in spoken:
            yield f'{key}: there are no words in "{language}"; write one of {", ".join(sorted(spoken))}'


def _turn(c: Config) -> Iterator[str]:
    """What the call leaves out of the servers (docs/adr/0013-whip-and-ice-servers.md)."""
    for index, server in enumerate(c.ice_servers):
        at = f"ice_servers[{index}]"
        if not server.username and any(url.startswith("turn") for url in server.urls):
            yield f"{at}: TURN without a name is left out; set username and password_file"
        for number, url in enumerate(server.urls):
            if url.startswith("stuns:") or (url.startswith("turns:") and url.endswith("?transport=udp")):
                yield f"{at}.urls[{number}]: {url} is left out; write stun: or turns:host:port?transport=tcp"


def _button(c: Config) -> Iterator[str]:
    with contextlib.suppress(OSError):  # no device tree: no Raspberry Pi
        board = _BOARD.read_text(encoding="utf-8", errors="replace").strip("\0")
        if "Raspberry Pi" in board and c.button.driver == "gpiozero":
            yield 'button.driver: "gpiozero"; a press while core starts again is lost; write driver = "kernel"'
    chip = Path(c.button.chip)
    if c.button.driver == "kernel" and c.button.chip != "auto" and not chip.is_char_device():
        yield f'button.chip: there is no {chip} here; look at `ls /dev/gpiochip*`, or write "auto"'


def _files(c: Config) -> Iterator[str]:
    seen: set[str] = set()
    for key, name, secret in _named_files(c):
        if name not in seen:
            seen.add(name)
            if problem := _file_problem(Path(name), secret, pem=not key.endswith(("password_file", "token_file"))):
                yield f"{key}: {problem}"


def _named_files(c: Config) -> Iterator[tuple[str, str, bool]]:
    tables: list[tuple[str, BrokerTable | EndpointTable | UploadTable]] = []
    tables += [(f"brokers[{index}]", broker) for index, broker in enumerate(c.brokers)]
    tables += [(f"endpoints[{index}]", endpoint) for index, endpoint in enumerate(c.endpoints)]
    if c.upload.hosts:
        tables.append(("upload", c.upload))
    for at, table in tables:
        for key in ("ca_file", "cert_file", "key_file"):
            yield f"{at}.{key}", getattr(table, key), key == "key_file"
    for index, camera in enumerate(c.cameras):
        if camera.password_file is not None:
            yield f"cameras[{index}].password_file", camera.password_file, True
    for index, endpoint in enumerate(c.endpoints):
        if endpoint.token_file is not None:
            yield f"endpoints[{index}].token_file", endpoint.token_file, True
    for index, server in enumerate(c.ice_servers):
        if server.password_file is not None:
            yield f"ice_servers[{index}].password_file", server.password_file, True


def _file_problem(path: Path, secret: bool, pem: bool) -> str | None:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8", errors="replace")[:65536] if stat.S_ISREG(mode) else ""
    except FileNotFoundError:
        return f"there is no file {path}; put it there"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror}); make it readable for user {_user()}"
    if not stat.S_ISREG(mode):
        return f"{path} is not a file; name a file"
    if not text.strip():
        return f"{path} is empty; put its content there"
    if pem and "-----BEGIN" not in text:
        return f"{path} is not PEM text; convert it with openssl"
    if secret and "ENCRYPTED" in text and pem:
        return f"{path} is locked with a passphrase, which nobody can type on a pole; store it without"
    if secret and mode & _OTHERS_MAY_READ_OR_WRITE:
        return f"{path} has mode {stat.S_IMODE(mode):04o}, so others can read or change it; chmod 0640 {path}"
    return None


def _ports(c: Config) -> Iterator[str]:
    for key, fitted_port in (("dome.port", c.dome and c.dome.port), ("modem.port", c.modem and c.modem.port)):
        if not fitted_port:
            continue
        if _RENUMBERED.match(fitted_port):
            yield f"{key}: {fitted_port} may be another device after a power cut; use its link below /dev/serial/by-id/"
        try:
            mode = Path(fitted_port).stat().st_mode
        except OSError:
            yield f"{key}: there is no {fitted_port} now; plug it in, or look at `ls -l /dev/serial/by-id/`"
            continue
        if not stat.S_ISCHR(mode):
            yield f"{key}: {fitted_port} is not a serial port; name a device"
        elif not os.access(fitted_port, os.R_OK | os.W_OK):
            yield f"{key}: {fitted_port} is not open to user {_user()}; add the user to group dialout"


def _directory_problem(path: Path) -> str | None:
    there = path
    try:
        while not there.exists() and there != there.parent:
            there = there.parent
        if not there.is_dir():
            return f"{there} is not a directory; name a directory"
    except OSError as error:
        return f"{path} cannot be looked at ({error.strerror}); check its owner"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"user {_user()} may not write in {there}; change its owner, or check as the user that runs unitd"
    return None


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
