"""Write a configuration as TOML text: the little that `show-config` needs, so that no package is wanted for it."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Note = Callable[[str], str]


def no_note(_key: str) -> str:
    return ""


def toml_lines(tables: Mapping[str, Any], note: Note = no_note) -> Iterator[str]:
    """Yield the lines of `tables`: values first, then tables, then arrays of tables; None is written as "none".

    `note(key)` gives the comment behind the value of `key` (dotted, with [n] in arrays), "" for none. Round trip:
    tomllib reads the same values back. Holds for tables of str, bool, int, finite float, lists of those, and tables
    and arrays of tables at the top level, which is all that the configuration has.
    """
    for key, value in tables.items():
        if not _is_tables(value):
            yield _line(key, value, note(key))
    for key, value in tables.items():
        if isinstance(value, dict):
            yield ""
            yield f"[{key}]"
            yield from _values(value, key, note)
        elif _is_tables(value):
            for index, item in enumerate(value):
                yield ""
                yield f"[[{key}]]"
                yield from _values(item, f"{key}[{index}]", note)


def _is_tables(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict))


def _values(table: Mapping[str, Any], at: str, note: Note) -> Iterator[str]:
    for key, value in table.items():
        yield _line(key, value, note(f"{at}.{key}"))


def _line(key: str, value: Any, note: str) -> str:
    line = f"{key} = {_value(value)}"
    return f"{line}  # {note}" if note else line


def _value(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # A TOML basic string escapes as JSON does, except for DEL, which JSON leaves as it is.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007F")
