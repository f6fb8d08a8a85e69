"""Core's record for real: a press is locked, chained, signed; the footage is released by an authorised word."""

import asyncio
import base64
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.system.core_alone import BUTTON, World, world
from unitd.messages import control_room as wire
from unitd.messages import workers
from unitd.store.chain_read import find_break, read_lines
from unitd.store.checkpoints import read_checkpoints

pytestmark = pytest.mark.system


def _lines(base: Path, kind: str) -> list[dict[str, Any]]:
    return [line.record for line in read_lines(base / "state" / "core.chain") if line.record["kind"] == kind]


def _checkpoints(w: World) -> list[wire.Event]:
    return [event for event in w.room.events if event.name == "checkpoint"]


def _openssl_verifies(w: World, event: wire.Event) -> bool:
    """With what everybody has, and the public key of the unit's own request."""
    d = w.directory
    request = d / "state" / "signing" / "evidence.csr"
    public = subprocess.run(["openssl", "req", "-in", request, "-noout", "-pubkey"], check=True, capture_output=True)
    (d / "public.pem").write_bytes(public.stdout)
    (d / "body").write_bytes(str(event.data["body"]).encode())
    (d / "sig").write_bytes(base64.b64decode(str(event.data["signature"])))
    command = f"openssl pkeyutl -verify -pubin -inkey {d}/public.pem -rawin -in {d}/body -sigfile {d}/sig"
    return subprocess.run(command.split(), capture_output=True, check=False).returncode == 0


async def _tool(w: World, request: workers.ToolRequest | bytes) -> workers.ToolReply:
    reader, writer = await asyncio.open_unix_connection(str(w.directory / "run" / "core.sock"))
    writer.write(msgspec.json.encode(workers.Hello(who="tool", pid=1)) + b"\n")
    writer.write((request if isinstance(request, bytes) else msgspec.json.encode(request)) + b"\n")
    reply = msgspec.json.decode(await reader.readline(), type=workers.ToolReply)
    writer.close()
    return reply


