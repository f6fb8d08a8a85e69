"""An export that is killed anywhere looks finished nowhere; the next run makes what an undisturbed one makes."""

import errno
import os
import random
from pathlib import Path

import pytest

from tests.unit.evidence.export_rig import Teller, Unit, core_of, manifest_of, tree
from tests.unit.evidence.test_export_directory import small_unit
from unitd.errors import StoreError
from unitd.evidence import workdir

KILLS = 400 if os.environ.get("UNITD_TEST_LONG") else 24
DIED = 9
MADE_ANEW = {"manifest.json", "SHA256SUMS", "chain/core.jsonl"}
"""They say when it was made, and how often core was asked to seal it."""


def die_at(unit: Unit, output: Path, step: int) -> bool:
    """Export in a child that is gone at its `step`-th change of the disk, in the middle of a write; whether it died."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DIED
    left = step
    write, replace, unlink = os.write, Path.replace, Path.unlink

    def count() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os._exit(DIED)

    def write_some(descriptor: int, data: bytes) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            write(descriptor, data[: len(data) // 2])
            os._exit(DIED)
        return write(descriptor, data)

    def counted_replace(self: Path, target: Path) -> Path:
        count()
        return replace(self, target)

    def counted_unlink(self: Path, missing_ok: bool = False) -> None:
        count()
        unlink(self, missing_ok)

    workdir.BLOCK_BYTES = 100_000
    os.write, Path.replace, Path.unlink = write_some, counted_replace, counted_unlink  # type: ignore[assignment, method-assign]
    try:
        unit.export(output)
    finally:
        os._exit(0)


def test_killed_anywhere_and_begun_again_it_is_what_an_undisturbed_one_is(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    unit.export(tmp_path / "wanted")
    wanted = tree(tmp_path / "wanted")
    longest = next(step for step in range(50, 2000, 50) if not die_at(unit, tmp_path / f"length-{step}", step))
    chosen = random.Random(6)
    for number in range(KILLS):
        output = tmp_path / f"out-{number}"
        deaths = 0
        for _ in range(chosen.randint(1, 3)):
            deaths += die_at(unit, output, chosen.randrange(longest))
            assert not output.exists() or tree(output).keys() == wanted.keys()
        unit.export(output)
        found = tree(output)
        assert found.keys() == wanted.keys()
        assert {name for name in wanted if found[name] != wanted[name]} <= MADE_ANEW
        assert manifest_of(output).files == manifest_of(tmp_path / "wanted").files
        assert not output.with_name(output.name + ".part").exists()


def test_what_was_whole_is_kept_and_what_was_changed_since_is_copied_again(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    assert die_at(unit, tmp_path / "out", 60)
    part = tmp_path / "out.part"
    segments = sorted(part.glob("segments/*/*.mp4"))
    assert len(segments) >= 2
    segments[0].write_bytes(b"?" * segments[0].stat().st_size)
    kept = segments[1].stat().st_ino
    (part / "segments" / "panel" / "added.mp4").write_text("a stranger's")
    done = unit.export(tmp_path / "out")
    assert done.kept >= len(segments) - 1
    out = tmp_path / "out"
    assert (out / segments[1].relative_to(part)).stat().st_ino == kept
    assert set((out / segments[0].relative_to(part)).read_bytes()) != {ord("?")}
    assert not (out / "segments" / "panel" / "added.mp4").exists()


def test_killed_after_the_seal_it_is_sealed_again(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    with core_of(unit) as core:
        steps = next(
            step for step in range(20, 2000) if (core.requests or not die_at(unit, tmp_path / f"x{step}", step))
        )
        assert steps > 20
        done = unit.export(tmp_path / f"x{steps - 1}")
    assert done.seal is not None


def test_an_unfinished_export_of_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    unit = small_unit(tmp_path)
    assert die_at(unit, tmp_path / "out", 30)
    with pytest.raises(StoreError, match="unfinished export of something else"):
        unit.export(tmp_path / "out", cameras=("dome",))


def test_a_medium_that_fills_up_says_so_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = small_unit(tmp_path)
    write, left = os.write, 3_000_000

    def full(descriptor: int, data: bytes) -> int:
        nonlocal left
        left -= len(data)
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(StoreError, match=r"is full; free some room and run the same command again: it goes on"):
            unit.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert unit.export(tmp_path / "out", Teller()).kept >= 3
