"""One HTTPS PUT of a clip (docs/design/seams.md, Clip upload), by the standard library, on a thread."""

import contextlib
import hashlib
import http.client
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_S = 20.0
BLOCK_BYTES = 32 * 1024
TRY_AGAIN = (408, 425, 429)


class PutError(Exception):
    """Not this time: the link, the server or the disk. Worth another attempt later."""


class PutFailedError(Exception):
    """Never: the order itself is wrong or refused."""


@dataclass(frozen=True)
class Sent:
    """What the far end has acknowledged."""

    bytes: int
    sha256: str


def put_clip(
    url: str,
    token: str,
    clip: Path,
    hosts: tuple[str, ...],
    context: Callable[[], ssl.SSLContext],
    rate_bytes_s: Callable[[], int | None],
) -> Sent:
    """Send `clip` and return once the server has taken it (200 or 201). Blocks for the length of the transfer.

    `rate_bytes_s` is asked before each block (None: as fast as it goes). Redirects are not followed: the token is for
    this host only. Raises PutError (retry) or PutFailedError (do not).
    """
    host, port, path = _target(url, hosts)
    try:
        size, digest = clip.stat().st_size, _sha256(clip)
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context())
        try:
            headers = {
                "Authorization": f"Bearer {token}",
                "Content-Type": "video/mp4",
                "Content-Length": str(size),
                "X-Content-SHA256": digest,
            }
            # A server that refuses early closes while we still send: its answer is there to be read all the same.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request("PUT", path, body=_blocks(clip, rate_bytes_s), headers=headers)
            response = connection.getresponse()
            status, reason = response.status, response.reason
            response.read(4096)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PutError(f"{host}: {error}") from error
    if status in (200, 201):
        return Sent(size, digest)
    if 400 <= status < 500 and status not in TRY_AGAIN:
        raise PutFailedError(f"{host} answered {status} {reason}")
    raise PutError(f"{host} answered {status} {reason}")


def _target(url: str, hosts: tuple[str, ...]) -> tuple[str, int, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError as error:
        raise PutFailedError(f"upload URL: {error}") from None
    if parts.scheme != "https" or parts.username is not None:
        raise PutFailedError("upload URL: must be https:// without credentials")
    if host not in hosts and f"{host}:{port}" not in hosts:
        raise PutFailedError(f"upload URL: host {host!r} is not in upload.hosts")
    path = parts.path or "/"
    return host, port, f"{path}?{parts.query}" if parts.query else path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _blocks(path: Path, rate_bytes_s: Callable[[], int | None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block
            rate = rate_bytes_s()
            if rate:
                time.sleep(len(block) / rate)
