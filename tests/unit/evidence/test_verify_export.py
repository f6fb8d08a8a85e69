"""What `unitd export` makes, `unitd verify` proves: the real command on one side and the real one on the other."""

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.unit.evidence.forge import BOOT, INCIDENT, RAISED_NS, SEGMENT_NS, Case, Unit, busy_unit
from tests.unit.evidence.test_verify_without_us import blocks, said
from unitd.config import CameraTable, Config, PathsTable, SiteTable, UnitTable
from unitd.evidence.export import Watcher, export
from unitd.evidence.gather import Order, understand
from unitd.evidence.pack import export_zip
from unitd.evidence.verify import verify
from unitd.evidence.verify_report import PROVEN, TAMPERED, UNPROVEN, Report
from unitd.messages.workers import SealExport, ToolReply
from unitd.store.checkpoints import append_checkpoint
from unitd.store.locks import Lock


class Pole:
    """A forged unit's files where a real one has them; core's part of the sealing on a socket of its own."""

    def __init__(self, place: Path) -> None:
        self.unit: Unit = busy_unit(place / "pole")
        self.place = place / "pole"
        self.out = place
        self.config = Config(
            schema=1,
            unit=UnitTable(id=self.unit.name),
            site=SiteTable(name="North Pier"),
            paths=PathsTable(state_dir=str(self.place), run_dir=str(place), evidence_dir=str(self.place)),
            cameras=(CameraTable(name="dome", main_url="rtsp://dome/main"),),
        )
        self.write()
        (place / "ca.pem").write_bytes(self.unit.authority.pem)

    def write(self) -> None:
        for file, data in self.unit.files.items():
            (self.place / file).parent.mkdir(parents=True, exist_ok=True)
            (self.place / file).write_bytes(data)
        lock = Lock(
            incident_id=INCIDENT, from_boot=BOOT, from_mono_ns=RAISED_NS, to_boot=BOOT,
            to_mono_ns=RAISED_NS + 3 * SEGMENT_NS, kind="panic", outcome="genuine", clock="synced",
        )  # fmt: skip
        (self.place / "locks").mkdir(exist_ok=True)
        (self.place / "locks" / f"{INCIDENT}.json").write_bytes(msgspec.json.encode(lock))
        (self.place / "signing").mkdir(exist_ok=True)
        (self.place / "signing" / "evidence.pem").write_bytes(self.unit.certificate)
        (self.place / "checkpoints.log").unlink(missing_ok=True)
        for _, body, signature in self.unit.signed:
            append_checkpoint(self.place, body, signature)

    def export(self, name: str = "export") -> Case:
        order = Order(incident=INCIDENT[:8], by="PC 42", wait=False)
        asked = understand(self.config, order)
        target = self.out / name
        make = export_zip if name.endswith(".zip") else export
        make(self.config, order, asked, target, Watcher())
        return Case(self.unit, target, self.out / "ca.pem", self.unit.write_heads(self.out / "heads.jsonl"))

    def seal(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                stream.readline()
                request = msgspec.json.decode(stream.readline(), type=SealExport)
                self.unit.note(
                    "core", "export", manifest_sha256=request.manifest_sha256, incident_id=request.incident_id,
                    cameras=",".join(request.cameras), segments=request.segments, by=request.by,
                )  # fmt: skip
                self.unit.checkpoint()
                n, body, signature = self.unit.signed[-1]
                append_checkpoint(self.place, body, signature)
                reply = ToolReply(
                    core_n=self.unit.heads["core"][0], checkpoint=n, body=body.decode(),
                    signature=base64.b64encode(signature).decode(),
                )  # fmt: skip
                stream.write(msgspec.json.encode(reply) + b"\n")


@contextmanager
def core_of(pole: Pole) -> Iterator[None]:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(pole.out / "core.sock"))
    server.listen()
    thread = threading.Thread(target=pole.seal, args=(server,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


@pytest.fixture
def pole(tmp_path: Path) -> Iterator[Pole]:
    made = Pole(tmp_path)
    with core_of(made):
        yield made


def judge(case: Case) -> Report:
    return verify(case.export, case.trust, case.heads)


def test_a_real_export_is_proven_as_directory_and_as_zip(pole: Pole) -> None:
    case = pole.export()
    report = judge(case)
    assert report.status == PROVEN, report
    assert judge(pole.export("export.zip")).status == PROVEN
    assert {part.stream for part in report.streams} == {"audio", "dome"}


def test_the_printed_commands_are_silent_on_a_real_export_and_find_a_changed_one(pole: Pole) -> None:
    case = pole.export()
    assert len(blocks()) > 0
    assert "WRONG" not in said(case)
    assert "not proven" not in said(case)
    data = bytearray((case.export / "chain/core.jsonl").read_bytes())
    data[-40] ^= 1
    (case.export / "chain/core.jsonl").write_bytes(data)
    assert "WRONG" in said(case)


def test_a_forged_directory_is_what_an_export_is(pole: Pole) -> None:
    """Or the tamper proofs would be about something else: same names, same kinds, same order."""
    real = pole.export().export
    forged = pole.unit.export(pole.out / "forged")

    def names(export: Path) -> set[str]:
        found = {path.relative_to(export).as_posix() for path in export.rglob("*") if path.is_file()}
        return {name for name in found if not name.startswith("checkpoints/")}

    assert names(real) == names(forged)
    for name in names(real) - {"README.txt", "manifest.json", "SHA256SUMS", "chain/core.jsonl", "view/dome.mp4"}:
        if not name.startswith("audio/"):
            assert (real / name).read_bytes() == (forged / name).read_bytes(), name


def test_without_core_an_export_is_consistent_only(tmp_path: Path) -> None:
    case = Pole(tmp_path).export()
    report = judge(case)
    assert report.status == UNPROVEN
    assert "did not seal" in report.not_proven[0].why


def test_a_segment_changed_or_taken_on_the_units_own_disk_is_named(pole: Pole) -> None:
    """Before the export: the real tool copies what is there, says so, and core seals it all the same."""
    file = pole.place / "dome" / "000003-00000001.mp4"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9] + b"x" + whole[-8:])
    report = judge(pole.export("changed"))
    assert report.status == TAMPERED
    assert report.tampered[0].file == "segments/dome/000003-00000001.mp4"
    file.unlink()
    report = judge(pole.export("dropped"))
    assert report.status == TAMPERED
    assert report.tampered[0].file == "segments/dome/000003-00000001.mp4"
    file.write_bytes(whole)
    assert judge(pole.export("again")).status == PROVEN


def test_a_still_that_is_not_on_the_disk_any_more_is_named(pole: Pole) -> None:
    pole.unit.still("dome", 2)
    report = judge(pole.export())
    assert report.status == TAMPERED
    assert report.tampered[0].file == "stills/dome-2.jpg"


def test_the_chains_tail_cut_on_the_unit_before_the_export_is_named(pole: Pole) -> None:
    path = pole.place / "record.chain"
    kept = path.read_bytes().splitlines(keepends=True)[:-1]
    path.write_bytes(b"".join(kept))
    (pole.place / "dome" / "000003-00000002.mp4").unlink()
    report = judge(pole.export())
    assert report.status == TAMPERED
    assert report.tampered[0].file == "chain/record.jsonl"
