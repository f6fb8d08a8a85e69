"""Whoever changes, drops, adds, swaps, cuts or signs anew is named, with the control room's heads and the CA."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.unit.evidence import flips
from tests.unit.evidence.forge import (
    BOOT_ID,
    GENESIS,
    Authority,
    Case,
    Unit,
    busy_unit,
    proven_case,
    self_signed,
    write_manifest,
)
from unitd.evidence.manifest import Manifest
from unitd.evidence.verify import verify
from unitd.evidence.verify_report import PROVEN, TAMPERED, UNPROVEN, Report

LONG = bool(os.environ.get("UNITD_TEST_LONG"))
SAMPLE = 400
LIMIT_BYTES = 32 * 1024
FIRST, SECOND = "segments/dome/000003-00000000.mp4", "segments/dome/000003-00000001.mp4"
LAST = "segments/dome/000003-00000002.mp4"
RECORD, CORE = "chain/record.jsonl", "chain/core.jsonl"


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return proven_case(tmp_path)


def judge(case: Case) -> Report:
    return verify(case.export, case.trust, case.heads)


def named(report: Report) -> set[str]:
    assert report.status == TAMPERED, report
    return {finding.file for finding in report.tampered}


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def chained_anew(path: Path, change: Callable[[list[dict[str, object]]], None]) -> None:
    """A chain whose lines are changed and whose hashes all fit again, as who holds the unit can make it."""
    records = [msgspec.json.decode(line) for line in lines(path)]
    before = records[0]["prev"]
    n = records[0]["n"]
    change(records)
    made = b""
    for at, record in enumerate(records):
        record["n"], record["prev"] = n + at, before
        line = msgspec.json.encode(record) + b"\n"
        before = hashlib.sha256(line).hexdigest()
        made += line
    path.write_bytes(made)


def manifest_of(export: Path) -> Manifest:
    return msgspec.json.decode((export / "manifest.json").read_bytes(), type=Manifest)


# --- bits -------------------------------------------------------------------------------------------------------------


def test_a_flipped_bit_anywhere_is_named(case: Case) -> None:
    """A seeded sample; `make prove` tries them all."""
    assert sum(file.stat().st_size for file in case.export.rglob("*") if file.is_file()) <= LIMIT_BYTES
    assert flips.missed(case, flips.sample(case, SAMPLE, seed=4)) == []


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("every", [1] if LONG else [400])
def test_every_flipped_bit_is_named(every: int) -> None:
    """All of them on both cores in the long form; else a few through the same way."""
    parts = 2 if every == 1 else every
    command = [sys.executable, "-m", "tests.unit.evidence.flips"]
    running = [
        subprocess.Popen([*command, str(part), str(parts)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for part in range(2)
    ]
    for each in running:
        out, _ = each.communicate(timeout=1700)
        assert re.match(r"^\d{3,} flips, 0 missed\n", out), out
        assert each.returncode == 0


# --- files ------------------------------------------------------------------------------------------------------------


def swap(export: Path) -> None:
    first, second = (export / FIRST).read_bytes(), (export / SECOND).read_bytes()
    (export / FIRST).write_bytes(second)
    (export / SECOND).write_bytes(first)


def cut(export: Path) -> None:
    (export / LAST).write_bytes((export / LAST).read_bytes()[:-200])


@pytest.mark.parametrize(
    ("change", "file"),
    [
        (lambda e: (e / FIRST).unlink(), FIRST),
        (lambda e: (e / LAST).unlink(), LAST),
        (swap, FIRST),
        (cut, LAST),
        (
            lambda e: shutil.copy(e / FIRST, e / "segments/dome/000003-00000009.mp4"),
            "segments/dome/000003-00000009.mp4",
        ),
        (lambda e: (e / SECOND).rename(e / "segments/dome/000003-00000007.mp4"), SECOND),
        (lambda e: (e / "stills/dome-1.jpg").write_bytes(b"another"), "stills/dome-1.jpg"),
        (lambda e: (e / "stills/dome-1.jpg").unlink(), "stills/dome-1.jpg"),
        (lambda e: shutil.copy(e / "audio/audio.mp4", e / "view/dome.mp4"), "view/dome.mp4"),
        (lambda e: (e / "view/other.mp4").write_bytes(b""), "view/other.mp4"),
        (lambda e: (e / "chain/other.jsonl").write_bytes(b""), "chain/other.jsonl"),
        (lambda e: (e / "checkpoints/notes.txt").write_bytes(b""), "checkpoints/notes.txt"),
        (lambda e: (e / "SHA256SUMS").unlink(), "SHA256SUMS"),
        (lambda e: (e / "manifest.json").unlink(), "manifest.json"),
        (lambda e: (e / RECORD).unlink(), RECORD),
        (lambda e: (e / CORE).unlink(), CORE),
        (lambda e: (e / CORE).write_bytes(b""), CORE),
        (lambda e: (e / "checkpoints/00000003.json").unlink(), "checkpoints/00000003.sig"),
        (lambda e: (e / "checkpoints/00000004.sig").unlink(), "checkpoints"),
        (lambda e: (e / "Manifest.json").write_bytes(b"{}"), "Manifest.json"),
    ],
)
def test_a_file_that_is_changed_dropped_swapped_or_added_is_named(
    case: Case, change: Callable[[Path], object], file: str
) -> None:
    change(case.export)
    assert file in named(judge(case))


def test_a_list_made_to_fit_the_changed_files_is_not_the_sealed_one(case: Case) -> None:
    cut(case.export)
    data = (case.export / LAST).read_bytes()
    manifest = manifest_of(case.export)
    digest = hashlib.sha256(data).hexdigest()
    files = tuple(
        msgspec.structs.replace(file, bytes=len(data), sha256=digest) if file.path == LAST else file
        for file in manifest.files
    )
    write_manifest(case.export, msgspec.structs.replace(manifest, files=files))
    report = judge(case)
    assert report.tampered[0].file == "manifest.json"
    assert LAST in named(report)


def test_a_segment_taken_out_of_file_and_list_is_named(case: Case) -> None:
    (case.export / SECOND).unlink()
    manifest = manifest_of(case.export)
    files = tuple(file for file in manifest.files if file.path != SECOND)
    write_manifest(case.export, msgspec.structs.replace(manifest, files=files))
    assert {"manifest.json", SECOND} <= named(judge(case))


# --- chains -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [RECORD, CORE])
@pytest.mark.parametrize(
    "change",
    [
        lambda all_: all_[:-1],
        lambda all_: all_[:-2],
        lambda all_: [*all_[:1], *all_[2:]],
        lambda all_: [*all_[:1], all_[0], *all_[1:]],
        lambda all_: [all_[0], all_[2], all_[1], *all_[3:]] if len(all_) > 2 else all_[::-1],
        lambda all_: [*all_, all_[-1]],
        lambda all_: [*all_[:-1], all_[-1][:-1]],
        lambda all_: [*all_[:-1], all_[-1].replace(b'"kind"', b' "kind"')],
    ],
    ids=["tail", "two", "middle", "twice", "order", "added", "torn", "blank"],
)
def test_a_chain_that_is_cut_or_changed_is_named(
    case: Case, file: str, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    path = case.export / file
    path.write_bytes(b"".join(change(lines(path))))
    assert judge(case).tampered[0].file == file


def test_a_chain_made_anew_is_not_the_one_that_was_signed_for(case: Case) -> None:
    def other_hash(records: list[dict[str, object]]) -> None:
        records[1]["sha256"] = "0" * 64

    chained_anew(case.export / RECORD, other_hash)
    assert judge(case).tampered[0].file == RECORD


def _unit_with_a_past(place: Path) -> Unit:
    return busy_unit(place / "unit")


@pytest.mark.parametrize("signs_for_it", [True, False])
def test_the_tail_cut_off_the_units_own_chain_is_named(tmp_path: Path, signs_for_it: bool) -> None:
    """Before a fresh export: by who holds the unit and its key, or by who holds its disk only (core does not sign)."""
    unit = _unit_with_a_past(tmp_path)
    path = tmp_path / "unit/record.chain"
    kept = lines(path)[:-1]
    path.write_bytes(b"".join(kept))
    for file in ("dome/000003-00000002.mp4",):
        del unit.files[file]
    if signs_for_it:
        unit.heads["record"] = (len(kept), hashlib.sha256(kept[-1]).hexdigest())
    else:
        del unit.heads["record"]
        unit.heads["record"] = (len(kept), GENESIS)
    export = tmp_path / "export"
    if signs_for_it:
        unit.export(export, segments=2)
    else:
        unit.export(export, segments=2, seal=False)
        core_only = {"core": {"n": unit.heads["core"][0], "head": unit.core.head}}
        _seal_with_heads(unit, export, core_only)
    (tmp_path / "ca.pem").write_bytes(unit.authority.pem)
    report = judge(Case(unit, export, tmp_path / "ca.pem", unit.write_heads(tmp_path / "heads.jsonl")))
    assert named(report) & {RECORD, "checkpoints/00000004.json"}


def _seal_with_heads(unit: Unit, export: Path, heads: dict[str, object]) -> None:
    digest = hashlib.sha256((export / "manifest.json").read_bytes()).hexdigest()
    unit.note("core", "export", manifest_sha256=digest, incident_id=None, cameras="dome", segments=2, by="")
    unit.checkpoint(heads=heads | {"core": {"n": unit.heads["core"][0], "head": unit.core.head}})
    unit._extracts(export)
    (export / "checkpoints").mkdir()
    for n, body, signature in unit.signed:
        (export / f"checkpoints/{n:08d}.json").write_bytes(body)
        (export / f"checkpoints/{n:08d}.sig").write_bytes(signature)
    (export / "certificate.pem").write_bytes(unit.certificate)


def test_a_past_made_anew_with_the_units_own_key_contradicts_the_heads(tmp_path: Path) -> None:
    """Chain, checkpoints and signatures all fit; only the control room knows better."""
    true_unit = _unit_with_a_past(tmp_path)
    forger = Unit(tmp_path / "forged", true_unit.authority, key=true_unit.key, certificate=true_unit.certificate)
    (tmp_path / "forged").mkdir()
    forger.note("core", "session", boot_id=BOOT_ID, session=9)
    forger.checkpoint()
    forger.still("dome")
    forger.segment("dome", 0)
    forger.segment("audio", 0)
    forger.checkpoint()
    forger.segment("audio", 1)
    forger.lock(1)
    export = forger.export(tmp_path / "export", segments=1)
    (tmp_path / "ca.pem").write_bytes(true_unit.authority.pem)
    heads = true_unit.write_heads(tmp_path / "heads.jsonl")
    case = Case(forger, export, tmp_path / "ca.pem", heads)
    assert verify(export, case.trust).status == UNPROVEN
    assert named(judge(case)) & {"checkpoints/00000001.json", "checkpoints/00000002.json"}


def test_a_fork_after_the_last_head_that_came_is_named_by_the_next_one(tmp_path: Path) -> None:
    """The export's own checkpoint never reached the control room; the one after the true one did."""
    unit = _unit_with_a_past(tmp_path)
    export = unit.export(tmp_path / "export", keep=False)
    (tmp_path / "ca.pem").write_bytes(unit.authority.pem)
    unit.checkpoint()
    case = Case(unit, export, tmp_path / "ca.pem", unit.write_heads(tmp_path / "heads.jsonl"))
    assert judge(case).status == PROVEN
    other = [*unit.kept[:-1], unit.kept[-1] | {"body": unit.kept[-1]["body"]}]
    unit.signed.pop()
    unit.kept.pop()
    unit.checkpoint(prev="1" * 64)
    case = Case(unit, export, case.trust, unit.write_heads(tmp_path / "heads.jsonl"))
    assert named(judge(case)) == {"checkpoints/00000004.json"}
    assert len(other) == 4


