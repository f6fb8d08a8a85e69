"""The configuration of one unit: frozen structs with units in the names.

One TOML file, `unit.toml`, and on top of it, in order of name, every `unit.d/*.toml` beside it: tables merge, arrays
and values replace. Unknown keys are errors that name the nearest known one. config/unit.toml documents every key; a
test compares it with the defaults here. Contradictions between keys are in config_rules.py, the words of the errors
in config_words.py, the files in config_files.py.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from unitd.config_files import file_of, merged
from unitd.config_rules import contradictions
from unitd.config_words import first_problem
from unitd.errors import ConfigError

SCHEMA = 1
NONE_WORD = "none"
"""TOML cannot say "nothing": this word does, wherever a key or table may be absent (`yellow_pin = "none"`)."""

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Pin = Annotated[int, Meta(ge=0, le=53)]
Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=31_536_000)]
PositiveDays = Annotated[float, Meta(gt=0, le=36_500)]
PositiveGigabytes = Annotated[float, Meta(gt=0, le=100_000)]
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
    timezone: str = "Europe/London"


class PathsTable(_Table, frozen=True, kw_only=True):
    state_dir: str = "/var/lib/unitd"
    run_dir: str = "/run/unitd"
    evidence_dir: str = "/var/lib/unitd/evidence"


class ClockTable(_Table, frozen=True, kw_only=True):
    synchronized_file: str = "/run/systemd/timesync/synchronized"


class ButtonTable(_Table, frozen=True, kw_only=True):
    driver: Literal["gpiozero", "kernel"] = "gpiozero"
    chip: str = "auto"
    contact: Literal["no", "nc", "no+nc"] = "no"
    pin: Pin = 17
    nc_pin: Pin | None = None
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
    keepalive_s: Annotated[int, Meta(ge=5, le=600)] = 40


class EndpointTable(_Table, frozen=True, kw_only=True):
    """Where a call is offered; the first that answers is used."""

    name: Name
    kind: Literal["duplex", "whip_whep"] = "duplex"
    url: str
    whep_url: str | None = None
    token_file: str | None = None
    standing: bool = True
    ca_file: str = "/etc/unitd/tls/ca.pem"
    cert_file: str = "/etc/unitd/tls/unit.pem"
    key_file: str = "/etc/unitd/tls/unit.key"


class IceServerTable(_Table, frozen=True, kw_only=True):
    """A STUN or TURN server for the call, besides those that an endpoint names."""

    urls: tuple[str, ...]
    username: str = ""
    password_file: str | None = None


class CallTable(_Table, frozen=True, kw_only=True):
    """The live call: hosts that a control room may name, and the guard over its time."""

    hosts: tuple[str, ...] = ()
    warn_after_s: PositiveSeconds | None = 1800.0
    warn_before_close_s: PositiveSeconds = 300.0
    quick_answers: tuple[str, ...] = ("Yes", "No", "I am hurt", "Someone is following me", "Please be quiet")


class ControlRoomTable(_Table, frozen=True, kw_only=True):
    """Who is asked to answer, in order of preference; those on duty first."""

    name: Name
    brokers: tuple[Name, ...] = ()
    endpoints: tuple[Name, ...] = ()
    hours: tuple[str, ...] = ()


class DutyNumberTable(_Table, frozen=True, kw_only=True):
    """A telephone that gets a text message while an alarm is not received, or not answered."""

    name: Name
    number: str
    hours: tuple[str, ...] = ()


class EscalationTable(_Table, frozen=True, kw_only=True):
    """The two timetables: until an alarm is received, and until it is answered."""

    unreceived_ask_next_s: PositiveSeconds = 15.0
    unreceived_sms_s: PositiveSeconds = 30.0
    unanswered_ask_next_s: PositiveSeconds = 45.0
    unanswered_sms_s: PositiveSeconds = 90.0
    sms_again_s: PositiveSeconds = 300.0
    sms_longest_pause_s: PositiveSeconds = 3600.0


class TestAlarmTable(_Table, frozen=True, kw_only=True):
    """The periodic test alarm that the control room must answer."""

    every_s: PositiveSeconds | None = 259_200.0
    answer_within_s: PositiveSeconds = 900.0
    hours: tuple[str, ...] = ("daily 09:00-17:00",)


class CameraTable(_Table, frozen=True, kw_only=True):
    name: Name
    main_url: str
    sub_url: str | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    username: str | None = None
    password_file: str | None = None
    audio: bool = True
    budget_gb: PositiveGigabytes | None = None


class RingTable(_Table, frozen=True, kw_only=True):
    segment_s: Annotated[float, Meta(ge=2, le=60)] = 10.0
    fragment_ms: Annotated[int, Meta(ge=100, le=5000)] = 500
    high_watermark_percent: Percent = 90.0
    low_watermark_percent: Percent = 85.0
    sync_idle_s: PositiveSeconds = 10.0
    sync_incident_s: PositiveSeconds = 1.0
    retain_days: PositiveDays | None = 31.0
    incident_reserve_s: Seconds = 1800.0
    must_be_mounted: bool = False


class EvidenceTable(_Table, frozen=True, kw_only=True):
    """How footage proves itself, and when somebody should look at what is locked. The files' default place is
    `<state_dir>/signing`."""

    key_file: str | None = None
    cert_file: str | None = None
    checkpoint_every_s: PositiveSeconds = 3600.0
    review_days: PositiveDays = 31.0
    hoax_review_days: PositiveDays = 7.0
    audio: bool = True
    stills: bool = True


class IncidentTable(_Table, frozen=True, kw_only=True):
    pre_roll_s: Seconds = 60.0
    post_roll_s: Seconds = 30.0
    still_trying_after_s: PositiveSeconds = 60.0
    close_after_s: PositiveSeconds | None = 14_400.0


class HeartbeatTable(_Table, frozen=True, kw_only=True):
    period_s: PositiveSeconds = 30.0
    silent_after_s: PositiveSeconds = 90.0


Preset = Annotated[int, Meta(ge=1, le=255)]


class DomeTable(_Table, frozen=True, kw_only=True):
    port: str
    protocol: Literal["pelco-d"] = "pelco-d"
    address: Annotated[int, Meta(ge=1, le=255)] = 1
    baud: Literal[2400, 4800, 9600, 19200] = 2400
    panel_preset: Preset = 1
    presets: tuple[Preset, ...] = (1, 2, 3, 4)
    move_limit_s: Annotated[float, Meta(gt=0, le=10)] = 2.0


class ModemTable(_Table, frozen=True, kw_only=True):
    port: str
    poll_s: PositiveSeconds = 10.0
    answer_timeout_s: PositiveSeconds = 3.0


class SoundTable(_Table, frozen=True, kw_only=True):
    input: str = "mic"
    output: str = "horn"
    language: Annotated[str, Meta(pattern=r"^[a-z]{2}$")] = "en"
    more_languages: tuple[Annotated[str, Meta(pattern=r"^[a-z]{2}$")], ...] = ()
    site_dir: str = "/etc/unitd/sounds"
    canceller: bool = True
    horn_full_dba: Annotated[float, Meta(ge=60, le=130)] = 100.0
    mic_full_dba: Annotated[float, Meta(ge=80, le=150)] = 115.0
    ceiling_dba: Annotated[float, Meta(ge=50, le=130)] = 90.0
    talk_dba: Annotated[float, Meta(ge=50, le=130)] = 80.0
    quiet_dba: Annotated[float, Meta(ge=30, le=130)] = 55.0


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
    ice_servers: tuple[IceServerTable, ...] = ()
    call: CallTable = field(default_factory=CallTable)
    control_rooms: tuple[ControlRoomTable, ...] = ()
    duty_numbers: tuple[DutyNumberTable, ...] = ()
    escalation: EscalationTable = EscalationTable()
    test_alarm: TestAlarmTable = TestAlarmTable()
    cameras: tuple[CameraTable, ...] = ()
    ring: RingTable = RingTable()
    evidence: EvidenceTable = EvidenceTable()
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
    return load_with_origin(path)[0]


def load_with_origin(path: Path) -> tuple[Config, dict[str, str]]:
    """As `load`, and for each key that a file sets (`ring.segment_s`, `brokers`) the file that set it last."""
    tables, origin = merged(path)
    return _checked(tables, origin, str(path)), origin


def as_builtins(config: Config) -> dict[str, Any]:
    """The merged configuration as plain tables, as `show-config` prints it and a TOML writer takes it."""
    built: dict[str, Any] = msgspec.to_builtins(config)
    return built


def _checked(raw: dict[str, Any], origin: dict[str, str], file: str) -> Config:
    if type(raw.get("schema")) is not int or raw["schema"] != SCHEMA:
        seen = f"saw {raw['schema']!r}"[:80] if "schema" in raw else "missing"
        raise ConfigError(origin.get("schema", file), "schema", seen, f"write `schema = {SCHEMA}` at the top")
    raw = _without_none_words(raw, Config)
    try:
        config = msgspec.convert(raw, Config)
    except (msgspec.ValidationError, ValueError, OverflowError, RecursionError) as error:
        key, seen, remedy = first_problem(raw, Config) or ("(top)", type(error).__name__, str(error))
        raise ConfigError(file_of(key, origin, file), key, seen, remedy) from None
    for key, number in _numbers(msgspec.to_builtins(config)):
        if not math.isfinite(number):
            raise ConfigError(file_of(key, origin, file), key, f"saw {number}", "write an ordinary number")
    for key, seen, remedy in contradictions(config):
        raise ConfigError(file_of(key, origin, file), key, seen, remedy)
    return config


def _without_none_words(raw: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """`raw` with the word "none" replaced by None where the struct allows it; one level of tables and arrays down."""
    fields = {item.name: item.type for item in msgspec.structs.fields(kind)}
    out: dict[str, Any] = {}
    for name, value in raw.items():
        args = getattr(fields.get(name), "__args__", ())
        inner = [fields.get(name), *args]
        table = next((k for k in inner if isinstance(k, type) and issubclass(k, msgspec.Struct)), None)
        if value == NONE_WORD and type(None) in args:
            out[name] = None
        elif table is not None and isinstance(value, dict):
            out[name] = _without_none_words(value, table)
        elif table is not None and isinstance(value, list):
            out[name] = [_without_none_words(item, table) if isinstance(item, dict) else item for item in value]
        else:
            out[name] = value
    return out


def _numbers(tables: Any, at: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(tables, dict):
        for key, value in tables.items():
            yield from _numbers(value, f"{at}.{key}" if at else key)
    elif isinstance(tables, list | tuple):
        for index, value in enumerate(tables):
            yield from _numbers(value, f"{at}[{index}]")
    elif isinstance(tables, float):
        yield at, tables
