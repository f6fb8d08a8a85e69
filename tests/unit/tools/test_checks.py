"""The programs behind `make check` and `make test` can fail, and say why in a line."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools import check_hygiene, check_versions, run_tests


def test_pins_are_read_with_comments_and_markers() -> None:
    text = "# why\nPy_Serial==3.5  # note\nlgpio==0.2.2.0; python_version < '3.13'\n\n"
    assert check_versions.read_pins(text) == {"py-serial": "3.5", "lgpio": "0.2.2.0"}


def test_a_range_is_no_pin() -> None:
    with pytest.raises(ValueError, match="name==version"):
        check_versions.read_pins("numpy>=1\n")


def test_a_wrong_version_a_missing_pin_and_a_missing_package_are_faults() -> None:
    pins = {"pytest": "0.0.1", "no-such-package": "1"}
    found = check_versions.faults(pins, [Requirement("no-such-package"), Requirement("msgspec")])
    assert len(found) == 3
    assert any("0.0.1 is pinned" in line for line in found)
    assert any(line.startswith("msgspec: no pin") for line in found)
    assert any(line.startswith("no-such-package: not installed") for line in found)


@pytest.mark.parametrize(
    "text",
    [
        "see /" + "home/somebody/unitd/x",
        "index = https://files.python" + "hosted.org/simple",
        "-----BEGIN EC PRIVATE" + " KEY-----",
        "<<<<" + "<<< ours\n",
    ],
)
def test_hygiene_sees_what_must_not_be_there(text: str) -> None:
    assert check_hygiene.faults_in("docs/x.md", text.encode()) != []


def test_hygiene_lets_ordinary_text_and_pictures_pass() -> None:
    assert check_hygiene.faults_in("docs/x.md", b"/opt/unitd/.venv/bin/unitd, /var/lib/unitd and ../work/here") == []
    assert check_hygiene.faults_in("docs/x.png", b"\x89PNG\xff\xfe") == []


def test_hygiene_sees_lock_files_and_big_ones() -> None:
    assert check_hygiene.faults_in("uv.lock", b"") != []
    assert check_hygiene.faults_in("x.bin", b"\xff" * 3_000_000) != []


def test_closing_line_names_what_failed(tmp_path: Path) -> None:
    tally = run_tests.Tally(passed=3)
    assert tally.line() == "3 passed, 0 failed"
    results = tmp_path / "tests.xml"
    results.write_text(
        "<testsuites><testsuite>"
        "<testcase classname='tests.unit.test_a' name='test_good'/>"
        "<testcase classname='tests.unit.test_a' name='test_bad'><failure/></testcase>"
        "</testsuite></testsuites>",
        encoding="utf-8",
    )
    run_tests.read_results(results, tally)
    assert tally.line() == "4 passed, 1 failed: tests.unit.test_a::test_bad"


def test_no_result_and_no_test_are_failures(tmp_path: Path) -> None:
    tally = run_tests.Tally()
    run_tests.read_results(tmp_path / "absent.xml", tally)
    (tmp_path / "empty.xml").write_text("<testsuites/>", encoding="utf-8")
    run_tests.read_results(tmp_path / "empty.xml", tally)
    assert len(tally.failed) == 2


def test_what_is_left_running_is_named_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_tests, "GRACE_S", 0.0)
    mark = f"UNITD_TEST_RUN={uuid.uuid4()}"
    sleeper = subprocess.Popen(["sleep", "60"], env=os.environ | dict([mark.split("=")]))
    try:
        while "sleep 60" not in run_tests.marked_processes(mark).values():
            assert sleeper.poll() is None
        assert run_tests.end_leftovers(mark) == ["sleep 60"]
        assert sleeper.wait(timeout=5) == -signal.SIGKILL
        assert run_tests.end_leftovers(mark) == []
    finally:
        sleeper.kill()
