"""The console's words against the daemon's codes."""

import re
from pathlib import Path

from unitd.tools.remedies import REMEDIES

WORDS = Path(__file__).resolve().parents[3] / "hw_sim" / "control_room" / "console" / "words.js"


def test_every_fault_of_the_unit_has_words_at_the_console() -> None:
    table = WORDS.read_text(encoding="utf-8").partition("const FAULTS = {")[2].partition("\n};")[0]
    assert set(re.findall(r"^  ([a-z_]+):", table, re.MULTILINE)) >= set(REMEDIES)
