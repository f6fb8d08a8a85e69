"""A unit's directories as the recorder and core leave them, made here: for exports in tests."""

import base64
import hashlib
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np

from tests.unit.record.samples import FPS, INFO, units
from unitd.config import CameraTable, Config, PathsTable
from unitd.evidence.canonical import canonical
from unitd.evidence.export import Done, Watcher, export
from unitd.evidence.gather import Order, understand
from unitd.evidence.manifest import Manifest
from unitd.messages.media import AudioInfo, AudioUnit, StreamInfo
from unitd.messages.workers import SealExport, ToolReply
from unitd.record.muxer import FragmentMuxer, SoundMuxer
from unitd.store.chain import Chain
from unitd.store.chain_read import hash_of, read_lines
from unitd.store.checkpoints import append_checkpoint
from unitd.store.segment import SegmentHeader, header_box

SECOND_NS = 1_000_000_000
UTC_US = 1_800_000_000_000_000
INCIDENT = "abcdef12-0000-4000-8000-000000000001"
KEY_SIGNATURE = bytes(64)


class Teller(Watcher):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.phases: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def phase(self, what: str, total_bytes: int = 0) -> None:
        self.phases.append(what)


class Unit:
    """`base/state`, `base/evidence`, two cameras; boot 1. Instants are seconds of its monotonic clock."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.evidence, self.state = base / "evidence", base / "state"
        self.config = Config(
            schema=1,
            paths=PathsTable(state_dir=str(self.state), run_dir=str(base), evidence_dir=str(self.evidence)),
            cameras=tuple(CameraTable(name=name, main_url=f"rtsp://{name}/main") for name in ("panel", "dome")),
        )
        self.record_chain = Chain(self.evidence / "record.chain")
        self.core_chain = Chain(self.state / "core.chain")
        self.seq: dict[str, int] = {}

    def segment(
        self, camera: str, start_s: float, seconds: int = 2, *, first: int = 0, session: int = 1, boot: int = 1,
        chained: str | None = "segment", info: StreamInfo = INFO,
    ) -> Path:  # fmt: skip
        """Pictures from number `first` of their session on, each keyframe with `info`'s own mark."""
        stream = list(units(seconds * FPS, first=first))
        header = self._header(camera, start_s, boot, session, stream[0].pts_90khz)
        muxer = FragmentMuxer(info, 500, header_box(header))
        data = b"".join(muxer.add(unit) for unit in stream) + muxer.finish()
        return self._put(camera, header, data, seconds, chained)

    def voices(self, start_s: float, seconds: int = 2, *, boot: int = 1) -> Path:
        """The incident's two voices; coded sound of a rising tone."""
        header = self._header("audio", start_s, boot, 9, 0)
        muxer = SoundMuxer(SOUND, 500, header_box(header))
        data = b"".join(muxer.add(unit) for unit in sounds(seconds)) + muxer.finish()
        return self._put("audio", header, data, seconds, "segment")

    def lock(
        self, from_s: float, to_s: float | None, outcome: str | None = "genuine", incident: str = INCIDENT
    ) -> None:
        lock: dict[str, Any] = {
            "incident_id": incident, "from_boot": 1, "from_mono_ns": int(from_s * SECOND_NS), "kind": "panic",
            "raised_utc_us": UTC_US, "clock": "synced", "outcome": outcome,
        }  # fmt: skip
        if to_s is not None:
            lock |= {"to_boot": 1, "to_mono_ns": int(to_s * SECOND_NS)}
        (self.state / "locks").mkdir(parents=True, exist_ok=True)
        (self.state / "locks" / f"{incident}.json").write_text(json.dumps(lock))
        self.core_chain.append("lock", 1, incident_id=incident)

    def still(self, camera: str) -> None:
        path = self.evidence / ".stills" / INCIDENT / f"{camera}-1.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\xd8 a picture")
        self.record_chain.append(
            "still", 1, file=f".stills/{INCIDENT}/{path.name}", bytes=path.stat().st_size, camera=camera,
            sha256=sha256(path), incident_id=INCIDENT, at_mono_ns=101 * SECOND_NS,
        )  # fmt: skip

    def export(self, output: Path, teller: Watcher | None = None, **order: Any) -> Done:
        wanted = Order(**({"incident": INCIDENT[:6], "by": "an officer"} | order))
        return export(self.config, wanted, understand(self.config, wanted), output, teller or Teller())

    def chain_line(self, path: Path, kind: str, begin_s: float, seconds: float, boot: int = 1) -> None:
        self.record_chain.append(
            kind, 1, file=f"{path.parent.name}/{path.name}", bytes=path.stat().st_size, sha256=sha256(path),
            from_mono_ns=int(begin_s * SECOND_NS), to_mono_ns=int((begin_s + seconds) * SECOND_NS),
        )  # fmt: skip

    def _header(self, camera: str, start_s: float, boot: int, session: int, pts: int) -> SegmentHeader:
        self.seq[camera] = self.seq.get(camera, 0) + 1
        return SegmentHeader(
            unit=self.config.unit.id, camera=camera, boot_id="b", boot=boot, seq=self.seq[camera],
            mono_ns=int(start_s * SECOND_NS), utc_us=UTC_US + int((start_s - 100) * 1e6), clock="synced",
            session=session, pts_90khz=pts,
        )  # fmt: skip

    def _put(self, camera: str, header: SegmentHeader, data: bytes, seconds: int, chained: str | None) -> Path:
        path = self.evidence / camera / f"{header.boot:06d}-{header.seq:08d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if chained is not None:
            self.chain_line(path, chained, header.mono_ns / SECOND_NS, seconds)
        return path


