"""The control room's MQTT broker: a real Mosquitto that asks for certificates and keeps each unit to its own topics.

Its access list and configuration are those of `unitd broker-acl`, so what runs here is what a control room is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
from pathlib import Path

from hw_sim.pki import CONTROL_ROOM, Credentials
from hw_sim.ports import LOOPBACK, free_port, wait_listening
from hw_sim.processes import bound_to_us
from unitd.tools.broker_acl import Access, acl
from unitd.tools.broker_conf import Listener, conf

START_TIMEOUT_S = 10.0
START_TRIES = 3

# Besides what `unitd broker-acl --conf` gives to every broker.
_HERE = """\
log_type error
log_type warning
log_type notice
log_dest file {log}
user {user}
"""
# The simulated control room is one program that passes its operators' orders on, each with the operator's name in it.
ACCESS = Access({role: (CONTROL_ROOM,) for role in ("system", "operator", "maintainer")})


class Broker:
    """One Mosquitto in `directory` with the server certificate `credentials`; it ends with this process.

    `port` is chosen at the first start and kept over restarts. Nothing is stored: a restarted broker has forgotten
    retained messages and sessions, which is the worst case for its clients.
    """

    def __init__(
        self, directory: Path, credentials: Credentials, access: Access = ACCESS, crl_file: Path | None = None
    ) -> None:
        self._directory = directory
        self._credentials = credentials
        self.access, self.crl_file = access, crl_file
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    def reload(self, access: Access) -> None:
        """Put another access list in force, as SIGHUP does in the field: connected clients are held to it at once."""
        self.access = access
        file = self._directory / "access"
        file.write_text(acl(access))
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    @property
    def pid(self) -> int | None:
        """Of the Mosquitto that was started last, while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it and return when it accepts connections. Raises RuntimeError with the broker's own words."""
        if self.running:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        for _ in range(START_TRIES):
            fixed = self.port != 0
            port = self.port or free_port()
            self._write_config(port)
            self._process = await asyncio.create_subprocess_exec(
                *bound_to_us([_program(), "-c", str(self._directory / "mosquitto.conf")]),
                process_group=0,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            if await self._listens(self._process, port):
                self.port = port
                return
            await self.kill()
            if fixed:
                break
        log = self._directory / "mosquitto.log"
        said = log.read_text(errors="replace")[-500:] if log.exists() else "nothing"
        raise RuntimeError(f"mosquitto does not start; it said: {said}")

    async def stop(self) -> None:
        """End it in order (clients get a DISCONNECT)."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(3.0):
                    await self._process.wait()
        await self.kill()

    async def kill(self) -> None:
        """End it at once, as a power cut does."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _listens(self, process: asyncio.subprocess.Process, port: int) -> bool:
        listening = asyncio.ensure_future(wait_listening(port, START_TIMEOUT_S))
        ended = asyncio.ensure_future(process.wait())
        await asyncio.wait({listening, ended}, return_when=asyncio.FIRST_COMPLETED)
        good = not ended.done() and listening.done() and listening.exception() is None
        for task in (listening, ended):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                await task
        return good

    def _write_config(self, port: int) -> None:
        access = self._directory / "access"
        access.write_text(acl(self.access))
        access.chmod(0o600)
        own = self._credentials
        listener = Listener(
            port,
            access,
            own.ca_file,
            own.cert_file,
            own.key_file,
            crl_file=self.crl_file,
            host=LOOPBACK,
            persistence=False,
        )
        here = _HERE.format(log=self._directory / "mosquitto.log", user=pwd.getpwuid(os.geteuid()).pw_name)
        (self._directory / "mosquitto.conf").write_text(conf(listener) + here)


def _program() -> str:
    found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RuntimeError("mosquitto is not installed; `make setup` installs it")
    return found
