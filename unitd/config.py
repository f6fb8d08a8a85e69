"""The configuration of one unit: frozen structs with units in the names.

One TOML file, `unit.toml`, and on top of it, in order of name, every `unit.d/*.toml` beside it: tables merge, arrays
and values replace. Unknown keys are errors that name the nearest known one. config/unit.toml documents every key; a
test compares it with the defaults here.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from unitd.errors import ConfigError

SCHEMA = 1

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Pin = Annotated[int, Meta(ge=0, le=53)]
Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=31_536_000)]
Percent = Annotated[float, Meta(gt=0, lt=100)]
Port = Annotated[int, Meta(ge=1, le=65535)]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file: frozen, and strict about its keys."""


class UnitTable(_Table, frozen=True, kw_only=True):
    id: Name = "pole-0001"


class SiteTable(_Table, frozen=True, kw_only=True):
    """What a responder needs to find the pole; sent with every alarm."""

    name: str = "Help point"
    address: str = ""
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    approach: str = ""
    revision: int = 1


class PathsTable(_Table, frozen=True, kw_only=True):
    state_dir: str = "/var/lib/unitd"
    run_dir: str = "/run/unitd"
    evidence_dir: str = "/var/lib/unitd/evidence"


class ClockTable(_Table, frozen=True, kw_only=True):
    synchronized_file: str = "/run/systemd/timesync/synchronized"


class ButtonTable(_Table, frozen=True, kw_only=True):
    pin: Pin = 17
    closed_level: Literal["low", "high"] = "low"
    stuck_after_s: PositiveSeconds = 30.0


class LampsTable(_Table, frozen=True, kw_only=True):
    yellow_pin: Pin | None = 22
    green_pin: Pin | None = 23
    locator_pin: Pin | None = 24


class SounderTable(_Table, frozen=True, kw_only=True):
    pin: Pin | None = 25


class BrokerTable(_Table, frozen=True, kw_only=True):
    name: Name
    host: str
    port: Port = 8883
    ca_file: str = "/etc/unitd/tls/ca.pem"
    cert_file: str = "/etc/unitd/tls/unit.pem"
    key_file: str = "/etc/unitd/tls/unit.key"
    keepalive_s: Annotated[int, Meta(ge=5, le=600)] = 30


class EndpointTable(_Table, frozen=True, kw_only=True):
    """Where a call is offered; the first that answers is used."""

    name: Name
    kind: Literal["duplex"] = "duplex"
    url: str
    ca_file: str = "/etc/unitd/tls/ca.pem"
    cert_file: str = "/etc/unitd/tls/unit.pem"
    key_file: str = "/etc/unitd/tls/unit.key"


class CameraTable(_Table, frozen=True, kw_only=True):
    name: Name
    main_url: str
    sub_url: str | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    username: str | None = None
    password_file: str | None = None


class RingTable(_Table, frozen=True, kw_only=True):
    segment_s: Annotated[float, Meta(ge=2, le=60)] = 10.0
    fragment_ms: Annotated[int, Meta(ge=100, le=5000)] = 500
    high_watermark_percent: Percent = 90.0
    low_watermark_percent: Percent = 85.0
    sync_idle_s: PositiveSeconds = 10.0
    sync_incident_s: PositiveSeconds = 1.0


class IncidentTable(_Table, frozen=True, kw_only=True):
    pre_roll_s: Seconds = 60.0
    post_roll_s: Seconds = 30.0
    still_trying_after_s: PositiveSeconds = 60.0


class HeartbeatTable(_Table, frozen=True, kw_only=True):
    period_s: PositiveSeconds = 30.0
    silent_after_s: PositiveSeconds = 90.0


class DomeTable(_Table, frozen=True, kw_only=True):
    port: str
    protocol: Literal["pelco-d"] = "pelco-d"
    address: Annotated[int, Meta(ge=1, le=255)] = 1
    baud: Literal[2400, 4800, 9600, 19200] = 2400
    panel_preset: Annotated[int, Meta(ge=1, le=255)] = 1
    move_limit_s: Annotated[float, Meta(gt=0, le=10)] = 2.0


