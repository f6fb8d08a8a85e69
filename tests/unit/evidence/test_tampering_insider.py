"""By an insider, who has the unit's key and signs whatever he made: what he made must fit in itself all the same."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from tests.unit.evidence.forge import RAISED_NS, Case, Unit, busy_unit, proven_case, write_manifest
from tests.unit.evidence.test_tampering import CORE, RECORD, judge, lines, manifest_of, named
from unitd.errors import StoreError
from unitd.evidence.check_mp4 import read_tracks
from unitd.evidence.check_tree import DirectoryTree
from unitd.evidence.verify import verify


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return proven_case(tmp_path)


def signed_by_an_insider(case: Case) -> None:
    """One checkpoint over the extracts as they are now."""
    heads = {}
    for writer, path in (("record", RECORD), ("core", CORE)):
        last = lines(case.export / path)[-1]
        heads[writer] = {"n": msgspec.json.decode(last)["n"], "head": hashlib.sha256(last).hexdigest()}
    case.unit.signed = case.unit.signed[:-1]
    case.unit.checkpoint(heads=heads, keep=False)
    n, body, signature = case.unit.signed[-1]
    for file in (case.export / "checkpoints").iterdir():
        file.unlink()
    (case.export / f"checkpoints/{n:08d}.json").write_bytes(body)
    (case.export / f"checkpoints/{n:08d}.sig").write_bytes(signature)


def test_a_number_left_out_of_a_chain_is_named(case: Case) -> None:
    path = case.export / RECORD
    *before, last = lines(path)
    record = msgspec.json.decode(last)
    path.write_bytes(b"".join(before) + msgspec.json.encode(record | {"n": record["n"] + 1}) + b"\n")
    signed_by_an_insider(case)
    assert named(verify(case.export, case.trust)) == {RECORD}


def test_a_line_that_no_unit_writes_is_named(case: Case) -> None:
    """Two fields of one name: one for our reader, the other for somebody else's."""
    path = case.export / RECORD
    *before, last = lines(path)
    path.write_bytes(b"".join(before) + last.replace(b'"bytes":', b'"bytes":1,"bytes":', 1))
    signed_by_an_insider(case)
    assert named(verify(case.export, case.trust)) == {RECORD}


def test_a_tail_that_is_cut_is_named_by_checkpoints_alone_and_by_heads_alone(case: Case) -> None:
    path = case.export / RECORD
    path.write_bytes(b"".join(lines(path)[:-2]))
    assert named(verify(case.export, case.trust)) >= {RECORD}
    signed_by_an_insider(case)
    case.unit.write_heads(case.heads, case.unit.kept[:3])
    assert RECORD in named(judge(case))
    found = next(finding.what for finding in judge(case).tampered if finding.file == RECORD)
    assert "the control room knows of" in found


def test_checkpoints_that_do_not_follow_or_have_another_name_are_named(tmp_path: Path) -> None:
    unit = busy_unit(tmp_path / "unit")
    unit.checkpoint(prev="1" * 64)
    export = unit.export(tmp_path / "export")
    assert named(verify(export)) == {"checkpoints/00000004.json"}
    export = busy_unit(tmp_path / "other").export(tmp_path / "renamed")
    for file in sorted((export / "checkpoints").iterdir(), reverse=True):
        file.rename(file.with_name(f"{int(file.stem) + 1:08d}{file.suffix}"))
    assert "checkpoints/00000005.json" in named(verify(export))


def test_anything_besides_the_certificate_is_named(case: Case) -> None:
    file = case.export / "certificate.pem"
    file.write_bytes(b"a remark\n" + file.read_bytes())
    assert judge(case).tampered[0].file == "certificate.pem"


def test_a_still_that_its_line_does_not_name_is_told(tmp_path: Path) -> None:
    unit = busy_unit(tmp_path / "unit")
    unit.files[next(file for file in unit.files if file.endswith(".jpg"))] = b"another picture"
    assert named(verify(unit.export(tmp_path / "export"))) == {"stills/dome-1.jpg"}


@pytest.mark.parametrize("claims", [{"unit": "unit-8"}, {"camera": "panel"}, {"boot": 4}, {"seq": 7}])
def test_a_segment_that_says_it_is_another_is_named(tmp_path: Path, claims: dict[str, object]) -> None:
    unit = busy_unit(tmp_path / "unit")
    unit.segment("dome", 3, **claims)
    report = verify(unit.export(tmp_path / "export", segments=4))
    assert named(report) == {"segments/dome/000003-00000003.mp4"}


