"""Where units hand their clips over: `PUT /clips/<incident>` with a token and a checksum; and the clips' shelf.

A clip is on the shelf only when it is complete: its SHA-256 agreed, it was flushed to disk, then renamed into place.
Hub side: an incident that is over gets an `upload` order, again and again with back-off, until its clip is here.
"""

import asyncio
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from hw_sim.control_room.book import Incident, now_utc_us
from hw_sim.control_room.hub import Hub
from hw_sim.control_room.tls import common_name

MAX_CLIP_BYTES = 4 * 1024**3
OVER_AFTER_S = 120.0
"""An incident counts as over this long after its close even when the unit's `incident_closed` was never heard."""
ARRIVE_WITHIN_S = 30.0
ARRIVING_AT_MOST_S = 3600.0
FIRST_BACK_OFF_S, LAST_BACK_OFF_S = 3.0, 60.0


class Shelf:
    """Clips on disk, named by incident. Blocking calls run on a thread."""

    def __init__(self, directory: Path, hub: Hub) -> None:
        self._directory, self._hub = directory, hub
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wake: dict[str, asyncio.Event] = {}
        self.base_url = ""

    def start(self, base_url: str) -> None:
        self.base_url = base_url
        self._directory.mkdir(parents=True, exist_ok=True)

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def path(self, incident_id: str) -> Path:
        return self._directory / f"{incident_id}.mp4"

    def look(self) -> None:
        """Start fetching what is over and not here yet. Cheap; called after every change."""
        for wake in self._wake.values():
            wake.set()
        for name, incident in self._hub.incidents.items():
            if incident.stage == "closed" and incident.clip.state != "ready" and name not in self._tasks:
                self._tasks[name] = asyncio.create_task(self._fetch(incident))

    def ticket(self, incident: Incident) -> dict[str, str]:
        """Where this incident's clip goes, and the token that opens it: one token for all tries."""
        incident.clip.token = incident.clip.token or secrets.token_urlsafe(24)
        return {"url": f"{self.base_url}/clips/{incident.incident_id}", "token": incident.clip.token}

    async def _fetch(self, incident: Incident) -> None:
        left_s = OVER_AFTER_S - (now_utc_us() - incident.closed_utc_us) / 1e6
        await self._until(incident, lambda: incident.over or incident.is_open, left_s)
        if incident.is_open:  # the unit lists it again
            del self._tasks[incident.incident_id]
            return
        clip, back_off_s = incident.clip, FIRST_BACK_OFF_S
        clip.state = "none" if clip.state == "arriving" else clip.state  # cut short by our own restart
        while clip.state != "ready":
            fields = {"incident_id": incident.incident_id, **self.ticket(incident)}
            clip.orders += 1
            clip.state = "ordered" if clip.state == "none" else clip.state
            clip.error = ""
            await self._hub.save(incident)  # the token must outlive a restart of ours
            outcome = await self._hub.command(incident.unit, "upload", "control-room-system", fields)
            if outcome.result == "done":
                await self._until(incident, lambda: clip.state in ("arriving", "ready") or clip.error, ARRIVE_WITHIN_S)
                await self._until(incident, lambda: clip.state != "arriving", ARRIVING_AT_MOST_S)
            else:
                clip.error = outcome.reason
                self._hub.on_change()
            if clip.state != "ready":
                await asyncio.sleep(back_off_s)
                back_off_s = min(back_off_s * 2, LAST_BACK_OFF_S)

    async def _until(self, incident: Incident, true: Callable[[], object], at_most_s: float) -> None:
        """Wait until `true()` or the time is over; looks after every change in the hub."""
        wake = self._wake.setdefault(incident.incident_id, asyncio.Event())
        try:
            async with asyncio.timeout(max(0.0, at_most_s)):
                while not true():
                    wake.clear()
                    await wake.wait()
        except TimeoutError:
            return

    async def handle_put(self, request: web.Request) -> web.Response:
        """PUT /clips/<incident> on the TLS listener: 201, or 401/403/404/413/422 with a reason."""
        incident = self._hub.incidents.get(request.match_info["incident"])
        if incident is None or not incident.clip.token:
            raise web.HTTPNotFound(text="no such clip was ordered\n")
        certified = common_name(request.transport.get_extra_info("peercert")) if request.transport else None
        if certified != incident.unit:
            raise web.HTTPForbidden(text=f"the certificate is for {certified!r}\n")
        offered = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(offered.encode(), incident.clip.token.encode()):
            raise web.HTTPUnauthorized(text="wrong token\n")
        if (request.content_length or 0) > MAX_CLIP_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_CLIP_BYTES, request.content_length or 0)
        if incident.clip.state == "ready":
            return web.Response(status=200, text="here already\n")
        return await self._store(request, incident)

    async def _store(self, request: web.Request, incident: Incident) -> web.Response:
        incident.clip.state, incident.clip.error = "arriving", ""
        self._hub.on_change()
        partial = self._directory / f"{incident.incident_id}.{secrets.token_hex(4)}.part"
        try:
            size_bytes, digest = await _receive(request, partial)
            wanted = request.headers.get("X-Content-SHA256", "").lower()
            if not wanted or digest != wanted:
                raise web.HTTPUnprocessableEntity(text=f"SHA-256 is {digest}, not {wanted or 'given'}\n")
            await asyncio.to_thread(_settle, partial, self.path(incident.incident_id))
        except BaseException as error:
            incident.clip.state = "ordered"
            incident.clip.error = str(getattr(error, "text", "") or error).strip() or "the connection broke"
            partial.unlink(missing_ok=True)
            self._hub.on_change()
            raise
        incident.clip.state, incident.clip.size_bytes, incident.clip.sha256 = "ready", size_bytes, digest
        await self._hub.save(incident)
        return web.Response(status=201, text="stored\n")

    async def handle_get(self, request: web.Request) -> web.StreamResponse:
        """GET /clips/<incident>.mp4 on the console listener; ranges are served, `?download` names the file."""
        incident = self._hub.incidents.get(request.match_info["incident"])
        if incident is None or incident.clip.state != "ready":
            raise web.HTTPNotFound(text="no clip of this incident is here\n")
        response = web.FileResponse(self.path(incident.incident_id))
        response.content_type = "video/mp4"
        if "download" in request.query:
            name = f"{incident.unit}-{incident.code or incident.incident_id[:8]}.mp4"
            response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response


async def _receive(request: web.Request, path: Path) -> tuple[int, str]:
    """Write the body to `path`, flushed to disk; its size and SHA-256."""
    digest, size_bytes = hashlib.sha256(), 0
    file = await asyncio.to_thread(path.open, "xb")
    try:
        async for piece in request.content.iter_chunked(256 * 1024):
            size_bytes += len(piece)
            if size_bytes > MAX_CLIP_BYTES:
                raise web.HTTPRequestEntityTooLarge(MAX_CLIP_BYTES, size_bytes)
            digest.update(piece)
            await asyncio.to_thread(file.write, piece)
        if request.content_length is not None and size_bytes != request.content_length:
            raise web.HTTPBadRequest(text=f"{size_bytes} of {request.content_length} bytes came\n")
        await asyncio.to_thread(_flush, file.fileno(), file.flush)
    finally:
        await asyncio.to_thread(file.close)
    return size_bytes, digest.hexdigest()


def _flush(fd: int, flush: object) -> None:
    if callable(flush):
        flush()
    os.fsync(fd)


def _settle(partial: Path, final: Path) -> None:
    partial.rename(final)
    directory = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
