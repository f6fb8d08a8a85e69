"""`unitd show-config` prints TOML that loads to the same configuration."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitd.__main__ import main
from unitd.config import load
from unitd.tools.toml_text import toml_lines

TEXT = """schema = 1
[site]
name = "Café \\"Zur Post\\" \\u007f\\n"
[lamps]
yellow_pin = "none"
[[brokers]]
name = "one"
host = "one.example"
keepalive_s = 20
[dome]
port = "/dev/dome"
[sound]
[upload]
hosts = ["a.example", "b.example"]
"""


def _shown(file: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["show-config", "--config", str(file), *options]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("options", [(), ("--changed",)])
def test_ok__loads_to_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]) -> None:
    file = tmp_path / "unit.toml"
    file.write_text(TEXT, encoding="utf-8")
    again = tmp_path / "again.toml"
    again.write_text(_shown(file, capsys, *options), encoding="utf-8")
    assert load(again) == load(file)


def test_ok__changed_shows_only_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "unit.toml"
    file.write_text(TEXT, encoding="utf-8")
    shown = tomllib.loads(_shown(file, capsys, "--changed"))
    assert shown["lamps"] == {"yellow_pin": "none"}
    assert shown["brokers"] == [{"name": "one", "host": "one.example", "keepalive_s": 20}]
    assert shown["dome"] == {"port": "/dev/dome"}
    assert "ring" not in shown


def test_ok__each_value_with_its_origin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "unit.toml"
    file.write_text(TEXT, encoding="utf-8")
    (tmp_path / "unit.d").mkdir()
    (tmp_path / "unit.d" / "50-site.toml").write_text("[lamps]\ngreen_pin = 9\n")
    lines = _shown(file, capsys).splitlines()
    assert 'yellow_pin = "none"  # unit.toml' in lines
    assert "green_pin = 9  # 50-site.toml" in lines
    assert "locator_pin = 24  # default" in lines
    assert "port = 8883  # default" in lines
    assert "keepalive_s = 20  # unit.toml" in lines


def test_fail__bad_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show-config", "--config", str(tmp_path / "no.toml")]) == 2
    assert "no such file" in capsys.readouterr().err


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.one_of(
            st.text(alphabet=st.characters(exclude_categories=("Cs",))),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False, allow_infinity=False),
            st.booleans(),
            st.lists(st.text(alphabet=st.characters(exclude_categories=("Cs",)))),
        ),
    )
)
def test_round_trip_of_any_value(table: dict[str, object]) -> None:
    tables = {**table, "t": table, "rows": [table, table]}
    assert tomllib.loads("\n".join(toml_lines(tables))) == tables
