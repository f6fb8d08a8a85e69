"""Tables for docs/control-room-api.md: a message's fields between `<!-- fields: Name -->` and `<!-- end -->`, the fault
codes after `<!-- faults -->`. Pure.
"""

import re
import types
import typing
from typing import Any

import msgspec

from unitd.errors import WireError
from unitd.messages import control_room as wire
from unitd.tools.remedies import REMEDIES

_SECTION = re.compile(r"(<!-- fields: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_FAULTS = re.compile(r"(<!-- faults -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}


def with_tables(text: str) -> str:
    """`text` with each section's table written anew. Raises WireError for a name that is no message."""

    def section(match: re.Match[str]) -> str:
        kind = getattr(wire, match[2], None)
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            raise WireError(f"<!-- fields: {match[2]} -->: no message has this name")
        return f"{match[1]}{table(kind)}{match[4]}"

    faults = "\n".join(
        ["| code | remedy |", "|---|---|", *(f"| `{code}` | {words} |" for code, words in REMEDIES.items())]
    )
    text = _FAULTS.sub(lambda match: f"{match[1]}{faults}\n{match[3]}", text)
    return _SECTION.sub(section, text)


def table(kind: type[msgspec.Struct]) -> str:
    """The table of one message; a command's own fields only, without those that every command has."""
    inherited = {f.name for f in msgspec.structs.fields(wire.Command)} if _is_command(kind) else set()
    rows = [
        f"| `{item.name}` | {_type_words(item.type)} | {_default(item)} | {_meaning(item.type)} |"
        for item in msgspec.structs.fields(kind)
        if item.name not in inherited
    ]
    if not rows:
        return "No fields of its own.\n"
    return "\n".join(["| field | type | default | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _is_command(kind: type[msgspec.Struct]) -> bool:
    return issubclass(kind, wire.Command) and kind is not wire.Command


def _default(item: Any) -> str:
    if item.required:
        return "required"
    if item.default_factory is not msgspec.NODEFAULT:
        return "empty"
    default = item.default
    if default in ((), ""):
        return "empty"
    return (
        {True: "true", False: "false", None: "null"}.get(default, f"{default}")
        if not _number(default)
        else f"{default:g}"
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _meaning(kind: Any) -> str:
    """The outermost description, which an alias's own does not replace."""
    notes = [note for note in getattr(kind, "__metadata__", ()) if isinstance(note, msgspec.Meta) and note.description]
    words = notes[-1].description or "" if notes else ""
    return "" if words == "UUIDv4 text" else words


def _type_words(kind: Any) -> str:
    base, limits = _unwrapped(kind)
    origin, inner = typing.get_origin(base), typing.get_args(base)
    if base is wire.Fact or (origin in (types.UnionType, typing.Union) and len(inner) > 2):
        return "a value"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_type_words(item) for item in inner)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is tuple:
        return f"array of {_type_words(inner[0])}"
    if origin is dict:
        return f"object of {_type_words(inner[1])}"
    if isinstance(base, type) and issubclass(base, msgspec.Struct):
        return f"[{base.__name__}](#{base.__name__.lower()})"
    if limits.get("pattern") == r"^[0-9a-f-]{36}$":
        return "UUID"
    return _PLAIN.get(base, str(base)) + _range(limits)


def _range(limits: dict[str, Any]) -> str:
    low, high = limits.get("ge"), limits.get("le")
    if low is not None and high is not None:
        return f", {low:g} to {high:g}"
    if low is not None:
        return f", {low:g} or more"
    if "max_length" in limits:
        return f", {limits['max_length']} characters at most"
    return ""


def _unwrapped(kind: Any) -> tuple[Any, dict[str, Any]]:
    limits: dict[str, Any] = {}
    while typing.get_origin(kind) is typing.Annotated:
        for note in kind.__metadata__:
            names = ("ge", "le", "pattern", "max_length")
            limits |= {name: getattr(note, name) for name in names if getattr(note, name) is not None}
        kind = kind.__origin__
    return kind, limits