# --- keys -------------------------------------------------------------------------------------------------------------


def _resigned(case: Case, key: Ed25519PrivateKey, certificate: bytes) -> None:
    for file in sorted((case.export / "checkpoints").glob("*.json")):
        file.with_suffix(".sig").write_bytes(key.sign(file.read_bytes()))
    (case.export / "certificate.pem").write_bytes(certificate)


def test_a_replaced_key_is_named(case: Case) -> None:
    unit, key = case.unit, Ed25519PrivateKey.generate()
    for certificate in (
        self_signed(unit.name, key),
        Authority("another authority").vouch(unit.name, key),
        Authority(unit.authority.name).vouch(unit.name, key),
        unit.authority.vouch("unit-8", key),
        unit.authority.vouch(unit.name, key),
    ):
        _resigned(case, key, certificate)
        assert judge(case).tampered[0].file == "certificate.pem"
    _resigned(case, unit.key, unit.certificate)
    assert judge(case).status == PROVEN


def test_another_units_certificate_alone_is_named(case: Case) -> None:
    key = Ed25519PrivateKey.generate()
    (case.export / "certificate.pem").write_bytes(case.unit.authority.vouch(case.unit.name, key))
    assert "certificate.pem" in named(judge(case))
    assert verify(case.export, case.trust).status == TAMPERED