class StubCore(threading.Thread):
    """Seals as core does, by docs/design/storage.md: the line `export`, then a checkpoint over both heads."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(daemon=True)
        self._unit = unit
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(unit.base / "core.sock"))
        self._server.listen()
        self.requests: list[SealExport] = []
        self.checkpoint()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                stream.readline()
                request = msgspec.json.decode(stream.readline(), type=SealExport)
                self.requests.append(request)
                self._unit.core_chain.append("export", 1, manifest_sha256=request.manifest_sha256)
                body, signature = self.checkpoint()
                reply = ToolReply(core_n=1, checkpoint=1, body=body.decode(),
                                  signature=base64.b64encode(signature).decode())  # fmt: skip
                stream.write(msgspec.json.encode(reply) + b"\n")
                stream.flush()

    def checkpoint(self) -> tuple[bytes, bytes]:
        heads = {}
        for name, path in (("core", self._unit.state / "core.chain"), ("record", self._unit.evidence / "record.chain")):
            last = None
            for line in read_lines(path):
                last = line
            heads[name] = {"n": 0, "head": "0" * 64} if last is None else {"n": last.n, "head": hash_of(last.raw)}
        self._n = getattr(self, "_n", 0) + 1
        body = canonical({
            "version": 1, "unit": self._unit.config.unit.id, "n": self._n, "prev": "0" * 64, "boot": 1, "boot_id": "b",
            "mono_ns": 1, "utc_us": UTC_US, "clock": "synced", "heads": heads,
        })  # fmt: skip
        append_checkpoint(self._unit.state, body, KEY_SIGNATURE)
        return body, KEY_SIGNATURE

    def stop(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.join()


@contextmanager
def core_of(unit: Unit) -> Iterator[StubCore]:
    core = StubCore(unit)
    core.start()
    try:
        yield core
    finally:
        core.stop()


def sounds(seconds: int) -> list[AudioUnit]:
    """Real AAC, stereo, 48 kHz: 1,024 samples a piece."""
    encoder: Any = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "fltp"
    encoder.open()
    found: list[AudioUnit] = []
    for number in range(seconds * 48_000 // 1024):
        times = (np.arange(1024) + number * 1024) / 48_000
        tone = np.sin(2 * np.pi * 440 * times * (1 + times)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([tone, -tone]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48_000, number * 1024
        for packet in encoder.encode(frame):
            found.append(AudioUnit(bytes(packet), len(found) * 1920, 1920, 0))
    return found


SOUND = AudioInfo("aac", 48_000, 2, bytes((0x11, 0x90)))
"""AudioSpecificConfig: AAC-LC, 48 kHz, two channels."""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest_of(directory: Path) -> Manifest:
    data = (directory / "manifest.json").read_bytes()
    manifest = msgspec.json.decode(data, type=Manifest)
    assert canonical(manifest) == data
    return manifest


def tree(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def samples(path: Path, kind: str = "video") -> list[bytes]:
    """Every coded picture or piece of sound as FFmpeg finds it."""
    with av.open(str(path)) as file:
        streams = getattr(file.streams, kind)
        return [bytes(packet) for packet in file.demux(streams[0]) if packet.size] if streams else []


def times(path: Path, kind: str = "v") -> list[float]:
    """When each is shown, in order of display, as ffprobe says."""
    command = ["ffprobe", "-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time", "-of", "csv=p=0"]
    out = subprocess.run([*command, str(path)], check=True, capture_output=True, text=True).stdout
    return sorted(float(line.rstrip(",")) for line in out.split())
