"""Two recorders on one ring: the second one writes nothing, and takes over when the first is gone."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.store.ring_files import write_segment
from unitd.config import RingTable
from unitd.store.boot import Boot
from unitd.store.ring import Ring

ROOT = Path(__file__).resolve().parents[3]
OTHER = """
import sys
from pathlib import Path
from unitd.config import RingTable
from unitd.store.ring import Ring
base = Path(sys.argv[1])
Ring(base / "evidence", base / "state", RingTable(), 0.0).chain.append("still", 1)
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_second_recorder_writes_nothing_until_the_first_is_gone(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    command = [sys.executable, "-c", OTHER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        chain = tmp_path / "evidence" / "record.chain"
        before = chain.read_bytes()
        ring = Ring(tmp_path / "evidence", tmp_path / "state", RingTable(), 0.0)
        for write in (lambda: ring.camera_dir("dome"), lambda: ring.chain.append("still", 1)):
            with pytest.raises(OSError, match="another process records here") as raised:
                write()
            assert raised.value.errno == errno.EBUSY
        with pytest.raises(OSError, match="another process records here"):
            ring.make_room(Boot("now", 1))
        write_segment(tmp_path / "evidence", "dome", 1, 1, 0)  # what the other one leaves behind
        assert chain.read_bytes() == before
        other.kill()
    assert ring.camera_dir("dome").is_dir()
    assert ring.chain.append("still", 1).n == 2
    assert ring.make_room(Boot("now", 1)).recovered == ("dome/000001-00000001.mp4",)


def test_where_no_lock_can_be_had_nobody_is_kept_out(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "evidence", tmp_path / "no-state", RingTable(), 0.0)
    assert ring.chain.append("still", 1).n == 1
