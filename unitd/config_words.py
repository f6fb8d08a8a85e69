"""Turn a configuration that does not fit its structs into one finding: key, value seen, remedy in plain words.

Walks the same structs that msgspec checks against, so it knows the place in an array, which msgspec's own message
does not tell. Used only once a configuration has been refused; pure; does not raise.
"""

import difflib
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

LONGEST_SEEN = 80
_URL_SECRET = re.compile(r"(://)[^/@\s]*@|((?:token|password|passwd|secret|key)=)[^&\s'\"]+", re.IGNORECASE)

# A pattern in words; a test holds that every pattern of the configuration is here.
PATTERN_WORDS = {
    r"^[a-z0-9][a-z0-9_-]{0,31}$": 'write 1 to 32 small letters, digits, "-" or "_" in quotes, "-" and "_" not first',
    r"^[a-z]{2}$": 'write a language in two small letters, for example "en"',
}


def first_problem(value: Any, kind: Any, key: str = "") -> tuple[str, str, str] | None:
    """The first thing wrong with `value` as a `kind`: (key, value seen, remedy), or None when nothing is."""
    inner, optional = _without_none(kind)
    if value is None and optional:
        return None
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        return _table_problem(value, inner, key)
    if typing.get_origin(inner) is tuple:
        if not isinstance(value, list):
            return key, seen(value), wish(kind, key)
        problems = (
            first_problem(item, typing.get_args(inner)[0], f"{key}[{index}]") for index, item in enumerate(value)
        )
        return next((problem for problem in problems if problem), None)
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError, OverflowError, TypeError):
        return key or "(top)", seen(value), wish(kind, key)
    return None


def _table_problem(value: Any, kind: type[msgspec.Struct], key: str) -> tuple[str, str, str] | None:
    if not isinstance(value, dict):
        return key or "(top)", seen(value), wish(kind, key)
    fields = {item.name: item for item in msgspec.structs.fields(kind)}
    for name in value:
        if name not in fields:
            near = difflib.get_close_matches(str(name), fields, n=1, cutoff=0.5)
            remedy = f"did you mean `{near[0]}`?" if near else f"known keys here: {', '.join(fields)}"
            return _join(key, str(name)[:LONGEST_SEEN]), "no such key", remedy
    for name, item in fields.items():
        if name not in value:
            if item.required:
                return _join(key, name), "missing", f"add it: {wish(item.type, _join(key, name))}"
        elif problem := first_problem(value[name], item.type, _join(key, name)):
            return problem
    return None


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def seen(value: Any) -> str:
    """The value as the file's author knows it, cut to a line and without a password."""
    return f"saw {_cut(without_secrets(_as_toml(value)))}"


def _as_toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table with " + (", ".join(map(str, list(value)[:5])) or "nothing in it")
    if isinstance(value, list):
        return "an array of tables" if value and isinstance(value[0], dict) else f"an array of {len(value)}"
    if isinstance(value, int):
        return str(value) if value.bit_length() < 1000 else "an immense number"  # str() refuses above 4300 digits
    return repr(value) if isinstance(value, str) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SEEN else text[: LONGEST_SEEN - 1] + "…"


def without_secrets(text: str) -> str:
    """`text` with what looks like a password or token replaced."""
    return _URL_SECRET.sub(lambda m: f"{m[1]}…@" if m[1] else f"{m[2]}…", text)


def wish(kind: Any, key: str = "") -> str:
    """What to write where a `kind` belongs: one imperative phrase."""
    inner, optional = _without_none(kind)
    phrase = _wish(inner, key)
    return f'{phrase} (or "none" when there is none)' if optional else phrase


def _wish(inner: Any, key: str) -> str:
    name = re.sub(r"\[\d+\]", "", key) or "table"
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        return f"write a table: [[{name}]]" if key.endswith("]") else f"write a table: [{name}]"
    if typing.get_origin(inner) is tuple:
        item = typing.get_args(inner)[0]
        if isinstance(item, type) and issubclass(item, msgspec.Struct):
            return f"write an array of tables: [[{name}]] for each"
        return f'write an array of texts: {name.rpartition(".")[2]} = ["...", "..."]'
    if typing.get_origin(inner) is typing.Literal:
        values = [f'"{value}"' if isinstance(value, str) else str(value) for value in typing.get_args(inner)]
        return f"write {values[0]}" if len(values) == 1 else f"write one of {', '.join(values)}"
    base, limits = _limits(inner)
    if base is bool:
        return "write true or false"
    if base in (int, float):
        number = "a whole number" if base is int else "a number"
        return " ".join(["write", number, *_range_words(limits)])
    pattern = limits.get("pattern")
    return PATTERN_WORDS.get(pattern, f"write text that matches {pattern}") if pattern else "write text in quotes"


def _range_words(limits: dict[str, Any]) -> Iterator[str]:
    low = limits.get("ge", limits.get("gt"))
    high = limits.get("le", limits.get("lt"))
    if "gt" in limits:
        yield f"above {low:.10g}"
        if high is not None:
            yield f"and {'below' if 'lt' in limits else 'at most'} {high:.10g}"
    elif low is not None and high is not None:
        yield f"from {low} to {high}" if isinstance(low, int) else f"from {low:.10g} to {high:.10g}"
    elif low is not None:
        yield f"of {low:.10g} or more"
    elif high is not None:
        yield f"of {high:.10g} at most"


def _limits(kind: Any) -> tuple[Any, dict[str, Any]]:
    """The bare type and the limits of an Annotated one."""
    if typing.get_origin(kind) is not typing.Annotated:
        return kind, {}
    base, *notes = typing.get_args(kind)
    limits: dict[str, Any] = {}
    for note in notes:
        if isinstance(note, msgspec.Meta):
            names = ("gt", "ge", "lt", "le", "pattern")
            limits |= {name: getattr(note, name) for name in names if getattr(note, name) is not None}
    return base, limits


def _without_none(kind: Any) -> tuple[Any, bool]:
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        rest = [item for item in typing.get_args(kind) if item is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return kind, False
