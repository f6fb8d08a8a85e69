"""Whatever the file holds, loading gives a configuration or a ConfigError of one line, and nothing else."""

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitd.config import Config, load
from unitd.errors import ConfigError
from unitd.tools.toml_text import toml_lines


def _keys(kind: Any) -> list[str]:
    return [field.name for field in msgspec.structs.fields(kind)]


TABLES = _keys(Config)
STRUCTS = [
    kind
    for field in msgspec.structs.fields(Config)
    for kind in [field.type, *getattr(field.type, "__args__", ())]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
]
KEYS = sorted({key for kind in STRUCTS for key in _keys(kind)})
WORDS = [
    "none",
    "",
    "/dev/x",
    "rtsp://c/m",
    "wss://h",
    "a",
    "A!",
    "rtsp://u:p@c/m",
    "rtsp://[",
    "low",
    "tcp",
    "\x7f\x00ü",
]
scalars = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(0, 60),
    st.floats(),
    st.booleans(),
    st.sampled_from(WORDS),
    st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=20),
)
values = st.one_of(scalars, st.lists(scalars, max_size=3))
names = st.one_of(st.sampled_from(KEYS), st.text("abc_", min_size=1, max_size=5))
tables = st.dictionaries(names, values, max_size=6)
documents = st.dictionaries(
    st.one_of(st.sampled_from(TABLES), st.text("abc_", min_size=1, max_size=5)),
    st.one_of(values, tables, st.lists(tables, min_size=1, max_size=3)),
    max_size=6,
)


def _outcome(content: bytes) -> Config | None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "unit.toml"
        file.write_bytes(content)
        try:
            return load(file)
        except ConfigError as error:
            assert "\n" not in str(error)
            assert error.key
            assert error.remedy
            return None


@settings(max_examples=400, deadline=None)
@given(documents)
def test_any_tables(document: dict[str, Any]) -> None:
    lines = toml_lines({"schema": 1} | document)
    _outcome("\n".join(lines).encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    _outcome(content)
    _outcome(b"schema = 1\n" + content)


@pytest.mark.parametrize("value", ["1e999", "-0.0", "9" * 400, "2026-01-01", "12:00:00", "[[]]", "{a = {b = 1}}", '""'])
@pytest.mark.parametrize(
    "key", ["button.pin", "ring.segment_s", "site.name", "site.latitude", "brokers", "dome", "upload.hosts"]
)
def test_odd_values_in_every_kind_of_place(key: str, value: str) -> None:
    _outcome(f"schema = 1\n{key} = {value}\n".encode())
