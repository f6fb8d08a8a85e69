"""Write the seeds of every target from real messages again: python3 -m tests.fuzz.make_corpus

The examples of docs/control-room-api.md, the shipped configurations, and what the product's own encoders write. Files
whose names begin with `found-` were findings and stay.
"""

from __future__ import annotations

import io
import re
import struct
import tempfile
import zipfile
from pathlib import Path

import msgspec

from tests.fuzz.target import CORPUS
from tests.fuzz.targets.control_room import INCIDENT, OPEN
from unitd.evidence.canonical import canonical
from unitd.messages import control_room as up
from unitd.messages import duplex
from unitd.messages import workers as w
from unitd.messages.voices import VoicesHello
from unitd.model import events as ev
from unitd.model.incident import Settings
from unitd.model.step import step
from unitd.store.chain import Chain
from unitd.store.checkpoints import LOG_NAME, Checkpoint, HeadPart, append_checkpoint
from unitd.store.outbox import Entry, sealed
from unitd.store.segment import SegmentHeader, header_box

ROOT = Path(__file__).parents[2]
SPS = bytes.fromhex("674d401fe8802802dd80b5010101400000fa40003a9821")
PPS = bytes.fromhex("68ee3c80")
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=live\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\na=range:npt=0-\r\n"
    b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=4d401f;"
    b"sprop-parameter-sets=Z01AH+iAKALdgLUBAQFAAAD6QAA6mCE=,aO48gA==\r\na=control:trackID=1\r\n"
    b"m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:trackID=2\r\n"
)
UPLOAD = b"https://evidence.example/clips/8f14?case=7\n"
DIGEST = b'Digest realm="camera", nonce="c0ffee", qop="auth", algorithm=SHA-256, opaque="x"'


def commands() -> dict[str, bytes]:
    """The guide's examples, for the session of the target."""
    guide = (ROOT / "docs" / "control-room-api.md").read_text(encoding="utf-8")
    made = {}
    for role in ("Operator", "Maintainer"):
        for number, text in enumerate(re.findall(rf"```json example {role}Command\n(.*?)```", guide, re.DOTALL)):
            fields = msgspec.json.decode(text) | {"session": 7, "seq": number}
            if "incident_id" in fields:
                fields["incident_id"] = INCIDENT
            made[f"{fields['cmd']}-{number}"] = role[:1].lower().encode() + msgspec.json.encode(fields)
    made["two-consoles"] = made["accept-0"] + b"\n" + made["answer-1"][1:]
    watching = [made[name] for name in made if name.startswith(("watch", "announce", "end_watch", "speak"))]
    made["nobody-called"] = b"i" + b"\n".join(each[1:] for each in watching)
    return made


def packet(sequence: int, timestamp: int, payload: bytes, marker: bool = False) -> bytes:
    return struct.pack(">BBHII", 0x80, 96 | marker << 7, sequence, timestamp, 7) + payload


def packets() -> list[bytes]:
    idr, aggregate = (
        b"\x65\x88" + bytes(range(60)),
        b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in (SPS, PPS)),
    )
    return [
        packet(1, 0, aggregate),
        packet(2, 0, b"\x7c\x85" + idr[1:30]),
        packet(3, 0, b"\x7c\x45" + idr[30:], marker=True),
        packet(4, 4500, b"\x41\x9a" + bytes(20), marker=True),
    ]


H265_SPS = bytes.fromhex("42010101600000030090000003000003003ca00a880c1c44d965644a4c2e6808000003000800000300a040")
AAC = (
    b"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000/1\r\na=fmtp:97 mode=AAC-hbr;config=1408;sizeLength=13\r\n"
)


def camera_sound_and_h265() -> dict[str, dict[str, bytes]]:
    """What comes of cameras with H.265 and with a microphone."""

    def sized(*pieces: bytes) -> bytes:
        return b"".join(len(each).to_bytes(2, "big") + each for each in pieces)

    h265 = sized(
        packet(1, 0, b"\x60\x01" + sized(b"\x40\x01\x0c", H265_SPS, b"\x44\x01\xc1\x72")),
        packet(2, 0, b"\x62\x01\x93\xaf" + bytes(40)),
        packet(3, 0, b"\x62\x01\x53" + bytes(40), marker=True),
        packet(4, 4500, b"\x02\x01\xd0" + bytes(20), marker=True),
    )
    frames = [struct.pack(">BBHIIHH", 0x80, 0xE1, n, n * 1024, 7, 16, 40 << 3) + bytes(40) for n in range(3)]
    voice = [struct.pack(">BBHII", 0x80, 0x88, n, n * 160, 7) + b"\xd5" * 160 for n in range(3)]
    report = struct.pack(">BBHIIIIII", 0x80, 200, 6, 7, 100, 1 << 31, 9000, 1, 1)
    return {
        "h265-sps": {"main": H265_SPS},
        "rtp-h265": {"picture": h265, "lost": h265[:40] + h265[60:]},
        "sound": {"aac": AAC + b"\0" + sized(*frames), "pcma": b"m=audio 0 RTP/AVP 8\r\n\0" + sized(*voice)},
        "rtcp": {"report": report, "bye": report + struct.pack(">BBHI", 0x81, 203, 1, 7)},
    }


