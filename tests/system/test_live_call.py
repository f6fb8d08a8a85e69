"""A sample of the proof of the live call (tests/live): the emulated IP link with a real Chromium at its far end.

What must come true at all, with slack for a shared machine; the figures are for `python -m tests.live`.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live.cases import CASES

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
LONG = bool(os.environ.get("UNITD_TEST_LONG"))
GONE_FOR_A_WHILE = ("outage-20", "interface", "address")


def _played(directory: Path, seconds: float, *cases: str) -> dict[str, Any]:
    out = directory / "live.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.live", *cases, "--seconds", str(seconds), "--out", str(out)],
        cwd=ROOT, capture_output=True, text=True, timeout=150 + len(cases) * (seconds + 60), check=False,
    )  # fmt: skip
    print(done.stdout, done.stderr[-4000:])
    assert done.returncode == 0
    results: dict[str, Any] = json.loads(out.read_text())["cases"]
    return results


def test_through_an_outage_the_browser_has_picture_and_voice_again(tmp_path: Path) -> None:
    result = _played(tmp_path, 11.0, "outage-3")["outage-3"]
    assert result["first_picture_s"] < 10
    assert result["shown"] > 40
    assert result["picture_back_s"] is not None
    assert result["picture_back_s"] < 8
    assert result["voice_back_s"] < 8
    assert result["out_stoi"] > 0.4
    assert result["in_stoi"] > 0.4
    # The outage is really there: what is measured can fail.
    assert result["longest_gap_s"] > 2.5
    assert result["out_gap_s"] > 0.5


if LONG:

    @pytest.mark.timeout(3600)
    def test_on_no_link_the_call_is_lost(tmp_path: Path) -> None:
        """`make prove`: the whole table for 60 s each, some 16 minutes; it is kept in build/live.md."""
        results = _played(tmp_path, 60.0, *(case.name for case in CASES))
        for suffix in ("json", "md", "html"):
            shutil.copy(tmp_path / f"live.{suffix}", ROOT / "build")
        for name, result in results.items():
            assert result["first_picture_s"] < 15, name
            assert result["shown"] + result["stills"] > 5, name
            least = 0.3 if name in GONE_FOR_A_WHILE else 0.5
            assert min(result["out_stoi"], result["in_stoi"]) > least, name