# --- old and new, mixed -----------------------------------------------------------------------------------------------


def test_an_older_checkpoint_in_place_of_the_last_is_named(case: Case) -> None:
    checkpoints = case.export / "checkpoints"
    for suffix in ("json", "sig"):
        shutil.copy(checkpoints / f"00000003.{suffix}", checkpoints / f"00000004.{suffix}")
    assert "checkpoints/00000004.json" in named(judge(case))
    for suffix in ("json", "sig"):
        (checkpoints / f"00000004.{suffix}").unlink()
    assert CORE in named(judge(case))


def test_an_old_export_stays_proven_with_newer_heads(case: Case) -> None:
    """The unit goes on recording: heads from after the export say nothing against it, whoever they are signed by."""
    unit = case.unit
    unit.segment("dome", 3)
    unit.checkpoint()
    unit.key = Ed25519PrivateKey.generate()
    unit.checkpoint()
    unit.write_heads(case.heads)
    assert judge(case).status == PROVEN


def test_two_exports_of_one_unit_do_not_mix(case: Case, tmp_path: Path) -> None:
    unit = case.unit
    unit.segment("dome", 3)
    later = unit.export(tmp_path / "later", segments=4)
    unit.write_heads(case.heads)
    assert verify(later, case.trust, case.heads).status == PROVEN
    for name, file in (
        ("chain", CORE),
        ("view", "view/dome.mp4"),
        ("segments", "segments/dome/000003-00000003.mp4"),
        ("manifest.json", "manifest.json"),
    ):
        mixed = tmp_path / f"mixed-{name}"
        shutil.copytree(case.export, mixed)
        if (later / name).is_dir():
            shutil.copytree(later / name, mixed / name, dirs_exist_ok=True)
        else:
            shutil.copy(later / name, mixed / name)
        assert file in named(verify(mixed, case.trust, case.heads))


