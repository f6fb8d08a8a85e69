"""systemd's file-descriptor store: descriptors that stay open while no process of ours runs.

A service hands a copy to systemd (FDSTORE=1 over the notify socket) and its successor gets it back as with socket
activation (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES; descriptors from 3 on). systemd keeps it until the service is
stopped, not when it is restarted or dies. Wire: sd_notify(3), sd_listen_fds(3). Needs FileDescriptorStoreMax=.
"""

import contextlib
import fcntl
import os
import re
import socket
from collections.abc import MutableMapping

FIRST_FD = 3
"""SD_LISTEN_FDS_START."""
INHERITED_MAX = 64
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class FdStore:
    """Takes over what was inherited when it is made (so, once in a process); the variables are then gone from
    `environ`, for children must not believe them. Outside systemd all of it does nothing. No call waits or raises,
    but for a name that could not be sent (ValueError: ours are constants)."""

    def __init__(
        self, environ: MutableMapping[str, str] = os.environ, pid: int | None = None, first_fd: int = FIRST_FD
    ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._inherited: dict[str, list[int]] = {}
        listen_pid = environ.pop("LISTEN_PID", "")
        count = environ.pop("LISTEN_FDS", "")
        names = environ.pop("LISTEN_FDNAMES", "").split(":")
        if listen_pid != str(os.getpid() if pid is None else pid) or not re.fullmatch(r"\d{1,3}", count):
            return
        for index in range(min(int(count), INHERITED_MAX)):
            fd = first_fd + index
            with contextlib.suppress(OSError):  # not open: the variables were not systemd's
                fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
                self._inherited.setdefault(names[index] if index < len(names) else "", []).append(fd)

    def take(self, name: str) -> list[int]:
        """The descriptors that a predecessor stored as `name`, once; they are the caller's to close."""
        return self._inherited.pop(name, [])

    def keep(self, name: str, fd: int) -> bool:
        """Have systemd keep a copy of `fd` as `name`; whether it was told. It is not watched (FDPOLL=0)."""
        return self._send(f"FDSTORE=1\nFDNAME={_checked(name)}\nFDPOLL=0", fd)

    def drop(self, name: str) -> bool:
        """Have systemd close what it keeps as `name`; whether it was told. It does so a moment later."""
        return self._send(f"FDSTOREREMOVE=1\nFDNAME={_checked(name)}")

    def drop_rest(self) -> list[str]:
        """Close what nobody took, here and at systemd: a line that is kept open cannot be had by anybody else."""
        names = list(self._inherited)
        for name, fds in self._inherited.items():
            for fd in fds:
                os.close(fd)
            if _NAME.fullmatch(name):
                self.drop(name)
        self._inherited.clear()
        return names

    def _send(self, message: str, *fds: int) -> bool:
        if not self._address:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as way:
                way.connect(address)
                socket.send_fds(way, [message.encode()], list(fds))
        except OSError:
            return False
        return True


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"a stored descriptor cannot be called {name!r}")
    return name
