"""Makes small evidence directories without a unit: real segments, chains, checkpoints, certificates.

As `unitd export` writes them (docs/evidence.md), in some 100 ms and 20 kB; a test compares the two.
"""

import base64
import datetime
import functools
import hashlib
import io
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from unitd.evidence.canonical import canonical
from unitd.evidence.manifest import BootTime, EvidenceFile, IncidentPart, Made, Manifest, Span
from unitd.evidence.mp4_file import Labels
from unitd.evidence.view import Source, join, join_voices
from unitd.store.chain import Chain
from unitd.store.footage import Footage
from unitd.store.segment import SegmentHeader, SegmentKey, header_box, measure

INCIDENT = "3f0c5d1e-8a77-4f0e-9a55-0d6f5b1c2a33"
BOOT = 3
BOOT_ID = "5c2d8d0f-6a3a-4cf2-9a86-1f7c51c0a001"
RAISED_NS = 5_000_000_000_000
"""The incident's lock begins here."""
OFFSET_US = 1_795_000_000_000_000
"""UTC minus the monotonic clock of that boot: 2026-11-18."""
FPS, PICTURES = 2, 4
SEGMENT_NS = PICTURES * 1_000_000_000 // FPS
GENESIS = "0" * 64


@functools.cache
def pictures(seed: int) -> tuple[tuple[bytes, bool], ...]:
    """A few tiny H.264 pictures, Annex B without SEI, the first a keyframe."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 32, 32, "yuv420p"
    encoder.time_base, encoder.gop_size, encoder.thread_count = Fraction(1, FPS), PICTURES, 1
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "annexb=1:repeat-headers=1"}
    noise = np.random.default_rng(seed)
    packets = []
    for index in range(PICTURES):
        frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), noise.integers(0, 255), dtype=np.uint8), format="rgb24")
        frame.pts = index
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return tuple((_without_sei(bytes(packet)), bool(packet.is_keyframe)) for packet in packets if packet.size)


def _without_sei(annex_b: bytes) -> bytes:
    units = annex_b.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return b"".join(b"\0\0\0\1" + unit for unit in units if unit and unit[0] & 31 != 6)


def _segment(header: SegmentHeader, seed: int) -> bytes:
    out = io.BytesIO()
    container: Any = av.open(
        out, "w", format="mp4", options={"movflags": "empty_moov+default_base_moof+skip_trailer+frag_keyframe"}
    )
    if header.camera == "audio":
        stream = container.add_stream("pcm_s16be", rate=8000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.full((1, 320), seed, dtype=np.int16), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 8000, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    else:
        stream = container.add_mux_stream("h264", width=32, height=32)
        stream.time_base = Fraction(1, 90_000)
        for index, (data, keyframe) in enumerate(pictures(seed)):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 90_000), keyframe
            packet.pts = packet.dts = index * 90_000 // FPS
            packet.duration = 90_000 // FPS
            container.mux_one(packet)
    container.close()
    data = out.getvalue()
    ftyp = struct.unpack(">I", data[:4])[0]
    return data[:ftyp] + header_box(header) + data[ftyp:]


@dataclass
class Authority:
    """A certificate authority; `pem` is what --trust gets."""

    name: str = "an authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.certificate = self._sign(self.name, self.key.public_key(), authority=True)
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def vouch(self, unit: str, key: Ed25519PrivateKey) -> bytes:
        return self._sign(unit, key.public_key(), authority=False).public_bytes(serialization.Encoding.PEM)

    def _sign(self, name: str, public: Any, *, authority: bool) -> x509.Certificate:
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        return certificate(name, public, issuer, self.key, hashes.SHA256(), authority)


def certificate(
    name: str, public: Any, issuer: x509.Name, key: Any, algorithm: Any, authority: bool = False
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(4711)
        .not_valid_before(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2028, 1, 1, tzinfo=datetime.UTC))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(key, algorithm)
    )


def self_signed(unit: str, key: Ed25519PrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, unit)])
    return certificate(unit, key.public_key(), name, key, None).public_bytes(serialization.Encoding.PEM)


@dataclass
class Unit:
    """A unit that records two cameras' worth of seconds, signs, and exports. `kept`: the control room's heads."""

    place: Path
    authority: Authority = field(default_factory=Authority)
    name: str = "unit-7"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    certificate: bytes = b""
    kept: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.certificate = self.certificate or self.authority.vouch(self.name, self.key)
        self.record, self.core = Chain(self.place / "record.chain"), Chain(self.place / "core.chain")
        self.files: dict[str, bytes] = {}
        self.states: dict[str, str] = {}
        self.signed: list[tuple[int, bytes, bytes]] = []
        self.heads = {"core": (0, GENESIS), "record": (0, GENESIS)}
        self.now_ns = RAISED_NS - 60_000_000_000

    # --- what a unit does -------------------------------------------------------------------------------------------

    def note(self, writer: str, kind: str, **fields: Any) -> None:
        chain = self.record if writer == "record" else self.core
        self.now_ns += 1_000_000
        chain.append(kind, BOOT, durable=False, **{"mono_ns": self.now_ns} | fields)
        self.heads[writer] = (self.heads[writer][0] + 1, chain.head)

    def segment(self, stream: str, seq: int, /, *, state: str = "whole", at: int | None = None, **claims: Any) -> None:
        """Record one, the `at`-th since the incident began (default `seq`). `claims`: what its header says instead."""
        begin = RAISED_NS + (seq if at is None else at) * SEGMENT_NS
        header = SegmentHeader(
            unit=self.name, camera=stream, boot_id=BOOT_ID, boot=BOOT, seq=seq, mono_ns=begin,
            utc_us=begin // 1000 + OFFSET_US, clock="synced", session=1, pts_90khz=seq * PICTURES * 90_000 // FPS,
        )  # fmt: skip
        file = f"{stream}/{SegmentKey(BOOT, seq).file_name}"
        data = self.files[file] = _segment(msgspec.structs.replace(header, **claims), seq + len(stream))
        self.now_ns = max(self.now_ns, begin + SEGMENT_NS)
        self.states[file] = state
        if state != "open":
            kind = {"whole": "segment"}.get(state, state)
            self.note(
                "record", kind, file=file, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(),
                units=PICTURES, from_mono_ns=begin, to_mono_ns=begin + SEGMENT_NS,
            )  # fmt: skip

    def still(self, camera: str, number: int = 1) -> None:
        data = b"\xff\xd8 a small picture of " + camera.encode() + b"\xff\xd9"
        file = f".stills/{INCIDENT}/{camera}-{number}.jpg"
        self.files[file] = data
        self.note(
            "record", "still", file=file, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), camera=camera,
            incident_id=INCIDENT, at_mono_ns=RAISED_NS,
        )  # fmt: skip

    def lock(self, segments: int) -> None:
        self.note(
            "core", "lock", incident_id=INCIDENT, from_boot=BOOT, from_mono_ns=RAISED_NS, to_boot=BOOT,
            to_mono_ns=RAISED_NS + segments * SEGMENT_NS, incident_kind="panic", outcome="genuine", review_utc_us=0,
        )  # fmt: skip

    def checkpoint(self, *, keep: bool = True, **changes: Any) -> bytes:
        """Sign all heads; the control room gets it unless `keep` is False."""
        n = self.signed[-1][0] + 1 if self.signed else 1
        body = canonical(
            {
                "version": 1, "unit": self.name, "n": n,
                "prev": hashlib.sha256(self.signed[-1][1]).hexdigest() if self.signed else GENESIS,
                "boot": BOOT, "boot_id": BOOT_ID, "mono_ns": RAISED_NS + n * 60_000_000_000,
                "utc_us": RAISED_NS // 1000 + n * 60_000_000 + OFFSET_US, "clock": "synced",
                "heads": {writer: {"n": at, "head": head} for writer, (at, head) in self.heads.items()},
            }
            | changes
        )  # fmt: skip
        self.signed.append((n, body, self.key.sign(body)))
        if keep:
            self.kept.append(self.head(len(self.signed) - 1))
        return body

    def head(self, index: int) -> dict[str, Any]:
        """As the control room notes it."""
        n, body, signature = self.signed[index]
        return {
            "unit": self.name, "received_utc_us": RAISED_NS // 1000 + n * 60_000_000 + OFFSET_US + 700_000,
            "checkpoint": n, "body": body.decode(), "signature": base64.b64encode(signature).decode(),
        }  # fmt: skip

    # --- export -----------------------------------------------------------------------------------------------------

    def export(
        self,
        to: Path,
        *,
        streams: tuple[str, ...] = ("audio", "dome"),
        seal: bool = True,
        keep: bool = True,
        segments: int = 3,
        **changes: Any,
    ) -> Path:
        """As docs/evidence.md says. `changes`: to the manifest."""
        to.mkdir(parents=True)
        files: list[EvidenceFile] = []

        def put(path: str, data: bytes, kind: Any, **fields: Any) -> None:
            (to / path).parent.mkdir(parents=True, exist_ok=True)
            (to / path).write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            files.append(EvidenceFile(path=path, bytes=len(data), sha256=digest, kind=kind, **fields))

        sources: dict[str, list[Source]] = {}
        for file in sorted(self.files):
            stream, _, name = file.partition("/")
            key = SegmentKey.parse(name)
            if stream in streams and key is not None:
                put(f"segments/{file}", self.files[file], "segment", stream=stream, boot=key.boot, seq=key.seq,
                    state=self.states[file])  # fmt: skip
                path = to / "segments" / file
                header = SegmentHeader(
                    unit=self.name, camera=stream, boot_id=BOOT_ID, boot=BOOT, seq=key.seq,
                    mono_ns=RAISED_NS + key.seq * SEGMENT_NS, utc_us=0, clock="synced", session=1,
                    pts_90khz=key.seq * PICTURES * 90_000 // FPS,
                )  # fmt: skip
                sources.setdefault(stream, []).append(Source.of(Footage(path, header, measure(path)), path))
            elif stream == ".stills":
                put(f"stills/{Path(file).name}", self.files[file], "still")
        voices = sources.get("audio", [])
        for stream, of_stream in sources.items():
            part = join_voices(voices) if stream == "audio" else join(of_stream, voices)[0]
            out = io.BytesIO()
            assert part is not None
            part.write(Labels("a title", "a comment"), out.write)
            put("audio/audio.mp4" if stream == "audio" else f"view/{stream}.mp4", out.getvalue(),
                "audio" if stream == "audio" else "view")  # fmt: skip
        put("README.txt", b"This is a small export.\n", "readme")
        end_ns, made_ns = RAISED_NS + segments * SEGMENT_NS, RAISED_NS + 600 * 10**9
        manifest = Manifest(
            version=1, unit=self.name, site="North Pier",
            incident=IncidentPart(incident_id=INCIDENT, kind="panic", outcome="genuine", clock="synced"),
            span=Span(from_boot=BOOT, from_mono_ns=RAISED_NS, to_boot=BOOT, to_mono_ns=end_ns),
            made=Made(utc_us=made_ns // 1000 + OFFSET_US, clock="synced", boot=BOOT, mono_ns=made_ns),
            by="PC 42", software="unitd 0.1.0", files=tuple(sorted(files, key=lambda each: each.path)),
            times={str(BOOT): BootTime(offset_us=OFFSET_US, clock="synced")}, notes=(),
        )  # fmt: skip
        write_manifest(to, msgspec.structs.replace(manifest, **changes))
        if seal:
            self.seal(to, keep=keep)
        else:
            self._extracts(to)
        return to

    def seal(self, to: Path, *, keep: bool = True) -> None:
        """The line `export`, a checkpoint over it, and what proves both."""
        digest = hashlib.sha256((to / "manifest.json").read_bytes()).hexdigest()
        self.note(
            "core", "export", manifest_sha256=digest, incident_id=INCIDENT, cameras="dome", segments=3, by="PC 42"
        )
        self.checkpoint(keep=keep)
        self._extracts(to)
        (to / "checkpoints").mkdir(exist_ok=True)
        for n, body, signature in self.signed:
            (to / f"checkpoints/{n:08d}.json").write_bytes(body)
            (to / f"checkpoints/{n:08d}.sig").write_bytes(signature)
        (to / "certificate.pem").write_bytes(self.certificate)

    def _extracts(self, to: Path) -> None:
        (to / "chain").mkdir(exist_ok=True)
        for writer in ("record", "core"):
            lines = (self.place / f"{writer}.chain").read_bytes().splitlines(keepends=True)
            records = [msgspec.json.decode(line) for line in lines]
            if writer == "core":
                first = next(at for at, record in enumerate(records) if record["kind"] == "lock")
            else:
                first = max((at for at, record in enumerate(records) if record["mono_ns"] <= RAISED_NS), default=0)
            (to / f"chain/{writer}.jsonl").write_bytes(b"".join(lines[first : self.heads[writer][0]]))

    def write_heads(self, path: Path, kept: list[dict[str, Any]] | None = None) -> Path:
        path.write_bytes(b"".join(msgspec.json.encode(head) + b"\n" for head in (self.kept if kept is None else kept)))
        return path


def write_manifest(to: Path, manifest: Manifest) -> None:
    data = canonical(manifest)
    (to / "manifest.json").write_bytes(data)
    sums = "".join(f"{file.sha256}  {file.path}\n" for file in manifest.files)
    (to / "SHA256SUMS").write_text(f"{sums}{hashlib.sha256(data).hexdigest()}  manifest.json\n")


def busy_unit(place: Path, **fields: Any) -> Unit:
    """Three segments of dome, two of the voices, a still, a lock, checkpoints before and after."""
    place.mkdir(parents=True, exist_ok=True)
    unit = Unit(place, **fields)
    unit.note("core", "session", boot_id=BOOT_ID, session=9)
    unit.note("record", "evict", file="dome/000001-00000001.mp4", bytes=9, why="age")
    unit.note("record", "evict", file="dome/000001-00000002.mp4", bytes=9, why="age")
    unit.checkpoint()
    unit.now_ns = RAISED_NS
    unit.still("dome")
    unit.segment("dome", 0)
    unit.segment("audio", 0)
    unit.note("core", "clock", boot_id=BOOT_ID, session=9)
    unit.checkpoint()
    unit.segment("dome", 1)
    unit.segment("audio", 1)
    unit.segment("dome", 2)
    unit.lock(3)
    unit.checkpoint()
    return unit


@dataclass
class Case:
    """An export with all that is needed to prove it."""

    unit: Unit
    export: Path
    trust: Path
    heads: Path


def proven_case(place: Path) -> Case:
    """A small export that is proven in full."""
    unit = busy_unit(place / "unit")
    export = unit.export(place / "export")
    (place / "ca.pem").write_bytes(unit.authority.pem)
    return Case(unit, export, place / "ca.pem", unit.write_heads(place / "heads.jsonl"))
