"""The rule of tests/conftest.py, shown on small suites of its own: nothing is skipped."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[2] / "conftest.py"

BODIES = {
    "a mark": "import pytest\n@pytest.mark.skip(reason='no sound card')\ndef test_it(): pass\n",
    "a call": "import pytest\ndef test_it(): pytest.skip('no sound card')\n",
    "an expected failure": "import pytest\n@pytest.mark.xfail(reason='no sound card')\ndef test_it(): assert False\n",
    "a whole file": "import pytest\npytest.skip('no sound card', allow_module_level=True)\ndef test_it(): pass\n",
    "a fixture": "import pytest\n@pytest.fixture\ndef f(): pytest.skip('no sound card')\ndef test_it(f): pass\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_skip_is_a_failure_with_its_reason(tmp_path: Path, body: str) -> None:
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "test_sample.py").write_text(body, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0, done.stdout
    assert "no sound card" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]