class ModemTable(_Table, frozen=True, kw_only=True):
    port: str
    poll_s: PositiveSeconds = 10.0
    answer_timeout_s: PositiveSeconds = 3.0


class SoundTable(_Table, frozen=True, kw_only=True):
    input: str = "mic"
    output: str = "horn"
    language: Annotated[str, Meta(pattern=r"^[a-z]{2}$")] = "en"


class MotionTable(_Table, frozen=True, kw_only=True):
    camera: Name
    area_percent: Percent = 1.0
    hold_off_s: Seconds = 10.0


class UploadTable(_Table, frozen=True, kw_only=True):
    hosts: tuple[str, ...] = ()
    ca_file: str = "/etc/unitd/tls/ca.pem"
    cert_file: str = "/etc/unitd/tls/unit.pem"
    key_file: str = "/etc/unitd/tls/unit.key"


class LogTable(_Table, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(_Table, frozen=True, kw_only=True):
    """The whole unit. Optional tables (`dome`, `modem`, `sound`, `motion`) are absent when the part is not fitted."""

    schema: Literal[1]
    unit: UnitTable = UnitTable()
    site: SiteTable = SiteTable()
    paths: PathsTable = PathsTable()
    clock: ClockTable = ClockTable()
    button: ButtonTable = ButtonTable()
    lamps: LampsTable = LampsTable()
    sounder: SounderTable = SounderTable()
    brokers: tuple[BrokerTable, ...] = ()
    endpoints: tuple[EndpointTable, ...] = ()
    cameras: tuple[CameraTable, ...] = ()
    ring: RingTable = RingTable()
    incident: IncidentTable = IncidentTable()
    heartbeat: HeartbeatTable = HeartbeatTable()
    dome: DomeTable | None = None
    modem: ModemTable | None = None
    sound: SoundTable | None = None
    motion: MotionTable | None = None
    upload: UploadTable = field(default_factory=UploadTable)
    log: LogTable = LogTable()


def load(path: Path) -> Config:
    """Read `path` and its `unit.d/*.toml` and return the merged, checked configuration.

    Raises ConfigError, and nothing else, with one line that names file, key, value seen and remedy. Blocks on disk.
    """
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for file in [path, *sorted(path.with_suffix(".d").glob("*.toml"))]:
        _merge(merged, _read(file), origin, str(file))
    return _checked(merged, origin, str(path))


def as_builtins(config: Config) -> dict[str, Any]:
    """The merged configuration as plain tables, as `show-config` prints it and a TOML writer takes it."""
    built: dict[str, Any] = msgspec.to_builtins(config)
    return built


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(str(file), "file", "there is no such file", "name a TOML file with --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), "file", f"cannot be read ({error})", "check its owner and encoding") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(file), "syntax", str(error), "mend the TOML at that line") from None


def _merge(into: dict[str, Any], table: dict[str, Any], origin: dict[str, str], file: str, at: str = "") -> None:
    for key, value in table.items():
        here = f"{at}.{key}" if at else key
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value, origin, file, here)
        else:
            into[key] = value
            origin[here] = file


def _checked(raw: dict[str, Any], origin: dict[str, str], file: str) -> Config:
    if raw.get("schema") != SCHEMA:
        seen = repr(raw["schema"]) if "schema" in raw else "missing"
        raise ConfigError(origin.get("schema", file), "schema", seen, f"write `schema = {SCHEMA}` at the top")
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise _explained(str(error), raw, origin, file) from None
    for key, seen, remedy in _cross_checks(config):
        raise ConfigError(_file_of(key, origin, file), key, seen, remedy)
    return config


def _file_of(key: str, origin: dict[str, str], file: str) -> str:
    while key:
        if key in origin:
            return origin[key]
        key = re.sub(r"(\[\d+\]|\.?[^.\[\]]+)$", "", key)
    return file


def _explained(text: str, raw: dict[str, Any], origin: dict[str, str], file: str) -> ConfigError:
    """Turn msgspec's sentence into file, key, value seen and remedy."""
    what, _, where = text.partition(" - at `$")
    path = where.rstrip("`").lstrip(".").replace("[...]", "")
    if unknown := re.search(r"unknown field `(.+?)`", what):
        key = f"{path}.{unknown[1]}" if path else unknown[1]
        near = difflib.get_close_matches(unknown[1], _known_keys(path), n=1, cutoff=0.5)
        remedy = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(_known_keys(path))}"
        return ConfigError(_file_of(key, origin, file), key, "no such key", remedy)
    if missing := re.search(r"missing required field `(.+?)`", what):
        key = f"{path}.{missing[1]}" if path else missing[1]
        return ConfigError(_file_of(key, origin, file), key, "missing", "add it; config/unit.toml shows an example")
    seen = f"saw {_at(raw, path)!r}"
    return ConfigError(_file_of(path, origin, file), path or "(top)", seen, what[:1].lower() + what[1:])


