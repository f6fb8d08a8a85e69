"""`unitd broker-acl`: who may do what on a control room's Mosquitto, by the common names of their certificates.

Role = topic: a unit cannot see certificates, so the broker alone keeps a maintainer's order from an operator and
`received` from everybody but the control room's own system. What is granted:

| who        | reads                | writes                     |
| unit       | hp/1/<own>/down/#    | hp/1/<own>/up/#            |
| system     | hp/1/+/up/#          | hp/1/+/down/received       |
| operator   | hp/1/+/up/#          | hp/1/+/down/operator/#     |
| maintainer | hp/1/+/up/#          | hp/1/+/down/maintainer/#   |
| observer   | hp/1/+/up/#          | nothing                    |

Anybody else, a certificate of the right authority included, can do nothing where units are named one by one. Where
they are not (a `pattern`), each further certificate of that authority is the unit of its own name, and no other.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unitd.errors import UnitdError
from unitd.messages.control_room import PREFIX

UNIT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""The same as `unit.id` of the configuration (a test compares them)."""
PERSON_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9._-]*")
"""Has exactly one `@`, which no unit's name may have: so no certificate is good for both."""
NAME_MAX = 64
"""A common name's longest (RFC 5280, ub-common-name)."""

UP = f"{PREFIX}/+/up/#"
ROLES: dict[str, str | None] = {
    "system": f"{PREFIX}/+/down/received",
    "operator": f"{PREFIX}/+/down/operator/#",
    "maintainer": f"{PREFIX}/+/down/maintainer/#",
    "observer": None,
}
"""What each role may write; all of them read UP."""


class AccessError(UnitdError, ValueError):
    """A name that cannot be given access; the message says which and why."""


@dataclass(frozen=True)
class Access:
    """Who is to be let in. `units` None: every certificate of the authority that is no person's is a unit."""

    people: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By role (ROLES), the names; a name may have several roles."""
    units: Sequence[str] | None = None


def read_units(file: Path) -> list[str]:
    """The names in `file`, one a line, `#` begins a note. Raises AccessError when it cannot be read or holds none:
    a list that was cut off by mistake must not turn into "everybody". Blocks on the disk."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise AccessError(f"{file}: cannot be read ({error.strerror}); name a file with one unit a line") from error
    except UnicodeDecodeError as error:
        raise AccessError(f"{file}: not UTF-8 at byte {error.start}; name a text file with one unit a line") from error
    names = [name for line in text.splitlines() if (name := line.partition("#")[0].strip())]
    if not names:
        raise AccessError(f"{file}: no unit is named in it")
    return names


def acl(access: Access) -> str:
    """Mosquitto's `acl_file`; pure. Raises AccessError for the first name that must not be in it."""
    return "\n".join(_lines(access)) + "\n"


def _lines(access: Access) -> Iterator[str]:
    granted = _by_name(access)
    for name in access.units or ():
        _check_unit(name)
    yield f"# Made by `unitd broker-acl` for {PREFIX}: make it again, do not edit it. Mosquitto reads it at SIGHUP."
    if access.units is not None:
        yield "# Units, one by one: leaving one out shuts its certificate out."
        for name in dict.fromkeys(access.units):
            yield from ("", f"user {name}", f"topic write {PREFIX}/{name}/up/#", f"topic read {PREFIX}/{name}/down/#")
    else:
        yield "# Units: each certificate of the authority is the unit of its own name."
        yield f"pattern write {PREFIX}/%u/up/#"
        yield f"pattern read {PREFIX}/%u/down/#"
    for name, roles in granted.items():
        yield from ("", f"# {', '.join(roles)}", f"user {name}")
        yield f"topic deny {PREFIX}/{name}/#"  # or the pattern would make this person a unit
        yield f"topic read {UP}"
        for role in roles:
            if (topic := ROLES[role]) is not None:
                yield f"topic write {topic}"


def _by_name(access: Access) -> dict[str, list[str]]:
    granted: dict[str, list[str]] = {}
    for role, names in access.people.items():
        if role not in ROLES:
            raise AccessError(f"no such role: {role!r}; known: {', '.join(ROLES)}")
        for name in names:
            _check_person(name)
            if role not in granted.setdefault(name, []):
                granted[name].append(role)
    return granted


def _check_unit(name: str) -> None:
    if not UNIT_NAME.fullmatch(name):
        raise AccessError(f"{name!r} cannot be a unit: a-z, 0-9, _ and - only, 32 at most, as in `unit.id`")


def _check_person(name: str) -> None:
    if UNIT_NAME.fullmatch(name):
        raise AccessError(f"{name!r} could be a unit: a person or system is called like `ann@control-room`")
    if not PERSON_NAME.fullmatch(name) or len(name) > NAME_MAX:
        raise AccessError(
            f"{name!r} cannot be a person or system: like `ann@control-room`, letters, digits, . _ - and one @, "
            f"{NAME_MAX} at most"
        )
