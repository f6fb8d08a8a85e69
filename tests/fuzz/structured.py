"""Hypothesis strategies from the wire's own structs: messages right in form, and wrong in one place or none."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as kinds

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5), st.just([]), st.just({})
)


def messages(kind: Any, fixed: dict[str, Any] | None = None) -> st.SearchStrategy[bytes]:
    """JSON of `kind` (a struct or a union of structs); `fixed` gives fields their value or strategy."""
    return st.builds(
        _encoded, _of(kinds.type_info(kind), fixed or {}), st.one_of(st.none(), ODD), st.randoms(use_true_random=False)
    )


def _encoded(message: dict[str, Any], odd: Any, chance: Any) -> bytes:
    if odd is not None and message:
        message = message | {chance.choice(list(message)): odd}
    return msgspec.json.encode(message)


def _fixed(value: Any) -> st.SearchStrategy[Any]:
    return value if isinstance(value, st.SearchStrategy) else st.just(value)


def _of(kind: kinds.Type, fixed: dict[str, Any]) -> st.SearchStrategy[Any]:
    match kind:
        case kinds.UnionType(types=types):
            return st.one_of(*(_of(each, fixed) for each in types))
        case kinds.StructType(fields=fields, tag=tag, tag_field=tag_field):
            needed = {tag_field: st.just(tag)} if tag_field else {}
            optional = {}
            for field in fields:
                value = _fixed(fixed[field.name]) if field.name in fixed else _of(field.type, {})
                (needed if field.required else optional)[field.encode_name] = value
            return st.fixed_dictionaries(needed, optional=optional)
        case kinds.IntType(ge=low, le=high):
            return st.integers(-(2**63) if low is None else low, 2**63 - 1 if high is None else high)
        case kinds.FloatType(ge=low, le=high):
            return st.floats(low, high, allow_nan=False, allow_infinity=False)
        case kinds.StrType(pattern=pattern, min_length=shortest, max_length=longest):
            if pattern:
                return st.from_regex(pattern.replace("$", r"\Z"))
            return st.text(min_size=shortest or 0, max_size=min(longest or 40, 40))
        case kinds.LiteralType(values=values):
            return st.sampled_from(values)
        case kinds.BoolType():
            return st.booleans()
        case kinds.NoneType():
            return st.none()
        case kinds.VarTupleType(item_type=item) | kinds.ListType(item_type=item):
            return st.lists(_of(item, {}), max_size=4)
        case kinds.DictType(value_type=value):
            return st.dictionaries(st.text(max_size=8), _of(value, {}), max_size=4)
        case kinds.Metadata(type=inner):
            return _of(inner, fixed)
        case _:
            return ODD
