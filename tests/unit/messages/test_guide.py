"""docs/control-room-api.md: its examples are real messages, and it leaves no topic, event or refusal out."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from unitd.messages import control_room as wire
from unitd.messages import duplex
from unitd.tools.api import CHANNELS

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs" / "control-room-api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json example (\w+)\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[f"{n}-{name}" for n, (name, _) in enumerate(EXAMPLES)])
def test_example_is_a_message_and_says_nothing_more(name: str, text: str) -> None:
    kind: Any = getattr(wire, name)
    message = msgspec.json.decode(text, type=kind)
    known = msgspec.to_builtins(message)
    _nothing_unknown(msgspec.json.decode(text), known)


def _nothing_unknown(written: Any, known: Any) -> None:
    if isinstance(written, dict) and isinstance(known, dict):
        assert set(written) <= set(known), "a field that no struct has"
        for key, value in written.items():
            _nothing_unknown(value, known[key])


def test_every_json_block_is_checked() -> None:
    assert len(re.findall(r"^```json", GUIDE, re.MULTILINE)) == len(EXAMPLES)


def test_every_message_has_an_example() -> None:
    shown = {msgspec.json.decode(text).get("cmd", name) for name, text in EXAMPLES}
    every = (*wire.OperatorCommand.__args__, *wire.MaintainerCommand.__args__)
    commands = {kind.__struct_config__.tag for kind in every}
    assert shown == {"Alarm", "State", "Event", "Beat", "Still", "Reply", "Received"} | commands


def test_every_topic_with_its_quality_of_service() -> None:
    for channel in CHANNELS:
        row = rf"\| `{channel.topic}` \| {channel.qos} \| {'yes' if channel.retain else 'no'} \|"
        assert re.search(row, GUIDE), channel.topic


def test_every_event_of_the_seams_is_listed() -> None:
    seams = (ROOT / "docs" / "design" / "seams.md").read_text(encoding="utf-8")
    listed = seams.partition("| worker | event | data |")[2].partition("\n\n")[0]
    names = set(re.findall(r"`([a-z_]+)`", listed)) - {"segment_closed", "still"}  # stays here; goes as up/still
    assert len(names) > 5
    for name in names:
        assert f"| `{name}`" in GUIDE, name


def test_every_table_has_its_heading_for_links() -> None:
    anchors = {
        re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", GUIDE, re.MULTILINE)
    }
    for link in re.findall(r"\]\(#([a-z0-9_-]+)\)", GUIDE):
        assert link in anchors, link


def test_every_message_of_a_duplex_endpoint_is_listed() -> None:
    for kind in {*duplex.FromUnit.__args__, *duplex.ToUnit.__args__}:
        assert f'"type":"{kind.__struct_config__.tag}"' in GUIDE, kind


def test_example_times_fit_together() -> None:
    """A stamp of the guide must not be one that a unit would call unknown."""
    for _, text in EXAMPLES:
        for micros in re.findall(r'"utc_us": (\d+)', text):
            assert int(micros) > 1_700_000_000_000_000