@pytest.mark.parametrize(
    ("path", "found"),
    [("view/dome.mp4", "is not made of the segments"), ("audio/audio.mp4", "is not made of the segments")],
)
def test_a_film_of_other_pictures_is_named_though_it_was_sealed(tmp_path: Path, path: str, found: str) -> None:
    """Sealed with a film in it that somebody cut together himself."""
    unit = busy_unit(tmp_path / "unit")
    export = unit.export(tmp_path / "export", seal=False)
    _film_with(export, path, -1)
    unit.seal(export)
    report = verify(export)
    assert named(report) == {path}
    assert found in report.tampered[0].what


def test_a_films_sound_must_be_the_segments(tmp_path: Path) -> None:
    unit = busy_unit(tmp_path / "unit")
    export = unit.export(tmp_path / "export", seal=False)
    with DirectoryTree(export).open("view/dome.mp4") as film:
        sound = next(track for track in read_tracks(film) if track.kind == "soun")
    _film_with(export, "view/dome.mp4", sound.offsets[-1])
    unit.seal(export)
    assert "has sound that is in no segment" in verify(export).tampered[0].what


def _film_with(export: Path, path: str, at: int) -> None:
    """Another byte at that place, and a manifest that lists the file as it is now."""
    data = bytearray((export / path).read_bytes())
    if at < 0:
        with DirectoryTree(export).open(path) as film:
            at = read_tracks(film)[0].offsets[-1] + 5
    data[at] ^= 1
    (export / path).write_bytes(data)
    manifest = manifest_of(export)
    digest = hashlib.sha256(data).hexdigest()
    files = (msgspec.structs.replace(f, sha256=digest) if f.path == path else f for f in manifest.files)
    write_manifest(export, msgspec.structs.replace(manifest, files=tuple(files)))


def test_a_link_put_there_after_the_names_were_read_is_not_followed(case: Case, tmp_path: Path) -> None:
    tree = DirectoryTree(case.export)
    (case.export / "README.txt").unlink()
    (case.export / "README.txt").symlink_to(case.trust)
    (case.export / "stills").rename(tmp_path / "away")
    (case.export / "stills").symlink_to(tmp_path / "away")
    for name in ("README.txt", "stills/dome-1.jpg"):
        with pytest.raises(StoreError):
            tree.open(name)
    tree.close()


@pytest.mark.parametrize("number", [5, 5000])
def test_a_chain_made_anew_is_found_whatever_number_its_checkpoints_have(tmp_path: Path, number: int) -> None:
    """With the unit's own key: what the control room has is shorter in its lines, or other, however far its number."""
    real = busy_unit(tmp_path / "unit")
    for seq in range(3, 9):
        real.segment("dome", seq)
    real.checkpoint()
    thief = busy_unit(tmp_path / "thief", key=real.key, authority=real.authority)
    thief.signed = [(number - 1, b"", b"")]
    export = thief.export(tmp_path / "export")
    for name in ("json", "sig"):
        (export / f"checkpoints/{number - 1:08d}.{name}").unlink()
    (tmp_path / "ca.pem").write_bytes(real.authority.pem)
    assert not verify(export, tmp_path / "ca.pem").tampered
    report = verify(export, tmp_path / "ca.pem", real.write_heads(tmp_path / "heads.jsonl"))
    assert named(report) == {RECORD}


def test_whoever_takes_the_seal_away_must_still_have_the_chain_that_the_control_room_knows(tmp_path: Path) -> None:
    """An export without checkpoints and certificate, as of a dead unit: the heads are held against its chains."""
    real = busy_unit(tmp_path / "unit")
    heads = real.write_heads(tmp_path / "heads.jsonl")
    honest = verify(real.export(tmp_path / "dead", seal=False), None, heads)
    assert not honest.tampered
    assert "Both logs are those that the control room knows, as far as its heads reach." in honest.checked
    assert {each.what for each in honest.not_proven} == {"origin", "completeness"}
    forged = busy_unit(tmp_path / "forger")
    forged.segment("dome", 3)
    report = verify(forged.export(tmp_path / "stripped", seal=False), None, heads)
    assert not report.tampered
    other = Unit(tmp_path / "other", name=real.name)
    other.now_ns = RAISED_NS
    other.still("dome")
    for seq in range(4):
        other.segment("dome", seq)
    other.lock(3)
    other.note("core", "session", boot_id="x", session=1)
    report = verify(other.export(tmp_path / "anew", seal=False), None, heads)
    assert named(report)
    assert named(report) <= {RECORD, CORE}
    assert "not the one that the control room knows: the chain was made anew" in report.tampered[0].what
