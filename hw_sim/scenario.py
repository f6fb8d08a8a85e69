"""A scenario file: what to build, and a timeline of things to do and to expect. docs/scenarios.md is its description.

`load` turns a TOML file into structs, and every mistake into one line that names file, key, value seen and remedy.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from hw_sim.scenario_steps import Action, Expectation, Process

SHIPPED = Path(__file__).parent / "scenarios"


class ScenarioError(ValueError):
    """A scenario cannot be used. The message names file, key, value seen and remedy."""


class Parts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bench consists of; all of it unless said otherwise."""

    processes: tuple[Process, ...] = ("core", "field", "record", "call", "sense")
    control_room: bool = True
    camera: bool = True
    dome: bool = True
    modem: bool = True
    sound: bool = True
    operator: bool = True
    disk_mb: Annotated[int, Meta(ge=8, le=2048)] | None = None
    bad_disk: bool = False
    cold_clock: bool = False
    contact: Literal["no", "nc", "no+nc"] = "no"
    stretch_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    unit: dict[str, Any] = {}


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario, checked."""

    name: str
    title: str
    seed: int
    bench: Parts
    steps: tuple[Action | Expectation, ...]


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: str
    seed: int = 1
    bench: Parts = Parts()
    step: Annotated[list[dict[str, Any]], Meta(min_length=1)]


def shipped() -> dict[str, Path]:
    """The scenarios that come with the simulator, by name."""
    return {file.stem: file for file in sorted(SHIPPED.glob("*.toml"))}


def find(name_or_file: str) -> Path:
    """The file of a shipped scenario, or the path given. Raises ScenarioError with the nearest name."""
    known = shipped()
    if name_or_file in known:
        return known[name_or_file]
    path = Path(name_or_file)
    if path.suffix == ".toml" or path.exists():
        return path
    near = difflib.get_close_matches(name_or_file, known, n=1, cutoff=0.7)
    remedy = f"did you mean {near[0]!r}?" if near else "`hw-sim list` names them"
    raise ScenarioError(f"{name_or_file}: scenario: there is no such name; {remedy}")


def load(path: Path) -> Scenario:
    """Read one file. Raises ScenarioError, and nothing else."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScenarioError(f"{path}: file: there is no such file; `hw-sim list` names the shipped ones") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: file: cannot be read ({error}); check its owner and encoding") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: syntax: {error}; mend the TOML there") from None
    head = _convert(raw, _File, str(path), "")
    steps = tuple(_step(each, index, str(path)) for index, each in enumerate(head.step, 1))
    scenario = Scenario(name=path.stem, title=head.title, seed=head.seed, bench=head.bench, steps=steps)
    _cross_check(scenario, str(path))
    return scenario


def _step(raw: dict[str, Any], number: int, file: str) -> Action | Expectation:
    where = f"step {number}"
    tags = [tag for tag in ("do", "expect") if tag in raw]
    if len(tags) != 1:
        seen = "has both `do` and `expect`" if tags else "has neither `do` nor `expect`"
        raise ScenarioError(f"{file}: {where}: {seen}; a step is one or the other")
    tag = tags[0]
    union: Any = Action if tag == "do" else Expectation
    kinds = {str(kind.__struct_config__.tag): kind for kind in get_args(union)}
    kind = kinds.get(str(raw[tag]))
    if kind is None:
        near = difflib.get_close_matches(str(raw[tag]), kinds, n=1, cutoff=0.7)
        remedy = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(kinds)}"
        raise ScenarioError(f"{file}: {where}.{tag}: saw {raw[tag]!r}; {remedy}")
    step: Action | Expectation = _convert(raw, kind, file, where)
    return step


def _convert(raw: dict[str, Any], kind: Any, file: str, where: str) -> Any:
    try:
        return msgspec.convert(raw, kind, strict=False)
    except msgspec.ValidationError as error:
        what, _, at = str(error).partition(" - at `$")
        key = ".".join(part for part in (where, at.rstrip("`").lstrip(".")) if part)
        if unknown := re.search(r"unknown field `(.+?)`", what):
            fields = _fields(kind, at)
            near = difflib.get_close_matches(unknown[1], fields, n=1, cutoff=0.5)
            remedy = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(fields)}"
            key = f"{key}.{unknown[1]}" if key else unknown[1]
            raise ScenarioError(f"{file}: {key}: no such key; {remedy}") from None
        if missing := re.search(r"missing required field `(.+?)`", what):
            key = f"{key}.{missing[1]}" if key else missing[1]
            raise ScenarioError(f"{file}: {key}: missing; add it (docs/scenarios.md)") from None
        seen = _at(raw, at)
        raise ScenarioError(f"{file}: {key or '(top)'}: saw {seen!r}; {what[:1].lower()}{what[1:]}") from None


def _fields(kind: Any, at: str) -> list[str]:
    inner = Parts if "bench" in at else kind
    config = inner.__struct_config__
    return [*([config.tag_field] if config.tag_field else []), *inner.__struct_fields__]


def _at(raw: Any, at: str) -> Any:
    for name in re.findall(r"[^.\[\]`]+", at):
        try:
            raw = raw[int(name)] if name.isdigit() else raw[name]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _cross_check(scenario: Scenario, file: str) -> None:
    ids: set[str] = set()
    running = scenario.bench.processes
    for number, step in enumerate(scenario.steps, 1):
        where = f"{file}: step {number}"
        of, own = getattr(step, "of", ""), getattr(step, "id", "")
        if of and of not in ids:
            known = ", ".join(sorted(ids)) or "none yet"
            raise ScenarioError(f"{where}.of: saw {of!r}; name the id of an earlier action ({known})")
        if own and own in ids:
            raise ScenarioError(f"{where}.id: saw {own!r} twice; ids must differ")
        if own:
            ids.add(own)
        process = getattr(step, "process", None)
        if process is not None and process not in running:
            raise ScenarioError(f"{where}.process: saw {process!r}; add it to bench.processes")
        kind = str(step.__struct_config__.tag)
        if kind == "step_clock" and not scenario.bench.cold_clock:
            raise ScenarioError(f"{where}.do: saw 'step_clock'; it needs `cold_clock = true` under [bench]")
        if getattr(step, "what", None) == "disk" and scenario.bench.disk_mb is None and not scenario.bench.bad_disk:
            raise ScenarioError(f"{where}.what: saw 'disk'; give the bench a `disk_mb` or a `bad_disk` under [bench]")
        if not scenario.bench.control_room and scenario.bench.operator:
            raise ScenarioError(f"{file}: bench.operator: saw true; without a control room it has to be false")
        if not scenario.bench.operator and kind in ("operator", "operator_speaks", "operator_hears", "operator_sees"):
            raise ScenarioError(f"{where}: saw {kind!r}; it needs `operator = true` under [bench]")
