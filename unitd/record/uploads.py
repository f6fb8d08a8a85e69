"""Clips on core's order: export by a child process, then HTTPS PUT. A level: done once for each upload_id.

One export or transfer at a time; one that must wait lets others pass. An order that disappears is dropped before its
next attempt. A clip is made anew for each order, so one asked for while the incident is open holds what there was.
While a call is wanted the sending is slowed to BESIDE_CALL_BYTES_S: picture and voice go first.
"""

import asyncio
import contextlib
import ssl
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import msgspec

from unitd.config import Config
from unitd.errors import UNREADABLE
from unitd.messages.workers import Desired, UploadWanted
from unitd.record.put import PutError, PutFailedError, Sent, put_clip
from unitd.runtime import logs
from unitd.runtime.worker import Frame
from unitd.store import disk

EXPORT_TIMEOUT_S = 600.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
BESIDE_CALL_BYTES_S = 60_000
REMEMBERED = 128
LONGEST_ERROR = 300
"""A server's reason may be 64 kB; the control room is told its beginning."""

Put = Callable[[UploadWanted, Path, Callable[[], int | None]], Sent]


class ExportFailedError(Exception):
    """The clip could not be made now; the text says why."""


class _Outcome(msgspec.Struct, frozen=True):
    ok: bool
    bytes: int = 0
    sha256: str = ""
    error: str = ""


class Uploads:
    """Runs on the loop; the export is a process and the PUT a thread."""

    def __init__(self, frame: Frame, put: Put) -> None:
        self._frame, self._put = frame, put
        self._directory = Path(frame.config.paths.evidence_dir) / ".clips"
        self._done: OrderedDict[str, _Outcome] = OrderedDict()
        self._active: set[str] = set()
        self._one = asyncio.Lock()
        self._session = 0

    async def run(self) -> None:
        """Serve orders until cancelled."""
        await asyncio.to_thread(self._clear)
        version = -1
        async with asyncio.TaskGroup() as group:
            while True:
                version = await self._frame.core.wait_change(version)
                for order in self._fresh():
                    self._active.add(order.upload_id)
                    group.create_task(self._serve(order))

    def _fresh(self) -> list[UploadWanted]:
        """The orders that are neither done nor being served."""
        desired = self._frame.core.desired
        if desired is None:
            return []
        if desired.session != self._session:
            self._session = desired.session
            self._say_again(desired)
        known = self._active | self._done.keys()
        return [order for order in desired.uploads if order.upload_id not in known]

    def _say_again(self, desired: Desired) -> None:
        """A core that started afresh may have missed the report of an order that it still lists."""
        for order in desired.uploads:
            if (outcome := self._done.get(order.upload_id)) is not None:
                self._report(order, outcome)

    def _wanted(self, order: UploadWanted) -> bool:
        desired = self._frame.core.desired
        return desired is None or any(other.upload_id == order.upload_id for other in desired.uploads)

    def _rate(self) -> int | None:
        desired = self._frame.core.desired
        return BESIDE_CALL_BYTES_S if desired is not None and desired.call is not None else None

    async def _serve(self, order: UploadWanted) -> None:
        log = self._frame.log.bind(incident=order.incident_id, upload=order.upload_id)
        clip = self._directory / f"{order.upload_id}.mp4"
        pause_s = FIRST_PAUSE_S
        made = False
        try:
            while self._wanted(order):
                try:
                    async with self._one:
                        if not made:
                            await self._make(order, clip, log)
                            made = True
                        sent = await asyncio.to_thread(self._put, order, clip, self._rate)
                except PutFailedError as error:
                    self._finish(order, _Outcome(ok=False, error=str(error)))
                    return
                except (PutError, ExportFailedError, OSError) as error:
                    log.warning("upload not yet possible", error=str(error), again_in_s=pause_s)
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                    continue
                logs.chain(log, "uploaded", order.incident_id, self._frame.clock.mono_ns())
                self._finish(order, _Outcome(ok=True, bytes=sent.bytes, sha256=sent.sha256))
                return
        finally:
            self._active.discard(order.upload_id)
            with contextlib.suppress(OSError):
                clip.unlink(missing_ok=True)

    async def _make(self, order: UploadWanted, clip: Path, log: logs.Logger) -> None:
        """Export by a child, so that its memory is not ours. Raises ExportFailedError."""
        job = _Job(config=self._frame.config, incident_id=order.incident_id, camera=order.camera, output=str(clip))
        await asyncio.to_thread(disk.make_dirs, clip.parent)
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "unitd.tools.export_job",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(EXPORT_TIMEOUT_S):
                out, _ = await child.communicate(msgspec.json.encode(job))
            result = msgspec.json.decode(out, type=_Result)
        except TimeoutError:
            raise ExportFailedError(f"the export took longer than {EXPORT_TIMEOUT_S:.0f} s") from None
        except UNREADABLE:
            raise ExportFailedError(f"the export ended with status {child.returncode}") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if result.error:
            raise ExportFailedError(result.error)
        logs.chain(log, "clip_ready", order.incident_id, self._frame.clock.mono_ns())
        self._frame.core.event(
            "clip_ready", incident_id=order.incident_id, upload_id=order.upload_id, bytes=result.bytes
        )

    def _finish(self, order: UploadWanted, outcome: _Outcome) -> None:
        self._done[order.upload_id] = outcome
        while len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        self._frame.log.info("upload done", upload=order.upload_id, ok=outcome.ok, error=outcome.error)
        self._report(order, outcome)

    def _report(self, order: UploadWanted, outcome: _Outcome) -> None:
        self._frame.core.event(
            "upload_done",
            incident_id=order.incident_id,
            upload_id=order.upload_id,
            ok=outcome.ok,
            bytes=outcome.bytes,
            sha256=outcome.sha256,
            error=outcome.error[:LONGEST_ERROR],
        )

    def _clear(self) -> None:
        """Clips that an earlier life left behind."""
        with contextlib.suppress(OSError):
            for path in self._directory.iterdir():
                path.unlink()


class _Job(msgspec.Struct, frozen=True, kw_only=True):
    """As unitd/tools/export_job.py reads it; not imported, for it brings what only the child should load."""

    config: Config
    incident_id: str
    camera: str | None
    output: str


class _Result(msgspec.Struct, frozen=True, kw_only=True):
    error: str = ""
    bytes: int = 0


def putter(frame: Frame, context: Callable[[], ssl.SSLContext]) -> Put:
    """The real PUT, with this unit's certificates and allowed hosts."""
    hosts = frame.config.upload.hosts

    def put(order: UploadWanted, clip: Path, rate: Callable[[], int | None]) -> Sent:
        return put_clip(order.url, order.token, clip, hosts, context, rate)

    return put