def _steps(path: str) -> Iterator[str | int]:
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        yield int(index) if index else name


def _at(raw: Any, path: str) -> Any:
    for step in _steps(path):
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _known_keys(path: str) -> list[str]:
    """The keys that the table at `path` may have."""
    kind: Any = Config
    for step in _steps(path):
        if isinstance(step, int):
            continue
        hint = next((f.type for f in msgspec.structs.fields(kind) if f.name == step), None)
        inner = [hint, *getattr(hint, "__args__", ())]
        kind = next((k for k in inner if isinstance(k, type) and issubclass(k, msgspec.Struct)), None)
        if kind is None:
            return []
    return [f.name for f in msgspec.structs.fields(kind)]


def _cross_checks(c: Config) -> Iterator[tuple[str, str, str]]:
    """Yield (key, value seen, remedy) for each contradiction between keys that are each well-formed."""
    pins = {
        "button.pin": c.button.pin,
        "lamps.yellow_pin": c.lamps.yellow_pin,
        "lamps.green_pin": c.lamps.green_pin,
        "lamps.locator_pin": c.lamps.locator_pin,
        "sounder.pin": c.sounder.pin,
    }
    owners: dict[int, str] = {}
    for key, pin in pins.items():
        if pin is not None and pin in owners:
            yield key, f"saw {pin}, which {owners[pin]} uses too", "give each its own pin"
        elif pin is not None:
            owners[pin] = key
    for table in ("brokers", "endpoints", "cameras"):
        names = [entry.name for entry in getattr(c, table)]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield f"{table}[{index}].name", f"saw {name!r} twice", "names must differ within a table"
    for index, endpoint in enumerate(c.endpoints):
        if not endpoint.url.startswith("wss://"):
            yield f"endpoints[{index}].url", f"saw {endpoint.url!r}", "a duplex endpoint's URL starts with wss://"
    for index, camera in enumerate(c.cameras):
        for key in ("main_url", "sub_url"):
            url = getattr(camera, key)
            if url is not None and not url.startswith("rtsp://"):
                yield f"cameras[{index}].{key}", f"saw {url!r}", "a camera's URL starts with rtsp://"
        if camera.password_file is not None and camera.username is None:
            yield f"cameras[{index}].username", "missing", "a password_file needs a username too"
    if c.motion is not None and c.motion.camera not in [camera.name for camera in c.cameras]:
        known = ", ".join(camera.name for camera in c.cameras) or "none is configured"
        yield "motion.camera", f"saw {c.motion.camera!r}", f"name one of the cameras ({known})"
    if c.ring.low_watermark_percent >= c.ring.high_watermark_percent:
        yield (
            "ring.low_watermark_percent",
            f"saw {c.ring.low_watermark_percent:g}",
            f"it must be below high_watermark_percent ({c.ring.high_watermark_percent:g})",
        )
    if c.ring.fragment_ms > c.ring.segment_s * 1000:
        yield "ring.fragment_ms", f"saw {c.ring.fragment_ms}", "a fragment cannot be longer than a segment"
    if c.heartbeat.silent_after_s <= c.heartbeat.period_s:
        yield "heartbeat.silent_after_s", f"saw {c.heartbeat.silent_after_s:g}", "it must exceed heartbeat.period_s"
