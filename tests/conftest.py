"""Rules for every test: nothing is skipped, and chance is seeded.

A test that cannot run here (a missing program, a missing package, a missing right) has not shown that its
subject works, so a skip or an expected failure is reported as a failure that gives its reason.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import hypothesis
import pytest

# The same examples in every run, and no deadline on a shared machine. `make prove` looks further, and anew each time.
hypothesis.settings.register_profile("quick", derandomize=True, deadline=None)
hypothesis.settings.register_profile("long", max_examples=2000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("long" if os.environ.get("UNITD_TEST_LONG") else "quick")


def _fail_instead(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.outcome != "skipped":
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr or "")
    report.outcome = "failed"
    report.longrepr = f"could not run: {reason.removeprefix('Skipped: ')} (skips count as failures here)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_instead(report)
    if hasattr(report, "wasxfail"):
        del report.wasxfail
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_instead(report)
    return report