def answer(sequence: int, *lines: bytes, status: bytes = b"200 OK", body: bytes = b"") -> bytes:
    length = [b"Content-Length: %d" % len(body)] if body else []
    return b"\r\n".join([b"RTSP/1.0 " + status, b"CSeq: %d" % sequence, *lines, *length, b"", body])


def conversation() -> bytes:
    interleaved = b"".join(b"$\0" + len(each).to_bytes(2, "big") + each for each in packets())
    return (
        answer(1, b"Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER")
        + answer(2, b"WWW-Authenticate: " + DIGEST, status=b"401 Unauthorized")
        + answer(3, b"Content-Base: rtsp://camera/live/", b"Content-Type: application/sdp", body=SDP)
        + answer(4, b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1", b"Session: 12345678;timeout=60")
        + answer(5, b"RTP-Info: url=rtsp://camera/live/trackID=1;seq=1")
        + interleaved
        + b"OPTIONS rtsp://unit RTSP/1.0\r\nCSeq: 9\r\n\r\n"
    )


def segment() -> bytes:
    """`ftyp`, our header, one fragment with its durations, as FFmpeg lays them out."""

    def box(kind: bytes, *content: bytes) -> bytes:
        body = b"".join(content)
        return struct.pack(">I4s", 8 + len(body), kind) + body

    header = SegmentHeader(
        unit="pole-0001",
        camera="dome",
        boot_id="b",
        boot=3,
        seq=1,
        mono_ns=1,
        utc_us=1,
        clock="synced",
        session=1,
        pts_90khz=0,
    )
    tfhd = box(b"tfhd", struct.pack(">III", 0x20008, 1, 4500))
    tfdt = box(b"tfdt", struct.pack(">IQ", 1 << 24, 90_000))
    trun = box(b"trun", struct.pack(">IIi", 0x701, 2, 100), struct.pack(">III", 4500, 20, 0) * 2)
    moof = box(b"moof", box(b"mfhd", bytes(8)), box(b"traf", tfhd, tfdt, trun))
    ftyp = box(b"ftyp", b"iso5\0\0\2\0iso5iso6mp41")
    return ftyp + header_box(header) + box(b"moov", bytes(16)) + moof + box(b"mdat", bytes(40))


def stored() -> dict[str, dict[str, bytes]]:
    entry = Entry("p", INCIDENT, "panic", 1, 0, "unknown", 1)
    state = step(OPEN, ev.Accepted(INCIDENT, "Ann"), 2_000_000_000, Settings())
    with tempfile.TemporaryDirectory() as place:
        chain = Chain(Path(place) / "record.chain")
        chain.append("segment", 3, file="dome/000003-00000001.mp4", bytes=100, sha256="ab")
        chain.append("evict", 3, file="dome/000003-00000001.mp4", bytes=100)
        chain.close()
        lines = (Path(place) / "record.chain").read_bytes()
    latch = {"press_id": "p", "incident_id": INCIDENT, "mono_ns": 1, "utc_us": 2, "clock": "held", "boot_id": "b"}
    lock = {
        "incident_id": INCIDENT,
        "from_boot": 3,
        "from_mono_ns": 1,
        "to_boot": None,
        "to_mono_ns": None,
        "raised_utc_us": 1,
        "clock": "synced",
        "kind": "panic",
        "outcome": None,
    }
    return {
        "outbox": {"entry": sealed(entry)},
        "entry": {"entry": msgspec.json.encode(entry)},
        "latch": {"latch": msgspec.json.encode(latch)},
        "boot": {"boot": b'{"boot_id": "another-boot", "boot": 7}\n', "same": b'{"boot_id": "this-boot", "boot": 7}\n'},
        "session": {"session": b'{"session":41}'},
        "last-seen": {"seen": b'{"utc_s":1790000000}\n'},
        "watched": {"stamp": struct.pack("=8sqqB23s", b"watched1", 900_000_000, 2, 0, b"cable cut")},
        "clock-truth": {
            "corrected": b'{"n":1,"prev":"0","kind":"clock","boot":3,"mono_ns":1,"true_offset_us":1790000000}\n'
        },
        "sms-ledger": {"sent": b'[["2f0c-1",17],["2f0c-2",null]]'},
        "upload": {
            "taken": UPLOAD + b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}",
            "busy": UPLOAD + b"HTTP/1.1 503 Later\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        },
        "locks": {
            "open": msgspec.json.encode(lock),
            "ended": msgspec.json.encode(lock | {"to_boot": 3, "to_mono_ns": 9}),
        },
        "core-state": {"raised": msgspec.json.encode(OPEN), "accepted": msgspec.json.encode(state)},
        "checkpoints": checkpoints(),
        "chain": {"two": lines, "torn": lines[:-20]},
        "segment": {"whole": segment(), "torn": segment()[:-30]},
    }


def checkpoints() -> dict[str, bytes]:
    head = HeadPart(n=9, head="ab" * 32)
    with tempfile.TemporaryDirectory() as place:
        for n in (1, 2):
            made = Checkpoint(
                unit="pole-0001", n=n, prev="0" * 64, boot=3, boot_id="b", mono_ns=1, utc_us=1, clock="synced",
                heads={"core": head, "record": head},
            )  # fmt: skip
            append_checkpoint(Path(place), canonical(made), bytes(64))
        log = (Path(place) / LOG_NAME).read_bytes()
    return {"two": log, "torn": log[:-30]}


def sockets() -> dict[str, dict[str, bytes]]:
    def lines(*messages: msgspec.Struct) -> bytes:
        return b"".join(msgspec.json.encode(each) + b"\n" for each in messages)

    fault = w.Fault(code="camera_lost", subject="dome", text="no answer")
    desired = w.Desired(
        session=7,
        number=3,
        incident=w.OpenIncident(incident_id=INCIDENT, kind="panic", stage="answered", raised_mono_ns=1),
        call=w.CallWanted(incident_id=INCIDENT, microphone=True, voices=True, endpoints=("main",)),
        sound=w.SoundWanted(prompt="calling", warning=w.WarningWanted(number=1, name="cctv")),
        dome=w.DomeWanted(number=2, preset=3),
    )
    unit = struct.pack(">IB3xqq", 9, 1, 90_000, 1) + b"\0\0\0\1\x65" + bytes(4)
    opening = b'{"ok":true,"codec":"h264","width":640,"height":360,"extradata_hex":"00000001674d"}\n'
    return {
        "worker": {
            "talk": lines(
                w.Hello(who="record", pid=7),
                w.Health(faults=(fault,), facts={"dome.fps": 20.0, "dome.state": "live"}),
                w.Event(name="clip_ready", mono_ns=1, incident_id=INCIDENT, data={"upload_id": "u", "bytes": 5}),
            ),
            "status": lines(w.Hello(who="status", pid=1)),
            "seal": lines(
                w.Hello(who="tool", pid=1),
                w.SealExport(
                    manifest_sha256="ab" * 32, incident_id=INCIDENT, cameras=("dome",), segments=3, record_n=9
                ),
            ),
            "release": lines(w.Hello(who="tool", pid=1), w.ReleaseLock(incident_id=INCIDENT, by="Ann", reason="seen")),
            "close": lines(w.Hello(who="tool", pid=1), w.CloseIncident(incident_id=INCIDENT, by="Ann", outcome="hoax")),
        },
        "core": {"desired": lines(desired), "twice": lines(w.Desired(session=1, number=1), desired)},
        "voices": {
            "talk": msgspec.json.encode(VoicesHello(incident_id=INCIDENT)) + b"\n" + (bytes(8) + bytes(3840)) * 2
        },
        "still-result": {
            "still": msgspec.msgpack.encode(
                {"camera": "dome", "jpeg": b"\xff\xd8\xff\xd9", "width": 640, "height": 360, "at_mono_ns": 5}
            ),
            "error": msgspec.msgpack.encode({"camera": "dome", "error": "no picture could be decoded"}),
        },
        "still-event": {
            "still": msgspec.json.encode(
                w.Event(
                    name="still",
                    mono_ns=1,
                    incident_id=INCIDENT,
                    data={
                        "camera": "dome",
                        "at_mono_ns": 1,
                        "jpeg_base64": "/9j/2Q==",
                        "sha256": "ab",
                        "width": 2,
                        "height": 2,
                    },
                )
            )
        },
        "media-request": {"main": b'{"camera": "dome", "profile": "main"}\n', "short": b'{"camera":"dome"}\n'},
        "media-frames": {"frames": opening + unit * 2, "refused": b'{"ok":false,"error":"no such camera"}\n'},
    }


def wires() -> dict[str, dict[str, bytes]]:
    rtp = b"".join(len(each).to_bytes(2, "big") + each for each in packets())
    modem = (
        b'+COPS: 0,0,"Example Mobile",7\r\n\r\nOK\r\n> \r\n+CMGS: 12\r\n\r\nOK\r\n'
        b'+CEREG: 2,1,"1A2B","01234567",7\r\n+CESQ: 99,99,255,255,20,60\r\n+CSQ: 20,99\r\n+CPIN: READY\r\nRDY\r\n'
    )
    edge = struct.pack("<QIIII6I", 1_000_000, 2, 17, 1, 1, *[0] * 6)
    configs = [ROOT / "config" / "unit.toml", *sorted((ROOT / "config" / "examples").iterdir())]
    say = [
        duplex.PeerJoined(peer="ann"),
        duplex.Answer(peer="ann", sdp="v=0\r\n"),
        duplex.Restart(peer="ann"),
        duplex.Ping(n=3),
        duplex.Ice(peer="ann", candidate="candidate:1 1 UDP 1 10.0.0.1 9 typ host"),
        duplex.PeerLeft(peer="ann"),
    ]
    plain = (re.sub(rb"(?m)^#.*\n|\s+#.*$", b"", each.read_bytes()) for each in configs)
    return {
        "rtsp-bytes": {
            "conversation": b"\x3f" + conversation(),
            "lines": b"\x00" + conversation()[:200].replace(b"\r", b""),
        },
        "rtsp-session": {"conversation": conversation()},
        "sdp": {"camera": SDP},
        "challenge": {"digest": DIGEST, "both": b'Digest realm="c", nonce="n", Basic realm="c"'},
        "rtp": {"picture": rtp, "lost": rtp[:30] + rtp[45:]},
        **camera_sound_and_h265(),
        "sps": {"main": SPS, "high": bytes.fromhex("6764001facd9405005bb011000000300100000030320f1831960")},
        "udp": {
            "order": b"".join(each[:16].ljust(16, b"\0") for each in packets()),
            "mixed": b"".join(packet(n, n, b"\x41\x9a\0\0") for n in (3, 1, 2, 65535, 0, 5, 40, 41)),
        },
        "modem": {"answers": b"\xff" + modem, "bytes": b"\x00" + modem, "error": b"\x10\r\n+CME ERROR: 10\r\n"},
        "gpio": {"edges": edge * 2, "held": b"pos:\t0\ngpio-chip:\tgpiochip0\ngpio-line:\t17\n"},
        "config": {file.stem: text[:4096] for file, text in zip(configs, plain, strict=True)},
        "duplex": {f"{n}-{each.__struct_config__.tag}": msgspec.json.encode(each) for n, each in enumerate(say)},
        "t140": {"typed": "Helx\b\bp\r\nI am h\ufffdrt\u2028".encode(), "codes": "\ufeffa\x07\u202eb\x7f".encode()},
        "panel": {
            "typed": b'{"type":"typed","t140":"he\\u0008"}\n{"type":"quick","n":1}\n',
            "wrong": b'{"type":"quick","n":-1}\n[[[[\n\xff\n',
        },
        "units": {"list": b"# in the square\npole-0001\npole-0002  # by the fountain\n"},
    }


def exports() -> dict[str, dict[str, bytes]]:
    """A small export as verify gets it: whole, and each file after the number of its name."""
    from tests.unit.evidence.forge import proven_case

    with tempfile.TemporaryDirectory() as place:
        case = proven_case(Path(place))
        files = {path.relative_to(case.export).as_posix(): path for path in case.export.rglob("*") if path.is_file()}
        named = {name: files[name].read_bytes() for name in sorted(files)}
        named |= {"ca.pem": case.trust.read_bytes(), "heads.jsonl": case.heads.read_bytes()}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as out:
        for name, content in named.items():
            out.writestr(zipfile.ZipInfo(name), content)
    parts = {
        name.replace("/", "-"): bytes([at]) + content
        for at, (name, content) in enumerate(named.items())
        if not name.endswith((".mp4", ".sig")) or "00000003" in name  # the others are alike
    }
    films = {Path(name).parent.name: content for name, content in named.items() if name.endswith(".mp4")}
    return {"export-zip": {"whole": packed.getvalue()}, "export-part": parts, "export-mp4": films}


def main() -> None:
    received = msgspec.json.encode(up.Received(press_ids=(INCIDENT,)))
    made = {"command": commands(), "down": {"received": b"received\0" + received, "sign-of-life": b"received\0{}"}}
    made["down"] |= {"command": b"operator/cmd\0" + made["command"]["accept-0"][1:]}
    for target, seeds in (made | stored() | sockets() | wires() | exports()).items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, content in seeds.items():
            (CORPUS / target / name).write_bytes(content)


if __name__ == "__main__":
    main()
