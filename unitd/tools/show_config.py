"""`unitd show-config`: the configuration as the unit sees it, all layers merged, each value with its origin."""

from pathlib import Path
from typing import Any

import msgspec

from unitd.config import as_builtins, load_with_origin
from unitd.config_files import layers
from unitd.tools.toml_text import toml_lines


def show_config(path: Path, changed: bool = False) -> int:
    """Print TOML that loads to the same configuration; `changed` leaves out what equals the default. Returns 0.

    Raises ConfigError. Holds no secret: those live in files that the configuration only names.
    """
    config, origin = load_with_origin(path)
    print(f"# {'What differs from the defaults' if changed else 'The whole configuration'}; read from, in this order:")
    for file in layers(path):
        print(f"#   {file}")

    def note(key: str) -> str:
        return Path(origin[key]).name if key in origin else "default"

    for line in toml_lines(_changed(config) if changed else as_builtins(config), note):
        print(line)
    return 0


def _changed(table: msgspec.Struct) -> dict[str, Any]:
    """`table` as plain tables without what equals its default; what has no default stays."""
    out: dict[str, Any] = {}
    for item in msgspec.structs.fields(table):
        value = getattr(table, item.name)
        default = item.default_factory() if callable(item.default_factory) else item.default
        if not item.required and value == default:
            continue
        if isinstance(value, tuple):
            value = [_changed(entry) if isinstance(entry, msgspec.Struct) else entry for entry in value]
        out[item.name] = _changed(value) if isinstance(value, msgspec.Struct) else value
    return out