def _unitd(w: World, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "unitd", *arguments, "--config", str(w.config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def _born(w: World, seen: int) -> bool:
    """Whether the newest state is of a core after session `seen`: a killed one's last word may be all there is."""
    return w.room.states[-1].online and w.room.states[-1].session > seen


def test_from_the_press_to_the_release_with_a_new_core_at_every_step(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            await w.start()
            await w.until("birth", lambda: any(state.online and state.armed for state in w.room.states))
            w.gpio.press(BUTTON, 40)
            await w.until("alarm", lambda: bool(w.room.alarms))
            incident = w.room.alarms[0].incident_id
            lock = tmp_path / "state" / "locks" / f"{incident}.json"
            await w.until("locked", lambda: bool(_lines(tmp_path, "lock")) and lock.exists())
            await w.until("checkpoint", lambda: bool(_checkpoints(w)), 15.0)
            first = _checkpoints(w)[0]
            assert _openssl_verifies(w, first)
            body = json.loads(str(first.data["body"]))
            assert body["n"] == first.data["checkpoint"] == 1
            line = next(
                each for each in read_lines(tmp_path / "state" / "core.chain") if each.n == body["heads"]["core"]["n"]
            )
            assert line.n >= _lines(tmp_path, "lock")[0]["n"]
            assert (tmp_path / "state" / "signing" / "evidence.key").stat().st_mode & 0o777 == 0o600
            w.end(signal.SIGKILL)

            seen = w.room.states[-1].session
            await w.start()
            await w.until("again", lambda: _born(w, seen) and bool(w.room.states[-1].open_incidents))
            w.command(wire.ReleaseLock, 0, "maintainer", incident_id=incident, reason="too early")
            await w.until("refused", lambda: bool(w.room.replies))
            assert w.room.replies[-1].result == "refused" and "open" in w.room.replies[-1].reason
            w.command(wire.Close, 1, incident_id=incident, outcome="hoax", note="boys")
            await w.until("completed", lambda: json.loads(lock.read_bytes())["to_mono_ns"] is not None)
            await w.until("lines", lambda: len(_lines(tmp_path, "lock")) == 2)
            await w.until("signed", lambda: len(_checkpoints(w)) > 1, 15.0)
            w.end(signal.SIGKILL)

            seen = w.room.states[-1].session
            await w.start()
            await w.until("birth", lambda: _born(w, seen) and not w.room.states[-1].open_incidents)
            w.room.replies.clear()
            w.command(wire.ReleaseLock, 0, "maintainer", incident_id=incident, reason="looked at: a hoax")
            await w.until("done", lambda: bool(w.room.replies))
            assert [each.result for each in w.room.replies] == ["done"], w.room.replies
            await w.until("gone", lambda: not lock.exists())
            await w.until("told", lambda: any(event.name == "lock_released" for event in w.room.events))
            assert (lock.parent / "released" / lock.name).exists()
            known = len(_checkpoints(w))
            await w.until("signed", lambda: len(_checkpoints(w)) > known, 15.0)
            assert _openssl_verifies(w, _checkpoints(w)[-1])
            assert w.end() == 0

            [released] = _lines(tmp_path, "lock_released")
            assert (released["by"], released["reason"]) == ("Ann", "looked at: a hoax")
            commands = [(each["cmd"], each["result"]) for each in _lines(tmp_path, "command")]
            assert commands == [("release_lock", "refused"), ("close", "done"), ("release_lock", "done")]
            stages = [each["stage"] for each in _lines(tmp_path, "incident")]
            assert stages[0] == "raised" and stages[-2:] == ["closing", "closed"] and len(set(stages)) == len(stages)
            assert len(_lines(tmp_path, "session")) == 3
            assert find_break(tmp_path / "state" / "core.chain") is None
            signed = list(read_checkpoints(tmp_path / "state"))
            assert [each.checkpoint.n for each in signed] == list(range(1, len(signed) + 1))
            assert [each.checkpoint.prev for each in signed[1:]] == [each.hash for each in signed[:-1]]

    asyncio.run(run())


def test_a_unit_that_stands_alone_seals_closes_and_releases(tmp_path: Path) -> None:
    """No broker is configured at all: who stands at the pole can do what must be done."""

    async def run() -> None:
        async with world(tmp_path) as w:
            text = w.config.read_text()
            w.config.write_text(text[: text.index("[[brokers]]")])
            await w.start()
            w.gpio.press(BUTTON, 40)
            locks = tmp_path / "state" / "locks"
            await w.until("locked", lambda: bool(list(locks.glob("*.json"))))
            [file] = locks.glob("*.json")
            incident = file.stem
            listed = await asyncio.to_thread(_unitd, w, "locks", "--json")
            assert json.loads(listed.stdout)["locks"][0]["incident_id"] == incident
            early = await asyncio.to_thread(
                _unitd, w, "release", "--incident", incident[:8], "--by", "Eve", "--reason", "why not"
            )
            assert early.returncode == 1 and "open" in early.stderr
            closed = await asyncio.to_thread(
                _unitd, w, "close", "--incident", incident[:8], "--by", "PC Ann", "--outcome", "hoax", "--note", "boys"
            )
            assert closed.returncode == 0, closed.stderr
            await w.until("completed", lambda: json.loads(file.read_bytes())["to_mono_ns"] is not None)
            sha256 = "ab" * 32
            request = workers.SealExport(
                manifest_sha256=sha256, incident_id=incident, cameras=("dome",), segments=3, by="Ann", record_n=7,
                record_head="cd" * 32,
            )  # fmt: skip
            reply = await _tool(w, request)
            assert reply.error == ""
            [line] = [each for each in read_lines(tmp_path / "state" / "core.chain") if each.n == reply.core_n]
            assert (line.record["kind"], line.record["manifest_sha256"]) == ("export", sha256)
            heads = json.loads(reply.body)["heads"]
            assert heads["core"]["n"] >= reply.core_n and heads["record"] == {"n": 7, "head": "cd" * 32}
            assert len(base64.b64decode(reply.signature)) == 64
            released = await asyncio.to_thread(
                _unitd, w, "release", "--incident", incident, "--by", "PC Ann", "--reason", "a hoax; exported"
            )
            assert released.returncode == 0, released.stderr
            assert not file.exists()
            listed = await asyncio.to_thread(_unitd, w, "locks")
            assert incident not in listed.stdout
            for nonsense in (b"", b"{}", b'{"type":"release_lock"}', b"\xff", b"[" * 5000):
                assert "cannot be read" in (await _tool(w, nonsense)).error
            assert w.end() == 0
            assert _lines(tmp_path, "lock_released")[0]["by"] == "PC Ann"
            assert [each["role"] for each in _lines(tmp_path, "command")] == ["tool"] * 3

    asyncio.run(run())


def test_a_key_that_others_can_read_signs_nothing_and_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            await w.start()
            key = tmp_path / "state" / "signing" / "evidence.key"
            await w.until("key", lambda: key.exists() and key.with_suffix(".csr").exists())
            made = key.read_bytes()
            key.chmod(0o644)
            reply = await _tool(
                w, workers.SealExport(manifest_sha256="0" * 64, incident_id=None, cameras=(), segments=0)
            )
            assert "0644" in reply.error and reply.core_n > 0 and not reply.signature
            await w.until(
                "fault", lambda: any(f.code == "signing_failed" for state in w.room.states for f in state.faults)
            )
            key.chmod(0o600)
            reply = await _tool(
                w, workers.SealExport(manifest_sha256="0" * 64, incident_id=None, cameras=(), segments=0)
            )
            assert reply.error == "" and reply.signature
            assert key.read_bytes() == made
            await w.until("healed", lambda: not any(f.code == "signing_failed" for f in w.room.states[-1].faults))
            assert w.end() == 0

    asyncio.run(run())