def test_another_units_footage_is_named(case: Case, tmp_path: Path) -> None:
    other = busy_unit(tmp_path / "other", authority=case.unit.authority, name="unit-8")
    export = other.export(tmp_path / "other-export")
    shutil.copy(export / FIRST, case.export / FIRST)
    assert judge(case).tampered[0].file == FIRST
    for name in ("chain", "checkpoints", "certificate.pem"):
        shutil.rmtree(case.export / name) if (case.export / name).is_dir() else (case.export / name).unlink()
        copy = shutil.copytree if (export / name).is_dir() else shutil.copy
        copy(export / name, case.export / name)
    assert judge(case).status == TAMPERED


def test_the_one_byte_of_a_certificate_that_no_signature_covers_is_named(tmp_path: Path) -> None:
    """The count of unused bits before the authority's signature: which of its bits pass a parser is chance."""
    case = proven_case(tmp_path)
    file = case.export / "certificate.pem"
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    der = certificate.public_bytes(serialization.Encoding.DER)
    for unused in range(1, 8):
        changed = der[: -len(certificate.signature) - 1] + bytes([unused]) + certificate.signature
        lines = textwrap.wrap(base64.b64encode(changed).decode(), 64)
        file.write_text("\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""]))
        report = verify(case.export, case.trust, case.heads)
        assert report.status == TAMPERED and report.tampered[0].file == "certificate.pem", unused
