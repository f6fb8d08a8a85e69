"""The control room's book of incidents: what it holds durably before it says `received`.

One SQLite file, `synchronous=FULL`: when a call returns, the entry survives a power cut (as far as the disk obeys a
flush). All calls block on disk and must come from one thread; `Hub` keeps a thread for them.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from unitd.messages.control_room import Alarm, ClockQuality, Kind, Origin, Outcome, Site, Stage

_TABLES = """
CREATE TABLE IF NOT EXISTS alarms (press_id TEXT PRIMARY KEY, incident_id TEXT, utc_us INTEGER, payload BLOB);
CREATE TABLE IF NOT EXISTS incidents (incident_id TEXT PRIMARY KEY, utc_us INTEGER, record BLOB);
CREATE TABLE IF NOT EXISTS sequences (unit TEXT, session INTEGER, seq INTEGER, PRIMARY KEY (unit, session));
"""


class Clip(msgspec.Struct, kw_only=True):
    """The footage of one incident on its way here. `state`: none, ordered, arriving, ready."""

    state: str = "none"
    token: str = ""
    orders: int = 0
    size_bytes: int = 0
    sha256: str = ""
    error: str = ""


class Sound(msgspec.Struct, frozen=True, kw_only=True):
    """What the operators have set of the call's sound, as the command `set_sound` has it."""

    mute_microphone: bool = False
    mute_horn: bool = False
    quiet: bool = False


class Incident(msgspec.Struct, kw_only=True):
    """One incident as the control room knows it. `received_utc_us` is this computer's clock, which is kept right;
    `pressed_utc_us` is the unit's, as good as `clock` says, or what it was corrected to. `press_here_utc_us` is the
    press by this computer's clock, right whatever the unit's says: what the alarm waited in the unit is taken off."""

    incident_id: str
    unit: str
    kind: Kind
    received_utc_us: int
    code: str = ""
    site: Site | None = None
    clock: ClockQuality = "unknown"
    pressed_utc_us: int = 0
    press_here_utc_us: int = 0
    pressed_mono_ns: int = 0
    presses: int = 1
    origin: Origin = "press"
    isolated: bool = False
    asked: tuple[str, ...] = ()
    recent_incidents: int = 0
    recent_hoaxes: int = 0
    stage: Stage = "received"
    listed: bool = False
    accepted_by: str = ""
    accepted_utc_us: int = 0
    answered_by: str = ""
    answered_utc_us: int = 0
    closed_by: str = ""
    closed_utc_us: int = 0
    outcome: Outcome | None = None
    note: str = ""
    over: bool = False
    sound: Sound = Sound()
    time_warning: dict[str, Any] | None = None
    handed_to: str = ""
    handed_by: str = ""
    clip: Clip = msgspec.field(default_factory=Clip)

    @property
    def is_open(self) -> bool:
        return self.stage not in ("closing", "closed")


def now_utc_us() -> int:
    return time.time_ns() // 1000


class Book:
    """See the module. Raises sqlite3.Error when the disk refuses; then the caller must not say `received`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_TABLES)

    def incidents(self) -> list[Incident]:
        """All incidents, oldest first."""
        rows = self._db.execute("SELECT record FROM incidents ORDER BY utc_us").fetchall()
        return [msgspec.json.decode(row[0], type=Incident) for row in rows]

    def write_alarms(self, entries: Sequence[tuple[Alarm, Incident]]) -> int:
        """Store presses and their incidents in one transaction, all or none; how many were not here already."""
        with self._transaction():
            return sum(self._put_alarm(alarm, incident) for alarm, incident in entries)

    def write_incidents(self, incidents: Sequence[Incident]) -> None:
        """All or none."""
        with self._transaction():
            for incident in incidents:
                self._put(incident)

    def write_incident(self, incident: Incident) -> None:
        self._put(incident)

    def next_seq(self, unit: str, session: int) -> int:
        """The next command number for a unit's session, from 1: never used twice, not even by a restarted hub."""
        row = self._db.execute(
            "INSERT INTO sequences VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET seq = seq + 1 RETURNING seq",
            (unit, session),
        ).fetchone()
        return int(row[0])

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _put_alarm(self, alarm: Alarm, incident: Incident) -> int:
        done = self._db.execute(
            "INSERT OR IGNORE INTO alarms VALUES (?, ?, ?, ?)",
            (alarm.press_id, alarm.incident_id, now_utc_us(), msgspec.json.encode(alarm)),
        )
        self._put(incident)
        return done.rowcount

    def _put(self, incident: Incident) -> None:
        self._db.execute(
            "INSERT INTO incidents VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET record = excluded.record",
            (incident.incident_id, incident.received_utc_us, msgspec.json.encode(incident)),
        )
