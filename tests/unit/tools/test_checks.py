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


def test_every_suite_is_in_one_lane() -> None:
    assert sorted(suite for lane in run_tests.LANES for suite in lane) == sorted(run_tests.SUITES)
    assert set(run_tests.POLITE) <= set(run_tests.SUITES)


def test_lanes_run_side_by_side_and_each_tells_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of the two waits for the other: one after the other neither would pass."""
    monkeypatch.setattr(run_tests, "BUILD", tmp_path)
    monkeypatch.setattr(run_tests, "LANES", (("left",), ("right",)))
    runs = []
    for name, other in (("left", "right"), ("right", "left")):
        file = tmp_path / f"test_{name}.py"
        file.write_text(
            "import pathlib, time\n"
            "def test_meets() -> None:\n"
            f"    pathlib.Path({str(tmp_path / name)!r}).touch()\n"
            "    deadline_s = time.monotonic() + 30\n"
            f"    while not pathlib.Path({str(tmp_path / other)!r}).exists():\n"
            "        assert time.monotonic() < deadline_s\n"
            "        time.sleep(0.01)\n"
            f"def test_of_{name}() -> None:\n    assert {name == 'left'}\n",
            encoding="utf-8",
        )
        runs.append(run_tests.Run(name, [f"--rootdir={tmp_path}", str(file)], long=False))
    run_tests.run_in_lanes(runs)
    left, right = (run.tally for run in runs)
    assert (left.passed, left.failed) == (2, [])
    assert right.passed == 1
    assert [name.rpartition("::")[2] for name in right.failed] == ["test_of_right"]
    shown = capsys.readouterr().out
    assert "suite: left             ok (2 passed, 0 failed" in shown
    assert "suite: right            FAILED" in shown


def test_the_second_try_runs_only_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_tests, "BUILD", tmp_path)
    file = tmp_path / "test_again.py"
    file.write_text(
        "import pathlib\n"
        "def once(name: str) -> None:\n"
        f"    mark = pathlib.Path({str(tmp_path)!r}, name)\n"
        "    known = mark.exists()\n"
        "    mark.touch()\n"
        "    assert known\n"
        "def test_good() -> None:\n    with pathlib.Path(__file__).with_name('good').open('a') as file:\n"
        "        file.write('x')\n"
        "def test_flaky() -> None:\n    once('flaky')\n"
        "def test_bad() -> None:\n    raise AssertionError\n",
        encoding="utf-8",
    )
    run = run_tests.Run("again", [f"--rootdir={tmp_path}", str(file)], long=False)
    run.go(polite=True)
    assert run.tally.passed == 1
    assert len(run.tally.failed) == 2
    run.second_try()
    assert run.tally.passed == 2
    assert [name.rpartition("::")[2] for name in run.tally.failed] == ["test_bad"]
    assert (tmp_path / "good").read_text(encoding="utf-8") == "x"
