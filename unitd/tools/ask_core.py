"""One question to core over `core.sock`, for programs that somebody runs on the unit itself."""

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE, UnitdError
from unitd.messages.workers import MAX_LINE_BYTES, Hello, ToolReply, ToolRequest

ANSWER_WITHIN_S = 12.0
"""A release waits for the disk: core answers within 6 s."""


class CoreSilentError(UnitdError):
    """Core cannot be reached, or did not answer."""


def ask_core(run_dir: Path, request: ToolRequest, within_s: float = ANSWER_WITHIN_S) -> ToolReply:
    """Core's reply. Raises CoreSilentError with what to look at. Blocks for `within_s` at most."""
    path = run_dir / "core.sock"
    try:
        said = converse(path, (Hello(who="tool", pid=os.getpid()), request), within_s)
        return msgspec.json.decode(said, type=ToolReply)
    except PermissionError:
        raise CoreSilentError(f"{path} is not for you: run it as root, or as a member of group unitd") from None
    except (OSError, EOFError, *UNREADABLE) as error:
        why = str(error) or type(error).__name__
        raise CoreSilentError(
            f"core does not answer at {path} ({why}); is it running? systemctl status unitd-core"
        ) from error


def converse(path: Path, lines: Iterable[msgspec.Struct], within_s: float) -> bytes:
    """The one line that core says to `lines`. Raises OSError, EOFError or ValueError. Blocks for `within_s` at most."""
    deadline_s = time.monotonic() + within_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(within_s)
        link.connect(str(path))
        link.sendall(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        heard = b""
        while b"\n" not in heard:
            if len(heard) > MAX_LINE_BYTES:
                raise ValueError("its answer is too long")
            link.settimeout(max(deadline_s - time.monotonic(), 0.001))
            chunk = link.recv(65536)
            if not chunk:
                raise EOFError("it closed the connection")
            heard += chunk
    return heard.split(b"\n", 1)[0]
