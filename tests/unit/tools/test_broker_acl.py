"""`unitd broker-acl`: who is let in, and which names are not."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.__main__ import main
from unitd.config import Name
from unitd.tools.broker_acl import UNIT_NAME, Access, AccessError, acl, read_units
from unitd.tools.broker_conf import ConfError, Listener, conf

FILES = (Path("/etc/x/access"), Path("/etc/x/ca.pem"), Path("/etc/x/broker.pem"), Path("/etc/x/broker.key"))
BAD_NAMES = [
    "",
    "a b",
    "ann @hub",
    "+",
    "#",
    "a+@hub",
    "a#@hub",
    "a/b@hub",
    "a/b",
    "ann@hub\nuser x",
    "ann@hub@x",
    "%u@hub",
    "@",
]


def sections(text: str) -> dict[str, list[str]]:
    """Lines by user; the pattern's under the empty name."""
    found: dict[str, list[str]] = {"": []}
    user = ""
    for line in text.splitlines():
        if line.startswith("user "):
            user = line.removeprefix("user ")
            found[user] = []
        elif line and not line.startswith("#"):
            found[user].append(line)
    return found


def test_a_unit_is_what_its_certificate_says() -> None:
    assert sections(acl(Access())) == {"": ["pattern write hp/1/%u/up/#", "pattern read hp/1/%u/down/#"]}


def test_with_named_units_there_is_no_pattern() -> None:
    assert sections(acl(Access(units=("pole-1", "pole-1")))) == {
        "": [],
        "pole-1": ["topic write hp/1/pole-1/up/#", "topic read hp/1/pole-1/down/#"],
    }
    assert sections(acl(Access(units=()))) == {"": []}


def test_the_rights_of_a_name_with_two_roles_are_those_of_both() -> None:
    made = sections(acl(Access({"operator": ["ann@hub"], "maintainer": ["ann@hub"], "observer": ["ann@hub"]})))
    assert made["ann@hub"] == [
        "topic deny hp/1/ann@hub/#",
        "topic read hp/1/+/up/#",
        "topic write hp/1/+/down/operator/#",
        "topic write hp/1/+/down/maintainer/#",
    ]


@pytest.mark.parametrize("name", [*BAD_NAMES, "pole-1", "x" * 60 + "@hub.example"])
def test_a_name_that_is_no_persons_is_refused(name: str) -> None:
    with pytest.raises(AccessError) as refused:
        acl(Access({"operator": [name]}))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", [*BAD_NAMES, "ann@hub", "Pole-1", "-pole", "p" * 33])
def test_a_name_that_is_no_units_is_refused(name: str) -> None:
    with pytest.raises(AccessError) as refused:
        acl(Access(units=[name]))
    assert "\n" not in str(refused.value)


@given(st.text(max_size=40), st.sampled_from(["system", "operator", "maintainer", "observer", "unit"]))
def test_no_name_writes_a_line_of_its_own(name: str, role: str) -> None:
    access = Access(units=[name]) if role == "unit" else Access({role: [name]})
    try:
        made = acl(access)
    except AccessError:
        return
    assert set(sections(made)) == {"", name}
    assert re.fullmatch(r"[A-Za-z0-9@._-]+", name)


@given(st.from_regex(r"\A[a-z0-9@._-]{1,34}\Z"))
def test_a_units_name_here_is_one_of_the_configurations(name: str) -> None:
    try:
        msgspec.convert(name, Name)
        configured = True
    except msgspec.ValidationError:
        configured = False
    assert bool(UNIT_NAME.fullmatch(name)) == configured


def test_a_list_of_units_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "units"
    file.write_text("# in the square\npole-1  # by the fountain\n\npole-2\n")
    assert read_units(file) == ["pole-1", "pole-2"]
    for broken in (b"", b"# nobody\n", b"\xff\xfe"):
        file.write_bytes(broken)
        with pytest.raises(AccessError):
            read_units(file)
    with pytest.raises(AccessError):
        read_units(tmp_path / "none")


def test_the_configuration_asks_for_certificates_and_names_its_files() -> None:
    made = conf(Listener(8883, *FILES, crl_file=Path("/etc/x/crl.pem"), host="10.0.0.1")).splitlines()
    for line in (
        "listener 8883 10.0.0.1",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "allow_anonymous false",
        "acl_file /etc/x/access",
        "crlfile /etc/x/crl.pem",
        "persistence true",
    ):
        assert line in made
    assert not any("crlfile" in line for line in conf(Listener(8883, *FILES)).splitlines())


def test_the_configuration_takes_no_line_breaks() -> None:
    with pytest.raises(ConfError):
        conf(Listener(8883, *FILES, crl_file=Path("/etc/x\nallow_anonymous true")))
    with pytest.raises(ConfError):
        conf(Listener(8883, *FILES, host="0.0.0.0 unix"))
    with pytest.raises(ConfError, match="from 1 to 65535"):
        conf(Listener(0, *FILES))  # to Mosquitto a listener on port 0 is something else


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    units = tmp_path / "units"
    units.write_text("pole-2")
    assert main(["broker-acl", "--unit", "pole-1", "--units", str(units), "--system", "system@hub"]) == 0
    assert set(sections(capsys.readouterr().out)) == {"", "pole-1", "pole-2", "system@hub"}
    assert main(["broker-acl", "--conf", "--port", "8884", "--files", "/etc/m"]) == 0
    assert "acl_file /etc/m/access\nlistener 8884\ncafile /etc/m/ca.pem\n" in capsys.readouterr().out
    assert main(["broker-acl", "--operator", "ann"]) == 1
    assert (
        capsys.readouterr().err
        == "unitd: 'ann' could be a unit: a person or system is called like `ann@control-room`\n"
    )
