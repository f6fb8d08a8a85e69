"""No press is lost while core starts again: the long proof, in a virtual machine (tests/vm/blind_window.py).

Three to six minutes and a download, so it belongs to `make prove`; the kernel module that simulates the pins is built
for Debian 12's kernel on x86_64, so elsewhere there is no such test.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from tests.vm.blind_window import LIMIT_S, prove

HERE = (platform.freedesktop_os_release().get("VERSION_CODENAME"), platform.machine())

if os.environ.get("UNITD_TEST_LONG") and HERE == ("bookworm", "x86_64"):

    @pytest.mark.timeout(LIMIT_S + 120)
    def test_presses_while_no_core_runs_become_alarms_with_their_true_times(tmp_path: Path) -> None:
        facts, faults = prove(tmp_path, rounds=2)
        print(facts)
        assert not faults, "\n".join(faults)
