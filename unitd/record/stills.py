"""Stills at a press, and when an operator wants one: a small picture from each camera, to see something by when no
stream gets through.

The newest picture in hand is decoded and coded by a child process (unitd/record/still_job.py): a picture that crashes
its decoder does not stop the recorder. It goes to core first, then to the disk: `<evidence_dir>/.stills/<incident_id>/
<camera>-<n>.jpg`, with a line `still` in record's chain.
"""

import asyncio
import base64
import hashlib
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE, WireError
from unitd.messages.media import AccessUnit, StreamInfo
from unitd.messages.workers import Desired, OpenIncident
from unitd.runtime import logs
from unitd.runtime.ipc import Fact
from unitd.runtime.worker import Frame
from unitd.store import disk
from unitd.store.boot import current_boot
from unitd.store.ring import Ring

CHILD_S = 5.0
WAIT_S = 20.0
"""A camera without a picture in hand gets so long from the press on to send one."""
LOOK_S = 0.25
AGAIN_AFTER_S = 10.0
"""A further press of the same incident takes other stills, this long after the last at the earliest."""
TRIES = 3
GROUP_BYTES = 3 * 1024 * 1024
"""Of one camera's pictures, from the keyframe on, for the child: what is beyond is not looked at."""
SAVES_AT_ONCE = 4
ORDERED_AT_ONCE = 3
"""Rounds of an operator's own orders: a camera that is dead holds each for WAIT_S."""
LARGEST_JPEG_BYTES = 40_000
LARGEST_RESULT_BYTES = 64 * 1024
SIDE_PIXELS = 4096

Pictures = tuple[StreamInfo, list[AccessUnit]]
"""A stream's form and its pictures from the last keyframe on."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass
class _Round:
    """One press's stills: the cameras that are still missing, and how often each was tried in vain."""

    incident_id: str
    raised_ns: int
    missing: dict[str, int]
    deadline_s: float = field(default_factory=lambda: time.monotonic() + WAIT_S)


@dataclass(frozen=True)
class _Still:
    camera: str
    jpeg: bytes
    width: int
    height: int
    at_mono_ns: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.jpeg).hexdigest()


