"""config/unit.toml is the documentation of every key, and says the truth about the defaults."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from unitd.__main__ import main
from unitd.config import NONE_WORD, Config, as_builtins, load

ROOT = Path(__file__).resolve().parents[3]
UNIT_TOML = ROOT / "config" / "unit.toml"
NO_DEFAULT_BUT_OPTIONAL = {"latitude", "longitude", "nc_pin", "sub_url", "username", "password_file", "budget_gb"}
MADE_BY_STATE_DIR = {("evidence", "key_file"), ("evidence", "cert_file")}
_COMMENTED = re.compile(r"^#(?=\[|[a-z_]+ = )", re.MULTILINE)


def _struct(kind: Any) -> type[msgspec.Struct] | None:
    inner = [kind, *getattr(kind, "__args__", ())]
    return next((k for k in inner if isinstance(k, type) and issubclass(k, msgspec.Struct)), None)


def _documented() -> dict[str, Any]:
    return tomllib.loads(_COMMENTED.sub("", UNIT_TOML.read_text(encoding="utf-8")))


def _cases() -> list[tuple[str, Any]]:
    return [
        (table.name, field)
        for table in msgspec.structs.fields(Config)
        if (kind := _struct(table.type)) is not None
        for field in msgspec.structs.fields(kind)
    ]


def test_as_it_stands_it_equals_the_defaults() -> None:
    assert load(UNIT_TOML) == Config(schema=1)


def test_with_every_part_fitted_it_is_good(tmp_path: Path) -> None:
    file = tmp_path / "unit.toml"
    file.write_text(_COMMENTED.sub("", UNIT_TOML.read_text(encoding="utf-8")), encoding="utf-8")
    config = load(file)
    assert all(value not in (None, ()) for value in as_builtins(config).values())


def test_it_documents_no_other_tables() -> None:
    assert set(_documented()) == {field.name for field in msgspec.structs.fields(Config)}


@pytest.mark.parametrize(("table", "field"), _cases(), ids=[f"{table}.{field.name}" for table, field in _cases()])
def test_every_key_is_there_with_its_default(table: str, field: Any) -> None:
    written = _documented()[table]
    written = written[0] if isinstance(written, list) else written
    assert field.name in written, "explain it in config/unit.toml"
    optional = field.name in NO_DEFAULT_BUT_OPTIONAL or (table, field.name) in MADE_BY_STATE_DIR
    if not field.required and not optional:
        value = None if written[field.name] == NONE_WORD else written[field.name]
        assert (tuple(value) if isinstance(value, list) else value) == field.default


def test_every_key_is_explained() -> None:
    """The lines above a key, or above the run of keys that it ends, hold prose; a table's own lines count for all."""
    prose, bare = False, []
    for line in UNIT_TOML.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            prose = True
        elif not line.strip():
            prose = False
        elif re.match(r"#?[a-z_]+ = ", line) and not prose and not re.match(r"#?(ca|cert|key)_file", line):
            bare.append(line)
    assert bare == []


@pytest.mark.parametrize("file", sorted((ROOT / "config").rglob("*.toml")), ids=lambda file: file.name)
def test_every_shipped_configuration_passes_check(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(file)]) == 0
    assert capsys.readouterr().out.startswith(f"good: {file}")


def test_examples_cover_a_full_and_a_stand_alone_unit() -> None:
    town = load(ROOT / "config" / "examples" / "town-centre.toml")
    assert town.dome
    assert town.modem
    assert len(town.brokers) == 2
    alone = load(ROOT / "config" / "examples" / "stand-alone-recorder.toml")
    assert not alone.brokers
    assert not alone.endpoints
    assert alone.cameras
