"""Small parts of the bench: the pole's configuration, the followed logs, the page's words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hw_sim.devices.disk import can_mount, enter_namespace
from hw_sim.faults import Faults
from hw_sim.logtail import LogTail
from hw_sim.pki import Credentials
from hw_sim.pole_view import PoleView
from hw_sim.scenario_report import CHAIN, Report, StepResult
from hw_sim.unit_config import Places, Wiring, unit_config, write_config
from hw_sim.world.network import Link
from unitd.config import load

FILES = Credentials(Path("/pki/ca.pem"), Path("/pki/unit.pem"), Path("/pki/unit.key"))


def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "state", tmp_path / "run", tmp_path / "state/evidence", tmp_path / "synchronized")


def test_the_poles_configuration_is_one_the_daemon_takes(tmp_path: Path) -> None:
    wiring = Wiring(
        credentials=FILES,
        broker_ports=(1883,),
        duplex_port=443,
        camera_urls={"main": "rtsp://127.0.0.1:5/main", "sub": "rtsp://127.0.0.1:5/sub"},
        dome_port=Path("/dev/pts/1"),
        modem_port=Path("/dev/pts/2"),
        sound=("mic", "horn"),
    )
    changes = {"incident": {"post_roll_s": 2.0}, "ring": {"segment_s": 4.0}}
    file = tmp_path / "config" / "unit.toml"
    write_config(file, unit_config("pole-0007", places(tmp_path), wiring, changes))
    config = load(file)
    assert config.unit.id == "pole-0007"
    assert config.incident.post_roll_s == 2.0
    assert config.ring.segment_s == 4.0
    assert config.endpoints[0].url == "wss://127.0.0.1:443/duplex/pole-0007"
    assert config.motion is not None


def test_a_pole_with_nothing_fitted_is_one_too(tmp_path: Path) -> None:
    file = tmp_path / "unit.toml"
    write_config(file, unit_config("pole-1", places(tmp_path), Wiring(credentials=FILES), {}))
    config = load(file)
    assert (config.brokers, config.cameras, config.dome, config.modem, config.sound) == ((), (), None, None, None)


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def test_logs_are_followed_across_halves_of_lines(tmp_path: Path) -> None:
    log = tmp_path / "core.jsonl"
    tail = LogTail({"core": log})
    tail.look()
    text = line(event="chain", step="edge", incident="i", at_mono_ns=7) + b"not JSON\n" + line(event="armed")
    with log.open("ab", buffering=0) as out:
        out.write(text[:20])
        tail.look()
        assert tail.entries == []
        out.write(text[20:])
        tail.look()
    assert [entry.event for entry in tail.entries] == ["chain", "armed"]
    assert tail.malformed == 1
    assert [step.at_mono_ns for step in tail.steps("edge")] == [7]
    assert tail.steps("edge", since_ns=8) == []


def bench(tmp_path: Path) -> Any:
    """As much of a bench as faults and the page look at: a pole with nothing but its link."""
    parts = dict.fromkeys(("camera", "modem", "broker", "disk", "bad_disk", "sound", "horn"))
    tail = LogTail({"core": tmp_path / "core.jsonl"})
    options = SimpleNamespace(processes=("core",), contact="no", stretch_s=2.0)
    made = SimpleNamespace(**parts, link=Link(), options=options, tail=tail, unit_id="pole-1", daemons={})
    made.faults = Faults(made)
    return made


def test_faults_say_what_is_not_there_and_refuse_nonsense(tmp_path: Path) -> None:
    async def run() -> None:
        faults = bench(tmp_path).faults
        switches = {switch.name: switch for switch in faults.switches()}
        assert switches["disk"].choices == ()
        assert "mount namespace" in switches["disk"].expect
        assert switches["kill"].momentary
        for name, value, said in [
            ("disk", "full", "mount namespace"),
            ("link", "gone", "it can be cut, slow, no_stream, off"),
            ("lnk", "cut", "there are button, camera, link"),
        ]:
            with pytest.raises(ValueError, match=said):
                await faults.set(name, value)
        await faults.set("link", "cut")
        assert faults.state("link") == "cut"
        await faults.set("link", "off")
        assert faults.state("link") == "off"

    asyncio.run(run())


def test_the_page_gets_log_lines_in_words(tmp_path: Path) -> None:
    async def run() -> None:
        made = bench(tmp_path)
        view = PoleView(made)
        (tmp_path / "core.jsonl").write_bytes(
            line(event="armed", level="info", session=3, timestamp="2026-11-22T00:00:00Z")
            + line(event="chain", step="received", incident="abcdef12", at_mono_ns=1)
        )
        made.tail.look()
        first, second = view.log_after(0)
        assert (first.text, first.source, first.utc_us) == ("armed session=3", "core", 1795305600000000)
        assert second.text == "received (incident abcdef)"
        assert view.log_after(first.number) == [second]
        assert view.horn_words() is None

    asyncio.run(run())


def test_a_report_has_every_step_of_the_chain() -> None:
    report = Report(scenario="x", title="t", seed=1)
    report.steps.append(StepResult(1, "press", 0.0, ok=True))
    plain = json.loads(report.as_json())
    assert list(plain["chain_ms"]) == list(CHAIN)
    assert plain["steps"][0]["text"] == "press"


def test_fail__where_namespaces_are_refused_it_is_said_plainly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HW_SIM_NAMESPACE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "unshare" in (enter_namespace(["true"]) or "")
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    assert enter_namespace(["true"]) == "this system refuses a mount namespace: Operation not permitted"
    assert not can_mount()


def test_ok__inside_a_namespace_nothing_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HW_SIM_NAMESPACE", "1")
    assert enter_namespace(["false"]) is None
    assert can_mount()