class Stills:
    """Runs on the loop; decoding is a process and the disk a thread. `pictures()` gives what each camera has in hand,
    None while that is nothing."""

    def __init__(self, frame: Frame, ring: Ring, pictures: Callable[[], Mapping[str, Pictures | None]]) -> None:
        self._frame, self._ring, self._pictures = frame, ring, pictures
        self._incident_id = ""
        self._presses = 0
        self._asked_s = 0.0
        self._session = 0
        self._said: dict[str, dict[str, Fact]] = {}
        self._saves: set[asyncio.Task[None]] = set()
        self._snapshot = 0
        self._ordered: set[asyncio.Task[None]] = set()
        self.unsaved = 0

    async def run(self) -> None:
        """Take stills at each press, until cancelled."""
        version = -1
        async with asyncio.TaskGroup() as group:
            while True:
                version = await self._frame.core.wait_change(version)
                desired = self._frame.core.desired
                self._say_again(desired)
                if desired is None or desired.incident is None:
                    continue
                if self._due(desired.incident):
                    group.create_task(self._take(desired.incident))
                if self._wanted(desired.record.snapshot):
                    task = group.create_task(self._take(desired.incident))
                    self._ordered.add(task)
                    task.add_done_callback(self._ordered.discard)

    def _wanted(self, snapshot: int) -> bool:
        """Whether this is an order that was not carried out yet; notes it. One too many is left out and logged."""
        if snapshot in (0, self._snapshot):
            return False
        self._snapshot = snapshot
        if len(self._ordered) >= ORDERED_AT_ONCE:
            self._frame.log.warning("picture not taken: those before are not ready", number=snapshot)
            return False
        return True

    def _due(self, incident: OpenIncident) -> bool:
        """Whether this is a press that has no stills yet; notes what was seen."""
        now_s = time.monotonic()
        fresh = incident.incident_id != self._incident_id
        again = not fresh and incident.presses > self._presses and now_s - self._asked_s > AGAIN_AFTER_S
        if fresh:
            self._said.clear()
            # a recorder that starts in an incident finds it old: its predecessor has taken them
            again = 0 <= now_s - incident.raised_mono_ns / 1e9 < WAIT_S
        if fresh or again:
            self._asked_s = now_s
        self._incident_id, self._presses = incident.incident_id, incident.presses
        return again

    async def _take(self, incident: OpenIncident) -> None:
        """Until each camera has given one, or none any more."""
        work = _Round(incident.incident_id, incident.raised_mono_ns, dict.fromkeys(self._pictures(), 0))
        while work.missing and time.monotonic() < work.deadline_s:
            in_hand = {name: have for name, have in self._pictures().items() if have and name in work.missing}
            if in_hand:
                await self._develop(work, in_hand)
                work.missing = {name: tries for name, tries in work.missing.items() if tries < TRIES}
            await asyncio.sleep(LOOK_S)
        if work.missing:
            self._frame.log.warning("no still", incident=work.incident_id, cameras=sorted(work.missing))

    async def _develop(self, work: _Round, in_hand: dict[str, Pictures]) -> None:
        """Let a child make stills of these; each is handed on as it comes. A child that hangs is killed."""
        for name in in_hand:
            work.missing[name] += 1
        try:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "unitd.record.still_job",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            self._frame.log.warning("no child for stills", error=str(error))
            return
        try:
            async with asyncio.timeout(CHILD_S):
                await self._converse(child, work, in_hand)
        except (OSError, EOFError, TimeoutError, WireError) as error:
            self._frame.log.warning("still not made", error=repr(error), cameras=sorted(work.missing))
        finally:
            if child.returncode is None:
                child.kill()
            if child.stdin is not None:
                child.stdin.close()
            await child.wait()

    async def _converse(self, child: asyncio.subprocess.Process, work: _Round, in_hand: dict[str, Pictures]) -> None:
        assert child.stdin is not None and child.stdout is not None  # noqa: S101 - both are pipes
        child.stdin.write(_job(in_hand))
        await child.stdin.drain()
        child.stdin.close()
        for _ in in_hand:
            length = int.from_bytes(await child.stdout.readexactly(4), "big")
            if length > LARGEST_RESULT_BYTES:
                raise WireError(f"a still of {length} bytes")
            still = read_result(await child.stdout.readexactly(length), in_hand)
            if isinstance(still, str):
                self._frame.log.warning("still not made", error=still)
            elif work.missing.pop(still.camera, None) is not None:
                self._hand_on(work, still)

    def _hand_on(self, work: _Round, still: _Still) -> None:
        """To core at once, to the disk when it can."""
        facts: dict[str, Fact] = {
            "camera": still.camera,
            "at_mono_ns": still.at_mono_ns,
            "jpeg_base64": base64.b64encode(still.jpeg).decode(),
            "sha256": still.sha256,
            "width": still.width,
            "height": still.height,
        }
        self._tell(work.incident_id, facts)
        logs.chain(self._frame.log, "still", work.incident_id, time.monotonic_ns())
        if work.incident_id == self._incident_id:
            self._said[still.camera] = facts
        if len(self._saves) >= SAVES_AT_ONCE:
            self.unsaved += 1
            self._frame.log.error("still not kept: the disk does not answer", camera=still.camera)
            return
        save = asyncio.create_task(self._save(work.incident_id, still))
        self._saves.add(save)
        save.add_done_callback(self._saves.discard)

    def _say_again(self, desired: Desired | None) -> None:
        """A core that started afresh in the incident may not have passed them on."""
        if desired is None or desired.session == self._session:
            return
        first, self._session = self._session == 0, desired.session
        if not first and desired.incident is not None and desired.incident.incident_id == self._incident_id:
            for facts in self._said.values():
                self._tell(self._incident_id, facts)

    def _tell(self, incident_id: str, facts: dict[str, Fact]) -> None:
        self._frame.core.event("still", incident_id=incident_id, mono_ns=None, **facts)

    async def _save(self, incident_id: str, still: _Still) -> None:
        try:
            await asyncio.to_thread(self._keep, incident_id, still)
        except OSError as error:
            self.unsaved += 1
            self._frame.log.error("still not kept", camera=still.camera, error=str(error))

    def _keep(self, incident_id: str, still: _Still) -> None:
        """File and chain line, both durable. Raises OSError. Blocks."""
        if not _PLAIN.fullmatch(incident_id):
            raise OSError(f"not a name for a directory: {incident_id[:80]!r}")
        directory = self._ring.directory / ".stills" / incident_id
        disk.make_dirs(directory)
        path = save_exclusively(directory, still.camera, still.jpeg)
        boot = current_boot(Path(self._frame.config.paths.state_dir))
        self._ring.chain.append(
            "still",
            boot.boot,
            file=f".stills/{incident_id}/{path.name}",
            bytes=len(still.jpeg),
            sha256=still.sha256,
            camera=still.camera,
            incident_id=incident_id,
            at_mono_ns=still.at_mono_ns,
        )


