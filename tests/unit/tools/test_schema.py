"""`unitd schema`: complete, consistent, and what is committed is what the structs say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from unitd.__main__ import main
from unitd.messages import control_room as wire
from unitd.tools import schema
from unitd.tools.api import CHANNELS
from unitd.tools.field_tables import table, with_tables

ROOT = Path(__file__).resolve().parents[3]


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _resolve(document: Any, reference: str) -> Any:
    assert reference.startswith("#/")
    for part in reference[2:].split("/"):
        document = document[part]
    return document


def test_what_is_committed_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["schema", "--check"])
    assert status == 0, capsys.readouterr().err


def test_stale_and_stray_files_are_found_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    guide = docs / "control-room-api.md"
    guide.write_text("# Guide\n<!-- fields: Beat -->\nold\n<!-- end -->\n")
    assert schema.check_docs(docs) == 1
    assert schema.write_docs(docs) == 0
    assert schema.check_docs(docs) == 0
    assert "`uptime_ms`" in guide.read_text()
    assert "old" not in guide.read_text()
    (docs / "api" / "asyncapi.json").write_text("{}\n")
    (docs / "api" / "schemas" / "stray.json").write_text("{}\n")
    capsys.readouterr()
    assert schema.check_docs(docs) == 1
    assert capsys.readouterr().err.count("is stale") == 2
    schema.write_docs(docs)
    assert schema.check_docs(docs) == 0


def test_output_writes_the_api_files(tmp_path: Path) -> None:
    assert main(["schema", "--output", str(tmp_path / "new" / "api")]) == 0
    names = {str(path.relative_to(tmp_path / "new" / "api")) for path in (tmp_path / "new").rglob("*.json")}
    assert names == {name for name, _ in schema.api_files()}


def test_output_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["schema", "--output", str(tmp_path / "file" / "api")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_every_reference_resolves() -> None:
    documents = [json.loads(text) for _, text in schema.api_files()]
    for document in documents:
        found = list(_references(document))
        assert found
        for reference in found:
            _resolve(document, reference)


def test_asyncapi_names_every_topic_with_its_direction() -> None:
    document = schema.asyncapi()
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {
        f"hp/1/{{unit}}/{topic}"
        for topic in (
            "up/state",
            "up/alarm",
            "up/event",
            "up/beat",
            "up/still",
            "up/reply",
            "down/received",
            "down/operator/cmd",
            "down/maintainer/cmd",
        )
    }
    for operation in document["operations"].values():
        address = _resolve(document, operation["channel"]["$ref"])["address"]
        assert operation["action"] == ("send" if "/up/" in address else "receive")
    assert document["operations"]["send-alarm"]["bindings"]["mqtt"] == {
        "qos": 1,
        "retain": False,
        "bindingVersion": "0.2.0",
    }
    assert document["operations"]["send-state"]["bindings"]["mqtt"]["retain"] is True


def test_every_payload_struct_has_a_channel() -> None:
    structs = {
        value
        for value in vars(wire).values()
        if isinstance(value, type) and issubclass(value, wire.Wire) and value not in (wire.Wire, wire.Command)
    }
    sent = {kind for channel in CHANNELS for kind in getattr(channel.payload, "__args__", (channel.payload,))}
    parts = {wire.Stamp, wire.Site, wire.OpenIncident, wire.FaultReport, wire.Isolation, wire.Watching}
    assert structs == sent | parts


def test_no_python_indentation_in_descriptions() -> None:
    assert not any("\\n    " in text for _, text in schema.api_files())


def test_table_of_a_command_leaves_out_what_all_have() -> None:
    rows = table(wire.Close)
    assert "`outcome`" in rows
    assert "`seq`" not in rows
    assert "`seq`" in table(wire.Command)
    assert table(wire.RaiseTest) == "No fields of its own.\n"


def test_table_for_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="no message has this name"):
        with_tables("<!-- fields: Nobody -->\n<!-- end -->")


def test_schema_file_accepts_what_the_struct_says() -> None:
    """The committed JSON Schema asks for the same fields as the struct."""
    written = json.loads((ROOT / "docs" / "api" / "schemas" / "alarm.json").read_text(encoding="utf-8"))
    alarm = written["$defs"]["Alarm"]
    assert set(alarm["required"]) == {f.name for f in msgspec.structs.fields(wire.Alarm) if f.required}
