"""unit.toml and unit.d/*.toml become one configuration, and every error names the file at fault."""

from pathlib import Path

import pytest

from unitd.config import load, load_with_origin
from unitd.config_files import layers
from unitd.errors import ConfigError

BASE = """schema = 1
[lamps]
yellow_pin = 5
[dome]
port = "/dev/dome"
[[brokers]]
name = "one"
host = "one.example"
[[brokers]]
name = "two"
host = "two.example"
"""


def _files(tmp_path: Path, **extra: str) -> Path:
    main = tmp_path / "unit.toml"
    main.write_text(BASE)
    (tmp_path / "unit.d").mkdir()
    for name, text in extra.items():
        (tmp_path / "unit.d" / f"{name}.toml").write_text(text)
    return main


def test_tables_merge_and_values_replace_in_order_of_name(tmp_path: Path) -> None:
    main = _files(tmp_path, b="[lamps]\nyellow_pin = 7\n", a="[lamps]\nyellow_pin = 6\ngreen_pin = 8\n")
    config = load(main)
    assert (config.lamps.yellow_pin, config.lamps.green_pin, config.lamps.locator_pin) == (7, 8, 24)
    assert [file.name for file in layers(main)] == ["unit.toml", "a.toml", "b.toml"]


def test_arrays_replace(tmp_path: Path) -> None:
    config = load(_files(tmp_path, a='[[brokers]]\nname = "three"\nhost = "three.example"\n'))
    assert [broker.name for broker in config.brokers] == ["three"]


def test_the_word_none_takes_away_a_default_and_a_lower_layer(tmp_path: Path) -> None:
    config = load(_files(tmp_path, a='dome = "none"\n[lamps]\nyellow_pin = "none"\n'))
    assert config.dome is None
    assert config.lamps.yellow_pin is None


@pytest.mark.parametrize(
    ("text", "key", "file"),
    [
        ("[lamps]\nyellow_pin = 99\n", "lamps.yellow_pin", "a.toml"),
        ("[lamps]\ngreen = 1\n", "lamps.green", "a.toml"),
        ('[[brokers]]\nname = "x"\nhost = "h"\nport = 0\n', "brokers[0].port", "a.toml"),
        ("[lamps]\ngreen_pin = 5\n", "lamps.green_pin", "a.toml"),
        ("[dome]\nbaud = 1\n", "dome.baud", "a.toml"),
        ("[heartbeat]\nperiod_s = 100\n", "heartbeat.silent_after_s", "a.toml"),
    ],
)
def test_fail__the_error_names_the_layer_at_fault(tmp_path: Path, text: str, key: str, file: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(_files(tmp_path, a=text))
    assert caught.value.key == key
    assert Path(caught.value.file).name == file


def test_origin_of_every_key(tmp_path: Path) -> None:
    main = _files(tmp_path, a='[lamps]\ngreen_pin = 8\n[[brokers]]\nname = "three"\nhost = "three.example"\n')
    origin = {key: Path(file).name for key, file in load_with_origin(main)[1].items()}
    assert origin["lamps.yellow_pin"] == "unit.toml"
    assert origin["lamps.green_pin"] == "a.toml"
    assert origin["brokers[0].host"] == "a.toml"
    assert "brokers[1].host" not in origin
    assert "lamps.locator_pin" not in origin
