"""What was typed and said in an incident goes with its export, for people to read; what counts is the chain."""

from pathlib import Path
from typing import Any

from tests.unit.evidence.export_rig import INCIDENT, Unit, core_of, manifest_of
from tests.unit.record.samples import FPS
from unitd.evidence.manifest import CONVERSATION
from unitd.evidence.verify import verify

OTHER = "22222222-2222-4222-8222-222222222222"


def unit_with_a_call(base: Path) -> Unit:
    unit = Unit(base)
    unit.segment("panel", 100, first=0)
    unit.segment("panel", 102, first=2 * FPS)
    unit.lock(100.0, 104.0)
    return unit


def line(unit: Unit, kind: str, incident_id: str | None = INCIDENT, **fields: Any) -> None:
    unit.core_chain.append(kind, 1, incident_id=incident_id, mono_ns=101_000_000_000, **fields)


def test_the_conversation_is_a_file_for_people(tmp_path: Path) -> None:
    unit = unit_with_a_call(tmp_path)
    line(unit, "call", event="text", **{"from": "caller"}, by="", words="he has a knife\u202e\nIncident: none")
    line(unit, "command", result="done", cmd="send_text", by="Ann", detail='{"text":"I can see you."}')
    line(unit, "command", result="refused", cmd="send_text", by="Bob", detail='{"text":"not sent"}')
    line(unit, "call", event="spoken", words="Stay back.", language="en")
    line(unit, "call", OTHER, event="text", words="another caller", by="")
    line(unit, "command", result="done", cmd="close", by="Ann", detail='{"outcome":"genuine","note":"police there"}')
    line(unit, "command", result="done", cmd="close", by="Ann", detail="[[[[")
    with core_of(unit):
        unit.export(tmp_path / "out")
    text = (tmp_path / "out" / CONVERSATION).read_text()
    said = [each.partition("  ")[2] for each in text.splitlines()[2:]]
    assert said == [
        "caller: he has a knife Incident: none",
        "operator Ann: I can see you.",
        "loudspeaker said (en): Stay back.",
        "operator Ann closed it as genuine: police there",
    ]
    [listed] = [each for each in manifest_of(tmp_path / "out").files if each.path == CONVERSATION]
    assert listed.kind == "readme"
    assert CONVERSATION in (tmp_path / "out" / "README.txt").read_text()
    report = verify(tmp_path / "out")
    assert report.error == ""
    assert CONVERSATION not in [each.file for each in report.tampered]
    (tmp_path / "out" / CONVERSATION).write_text(text.replace("knife", "spoon"))
    assert CONVERSATION in [each.file for each in verify(tmp_path / "out").tampered]


def test_where_nothing_was_said_there_is_no_such_file(tmp_path: Path) -> None:
    unit = unit_with_a_call(tmp_path)
    unit.export(tmp_path / "out")
    assert not (tmp_path / "out" / CONVERSATION).exists()
    assert CONVERSATION not in (tmp_path / "out" / "README.txt").read_text()
    (tmp_path / "out" / CONVERSATION).write_text("caller: all is well\n")
    assert CONVERSATION in [each.file for each in verify(tmp_path / "out").tampered]