def save_exclusively(directory: Path, camera: str, jpeg: bytes) -> Path:
    """`<camera>-<n>.jpg` with the lowest `n` that is free, durable. Raises OSError and leaves nothing. Blocks."""
    n = 1
    while True:
        path = directory / f"{camera}-{n}.jpg"
        try:
            descriptor = disk.create_exclusive(path)
            break
        except FileExistsError:
            n += 1
    try:
        try:
            disk.write_all(descriptor, jpeg)
            disk.sync(descriptor)
        finally:
            disk.close(descriptor)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    disk.sync_dir(directory)
    return path


class _Result(msgspec.Struct, frozen=True, kw_only=True):
    """As unitd/record/still_job.py writes it; not imported, for what it loads belongs to the child."""

    camera: str
    error: str = ""
    jpeg: bytes = b""
    width: int = 0
    height: int = 0
    at_mono_ns: int = 0


def read_result(body: bytes, cameras: Mapping[str, object]) -> _Still | str:
    """What the child says of one camera, or why there is no still of it. Raises WireError: the child is not to be
    trusted, for hostile bytes may have taken it over."""
    try:
        result = msgspec.msgpack.decode(body, type=_Result)
    except UNREADABLE as error:
        raise WireError(f"still: {error}") from None
    if result.camera not in cameras:
        raise WireError(f"still: of camera {result.camera[:40]!r}")
    if result.error:
        return f"{result.camera}: {result.error[:200]}"
    if not 0 < len(result.jpeg) < LARGEST_JPEG_BYTES or not result.jpeg.startswith(b"\xff\xd8"):
        raise WireError(f"still: {len(result.jpeg)} bytes that are not a small JPEG")
    if not (0 < result.width <= SIDE_PIXELS and 0 < result.height <= SIDE_PIXELS and 0 <= result.at_mono_ns < 1 << 63):
        raise WireError("still: an impossible size or time")
    return _Still(result.camera, result.jpeg, result.width, result.height, result.at_mono_ns)


def _job(in_hand: dict[str, Pictures]) -> bytes:
    """What still_job.py reads."""
    groups = []
    for camera, (info, units) in in_hand.items():
        size = 0
        taken: list[tuple[bytes, int, int]] = []
        for unit in units:
            size += len(unit.data)
            if taken and size > GROUP_BYTES:
                break
            taken.append((unit.data, unit.pts_90khz, unit.arrival_mono_ns))
        groups.append({"camera": camera, "codec": info.codec, "extradata": info.extradata, "units": taken})
    return msgspec.msgpack.encode({"groups": groups})
