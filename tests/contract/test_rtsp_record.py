"""The processes `record` and `sense` on the simulated camera, as core and the other processes see them."""

import hashlib
import http.server
import json
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from tests.contract.rtsp_bench import Bench, SimCamera, rss_mb, until
from unitd.messages.workers import RecordWanted, UploadWanted
from unitd.store.chain import first_break

CEILING_RECORD_MB = 70
CEILING_SENSE_MB = 110


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimCamera]:
    made = SimCamera(tmp_path_factory.mktemp("camera"))
    yield made
    made.close()


@pytest.fixture
def bench(tmp_path: Path, camera: SimCamera) -> Iterator[Bench]:
    made = Bench(tmp_path, camera)
    yield made
    made.core.close()
    camera.fault(None)


def media(bench: Bench, profile: str = "main") -> tuple[socket.socket, dict[str, Any]]:
    def ask() -> tuple[socket.socket, dict[str, Any]] | None:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10.0)
        try:
            client.connect(str(bench.run / "record.sock"))
        except OSError:
            client.close()
            return None
        client.sendall(json.dumps({"camera": "dome", "profile": profile}).encode() + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            line += client.recv(1)
        return client, json.loads(line)

    found: tuple[socket.socket, dict[str, Any]] = until(ask, "record.sock")
    return found


def exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = client.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def frame(client: socket.socket) -> tuple[bool, int, bytes]:
    length, flags, _, arrival_ns = struct.unpack(">IB3xqq", exactly(client, 24))
    return bool(flags & 1), arrival_ns, exactly(client, length)


def played(path: Path) -> int:
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"]
    out = subprocess.run([*command, str(path)], check=True, capture_output=True, text=True).stdout
    return int(out.strip().rstrip(","))


def test_the_ring_is_written_and_access_units_are_handed_out(bench: Bench) -> None:
    with bench.process("record") as record:
        until(lambda: len(bench.core.named("segment_closed")) >= 2, "two segments")
        client, answer = media(bench)
        assert answer["ok"] is True
        keyframe, arrival_ns, data = frame(client)
        assert keyframe
        assert data[4] & 0x1F == 7
        for _ in range(25):
            keyframe, arrival_ns, data = frame(client)
        assert time.monotonic_ns() - arrival_ns < 200_000_000
        sub, answer = media(bench, "sub")
        assert answer["ok"] is True
        assert frame(sub)[0]
        assert media(bench, "other")[1]["ok"] is False
        until(lambda: bench.core.health.facts.get("dome.fps", 0) > 15, "the frame rate in the facts")
        assert bench.core.health.faults == ()
        assert rss_mb(record) < CEILING_RECORD_MB
    segments = bench.segments()
    assert all(played(path) == 40 for path in segments[:-1])
    assert played(segments[-1]) > 0
    assert first_break(bench.evidence / "record.chain") is None


@pytest.mark.parametrize("fault", ["off", "frozen"])
def test_a_lost_camera_is_said_in_time_and_comes_back_by_itself(bench: Bench, fault: str) -> None:
    with bench.process("record"):
        until(lambda: bench.core.health.facts.get("dome.state") == "streaming", "streaming")
        client, _ = media(bench)
        bench.camera.fault(fault)
        lost = time.monotonic()
        until(lambda: bench.core.faults() & {"camera_lost", "camera_stalled"}, "the fault")
        assert time.monotonic() - lost < 3.9
        until(lambda: "camera_lost" in bench.core.faults(), "camera_lost")
        with pytest.raises(EOFError):
            while True:
                frame(client)
        bench.camera.fault(None)
        back = time.monotonic()
        until(lambda: not bench.core.faults(), "healed")
        assert time.monotonic() - back < 15.0


def test_pictures_flow_on_while_the_disk_is_broken(bench: Bench) -> None:
    bench.evidence.write_text("a file where the directory should be")
    with bench.process("record"):
        client, answer = media(bench)
        assert answer["ok"] is True
        until(lambda: "disk_error" in bench.core.faults(), "the fault")
        for _ in range(10):
            frame(client)
        bench.evidence.unlink()
        until(lambda: bench.core.named("segment_closed"), "recording")
        until(lambda: not bench.core.faults(), "healed")


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes clips; answers the statuses in `script` first."""

    script: ClassVar[list[int]] = []
    taken: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.script.pop(0) if self.script else 201
        if status == 201:
            self.taken.append((dict(self.headers), body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def receiver(base: Path, script: list[int]) -> Iterator[int]:
    """An HTTPS server that asks for the unit's certificate; yields its port. `base/tls` gets the files."""
    tls = base / "tls"
    tls.mkdir()
    common = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    for name in ("server", "unit"):
        files = ["-keyout", str(tls / f"{name}.key"), "-out", str(tls / f"{name}.pem")]
        extra = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        subprocess.run([*common, *files, *extra], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "server.pem", tls / "server.key")
    context.load_verify_locations(tls / "unit.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    Receiver.script, Receiver.taken = script, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def test_a_clip_is_made_and_sent_once_for_each_order(tmp_path: Path, camera: SimCamera) -> None:
    with receiver(tmp_path, [503]) as port:
        tls = {
            "ca_file": str(tmp_path / "tls/server.pem"),
            "cert_file": str(tmp_path / "tls/unit.pem"),
            "key_file": str(tmp_path / "tls/unit.key"),
        }
        bench = Bench(tmp_path, camera, upload={"hosts": ["127.0.0.1"], **tls})
        bench.lock("incident-1")
        with bench.process("record"):
            until(lambda: bench.core.named("segment_closed"), "footage")
            order = UploadWanted(
                upload_id="u1", incident_id="incident-1", url=f"https://127.0.0.1:{port}/clips/u1", token="secret"
            )
            bench.core.want(record=RecordWanted(sync_s=1.0), uploads=(order,))
            done = until(lambda: bench.core.named("upload_done"), "the upload")[0]
            ready = bench.core.named("clip_ready")
            assert [event.data["upload_id"] for event in ready] == ["u1"]
            assert done.data["ok"] is True
            headers, body = Receiver.taken[0]
            assert headers["Authorization"] == "Bearer secret"
            assert headers["Content-Type"] == "video/mp4"
            assert headers["X-Content-SHA256"] == hashlib.sha256(body).hexdigest() == done.data["sha256"]
            clip = tmp_path / "clip.mp4"
            clip.write_bytes(body)
            assert played(clip) >= 40
            elsewhere = msgspec.structs.replace(order, upload_id="u2", url="https://example.org/x")
            bench.core.want(uploads=(order, elsewhere))
            until(lambda: len(bench.core.named("upload_done")) == 2, "the refusal")
            refused = bench.core.named("upload_done")[1]
            assert refused.data["ok"] is False
            assert "'example.org' is not in upload.hosts" in str(refused.data["error"])
            bench.core.want(uploads=(order, elsewhere), session=2)
            until(lambda: len(bench.core.named("upload_done")) == 4, "said again to a core that started afresh")
            assert len(Receiver.taken) == 1
        assert list((bench.evidence / ".clips").iterdir()) == []
        assert "secret" not in (tmp_path / "record.log").read_text()
        bench.core.close()


def test_somebody_who_appears_is_motion(tmp_path: Path, camera: SimCamera) -> None:
    camera.ask(op="caller", present=False)
    camera.ask(op="pose", pan_deg=3.2, tilt_deg=-19.4, zoom=3.6)
    # A passer-by far off covers 6.4 % at most here, somebody at the panel 8 to 15 %.
    bench = Bench(tmp_path, camera, motion={"camera": "dome", "area_percent": 7.2, "hold_off_s": 1.0})
    with bench.process("record"), bench.process("sense") as sense:
        until(lambda: bench.core.health.facts.get("dome.learning") is False, "learnt")
        assert bench.core.named("motion") == []
        camera.ask(op="caller", present=True)
        event = until(lambda: bench.core.named("motion"), "motion")[0]
        assert event.data["camera"] == "dome"
        assert 7.2 <= float(event.data["area_percent"]) <= 60.0
        assert rss_mb(sense) < CEILING_SENSE_MB
    bench.core.close()
