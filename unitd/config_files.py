"""The files of a configuration: read, laid on top of each other, and which of them has set what."""

import re
import tomllib
from pathlib import Path
from typing import Any

from unitd.errors import ConfigError

BIGGEST_FILE_BYTES = 1024 * 1024


def merged(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """All layers on top of each other, not checked yet, and for each key the file that set it last.

    Raises ConfigError, and nothing else. Blocks on disk.
    """
    tables: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for file in layers(path):
        try:
            _merge(tables, _read(file), origin, str(file))
        except RecursionError:
            raise ConfigError(str(file), "syntax", "tables nested without end", "mend the TOML") from None
    return tables, origin


def layers(path: Path) -> list[Path]:
    """The files that make one configuration, in the order in which later ones win."""
    try:
        return [path, *sorted(path.with_suffix(".d").glob("*.toml"))]
    except (OSError, ValueError):
        return [path]  # opening `path` itself will say what is wrong


def file_of(key: str, origin: dict[str, str], file: str) -> str:
    """The file that set `key`, or the table or array that it is in."""
    while key:
        if key in origin:
            return origin[key]
        shorter = re.sub(r"(\[\d+\]|\.?[^.\[\]]+)$", "", key)
        key = shorter if shorter != key else ""
    return file


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as source:
            content = source.read(BIGGEST_FILE_BYTES + 1)
        text = content.decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(str(file), "file", "there is no such file", "name a TOML file with --config") from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            str(file), "file", f"cannot be read ({_why_not(error)})", "check its owner and encoding"
        ) from None
    if len(content) > BIGGEST_FILE_BYTES:
        raise ConfigError(str(file), "file", f"more than {BIGGEST_FILE_BYTES} bytes", "name a TOML file with --config")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError, OverflowError) as error:
        words = str(error) if isinstance(error, tomllib.TOMLDecodeError) else f"not TOML ({type(error).__name__})"
        raise ConfigError(str(file), "syntax", words, "mend the TOML at that line") from None


def _why_not(error: OSError | ValueError) -> str:
    """In a person's words; the file is named already."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start + 1}"
    return str(error)


def _merge(into: dict[str, Any], table: dict[str, Any], origin: dict[str, str], file: str, at: str = "") -> None:
    for key, value in table.items():
        here = f"{at}.{key}" if at else key
        if not isinstance(value, dict):
            into[key] = value
            _note(value, origin, file, here)
            continue
        origin.setdefault(here, file)
        if not isinstance(into.get(key), dict):
            into[key] = {}
        _merge(into[key], value, origin, file, here)


def _note(value: Any, origin: dict[str, str], file: str, here: str) -> None:
    """Remember that `file` set `here`, which an array does for all that is in it."""
    for stale in [key for key in origin if key.startswith((f"{here}[", f"{here}."))]:
        del origin[stale]
    origin[here] = file
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                origin |= {f"{here}[{index}].{key}": file for key in item}
