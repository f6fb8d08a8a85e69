"""`unitd locks`, `release` and `close` without core: what is listed, and what is said when nobody answers."""

import json
import time
from pathlib import Path

import msgspec
import pytest
from pytest_mock import MockerFixture

from unitd.config import Config
from unitd.errors import StoreError, UnitdError
from unitd.store.chain import Chain
from unitd.store.locks import Lock
from unitd.tools.locks import close, locks, release

INCIDENT = "11111111-1111-4111-8111-111111111111"
DAY_US = 86_400_000_000


def _config(base: Path) -> Config:
    (base / "state").mkdir(exist_ok=True)
    paths = {"state_dir": str(base / "state"), "run_dir": str(base / "run")}
    return msgspec.convert({"schema": 1, "paths": paths}, Config)


def _lock(base: Path, incident_id: str = INCIDENT, **changed: object) -> None:
    raised_us = 1_795_000_000_000_000
    fields = {"from_boot": 3, "from_mono_ns": 5, "raised_utc_us": raised_us, "clock": "synced", "kind": "panic"}
    lock = msgspec.convert({"incident_id": incident_id, **fields, **changed}, Lock)
    (base / "state" / "locks").mkdir(parents=True, exist_ok=True)
    (base / "state" / "locks" / f"{incident_id}.json").write_bytes(msgspec.json.encode(lock))


def test_what_is_kept_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = _config(tmp_path)
    now_us = time.time_ns() // 1000
    assert locks(config) == 0
    assert "nothing is kept" in capsys.readouterr().out
    ended = {"to_boot": 3, "to_mono_ns": 9}
    _lock(tmp_path)
    _lock(tmp_path, INCIDENT.replace("1", "2"), **ended, outcome="hoax", review_utc_us=now_us - DAY_US, from_boot=4)
    _lock(tmp_path, INCIDENT.replace("1", "3"), **ended, outcome="genuine", review_utc_us=now_us + DAY_US, from_boot=5)
    _lock(tmp_path, INCIDENT.replace("1", "4"), **ended, outcome="unknown", clock="unknown", from_boot=6)
    assert locks(config) == 0
    open_one, hoax, genuine, unknown, total = capsys.readouterr().out.splitlines()
    assert "2026-11-18 11:06:40 UTC" in open_one and "panic, open, being recorded" in open_one
    assert "hoax, was to be looked at by" in hoax
    assert "genuine, to be looked at by" in genuine
    assert "(clock not set)" in unknown and "date not known" in unknown
    assert total.startswith("4 kept, 1 of them hoaxes, 1 to be looked at now")
    assert locks(config, as_json=True) == 0
    rows = json.loads(capsys.readouterr().out)["locks"]
    assert [(row["open"], row["review_due"]) for row in rows] == [
        (True, False), (False, True), (False, False), (False, False),
    ]  # fmt: skip


def test_a_time_that_was_found_out_later_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = _config(tmp_path)
    _lock(tmp_path, clock="unknown", raised_utc_us=7)
    chain = Chain(tmp_path / "state" / "core.chain")
    chain.append("clock", 3, true_offset_us=1_795_000_000_000_000)
    chain.close()
    locks(config)
    assert "2026-11-18 11:06:40 UTC  panic" in capsys.readouterr().out


def test_a_lock_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = _config(tmp_path)
    _lock(tmp_path)
    (tmp_path / "state" / "locks" / f"{INCIDENT}.json").write_bytes(b"damage")
    assert locks(config) == 1
    assert f"keeps everything: {INCIDENT}.json" in capsys.readouterr().out
    with pytest.raises(UnitdError, match="core does not answer"):  # it can be released by its name
        release(config, INCIDENT, "Ann", "damage")


def test_what_is_missing_is_said_before_core_is_asked(tmp_path: Path) -> None:
    config = _config(tmp_path)
    for by, reason in (("", "looked at"), ("Ann", ""), ("Ann", "ok")):
        with pytest.raises(StoreError, match="--by needs a name, and --reason three letters"):
            release(config, INCIDENT, by, reason)
    with pytest.raises(StoreError, match="no incident 'abc' is kept here"):
        release(config, "abc", "Ann", "looked at")
    _lock(tmp_path)
    with pytest.raises(UnitdError, match="is it running"):
        release(config, INCIDENT[:4], "Ann", "looked at")
    with pytest.raises(UnitdError, match="is it running"):
        close(config, INCIDENT[:4], "Ann", "hoax", "")
    with pytest.raises(StoreError, match="no incident"):
        close(config, "../../etc/passwd", "Ann", "hoax", "")


def test_who_may_not_look_is_told_so_and_not_that_nothing_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mocker: MockerFixture
) -> None:
    config = _config(tmp_path)
    _lock(tmp_path)
    refused = PermissionError(13, "Permission denied")
    mocker.patch("unitd.store.locks.os.scandir", side_effect=refused)
    mocker.patch.object(Path, "stat", side_effect=refused)
    with pytest.raises(StoreError, match="Permission denied; run it with sudo"):
        release(config, INCIDENT, "Ann", "looked at")
    with pytest.raises(StoreError, match="run it with sudo"):
        close(config, INCIDENT, "Ann", "hoax", "")
    mocker.stopall()
    mocker.patch("unitd.store.locks.os.scandir", side_effect=refused)
    assert locks(config) == 1
    said = capsys.readouterr().out
    assert "run it with sudo" in said and "nothing is kept" not in said
