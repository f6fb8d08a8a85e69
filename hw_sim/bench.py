"""One simulated pole, the real daemon on it and a stand-in control room, wired together and breakable.

    async with Bench(BenchOptions()) as bench:
        bench.press(duration_ms=120)

Every part is optional, so that a bench with core alone starts in well under a second. Everything the daemon sees is a
device, a port or a file as in the field; everything it says to the control room passes `bench.link`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from hw_sim.camera_process import AT_THE_PANEL, PANEL_PROFILES, CameraProcess
from hw_sim.control_room.broker import Broker
from hw_sim.control_room.mqtt import BrokerTransport
from hw_sim.control_room.server import ControlRoom
from hw_sim.control_room.several_brokers import SeveralBrokers
from hw_sim.devices.bad_disk import BadDisk
from hw_sim.devices.camera import TEST_PROFILES, VideoProfile
from hw_sim.devices.clock import WrongClock
from hw_sim.devices.disk import SmallDisk, can_mount
from hw_sim.devices.dome import SimDome
from hw_sim.devices.gpio_bench import GpioBench
from hw_sim.devices.gpio_loop import ButtonLoop, Kind
from hw_sim.devices.modem import SimModem
from hw_sim.devices.sound import VirtualSound
from hw_sim.faults import Faults
from hw_sim.horn import Horn
from hw_sim.logtail import LogTail
from hw_sim.pki import Pki
from hw_sim.ports import LOOPBACK
from hw_sim.processes import PROCESSES, KeptProcess, program
from hw_sim.street_life import StreetLife
from hw_sim.unit_config import PINS, Places, Wiring, unit_config, write_config
from hw_sim.waiting import until_async
from hw_sim.world.network import Link
from unitd.messages.workers import MAX_LINE_BYTES, FromCore, Hello, Status

READY_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class BenchOptions:
    """What to build. All `brokers` serve the one control room. `config` is laid over the pole's unit.toml; `disk_bytes`
    asks for a small disk of that size under the daemon's state and evidence (only inside `enter_namespace`);
    `bad_disk` for one that can go bad under core and record (needs a C compiler);
    `panel_camera` adds a small fixed camera that looks at the panel;
    `cold_clock` starts the daemon in 1970; `environment` is added to that of every process."""

    unit_id: str = "pole-0001"
    seed: int = 1
    processes: tuple[str, ...] = PROCESSES
    control_room: bool = True
    brokers: int = 1
    camera: bool = True
    panel_camera: bool = False
    dome: bool = True
    modem: bool = True
    sound: bool = True
    profiles: tuple[VideoProfile, ...] = TEST_PROFILES
    disk_bytes: int | None = None
    bad_disk: bool = False
    cold_clock: bool = False
    contact: Kind = "no"
    stretch_s: float = 0.0
    console_port: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


class Bench:
    """See the module. An async context manager; all methods belong to its loop unless they say otherwise.

    `say` gets one line as each part comes up. On leaving, every process is ended and the directory removed; call
    `keep(DIR)` before that to have configuration, ring and logs copied.
    """

    def __init__(self, options: BenchOptions, say: Callable[[str], None] = lambda _line: None) -> None:
        self.options = options
        self._say = say
        self._exit = contextlib.AsyncExitStack()
        self.directory = Path(tempfile.mkdtemp(prefix="hw-sim-"))
        self.log_dir = self._make("logs")
        self.disk: SmallDisk | None = None
        self.bad_disk: BadDisk | None = None
        self.clock: WrongClock | None = None
        self.camera: CameraProcess | None = None
        self.panel_camera: CameraProcess | None = None
        self.dome: SimDome | None = None
        self.modem: SimModem | None = None
        self.sound: VirtualSound | None = None
        self.horn: Horn | None = None
        self.broker: Broker | None = None
        self.brokers: list[Broker] = []
        self.pki: Pki
        self.room: ControlRoom | None = None
        self.link = Link(options.seed)
        self.gpio = GpioBench(self._make("run") / "gpio.sock")
        self.button = ButtonLoop(self.gpio, PINS["button"], PINS["button_nc"], options.contact, options.stretch_s)
        self.daemons: dict[str, KeptProcess] = {}
        self.config_file = self.directory / "config" / "unit.toml"
        self.config: dict[str, Any] = {}
        self.tail = LogTail({name: self.log_dir / f"{name}.jsonl" for name in options.processes})
        self.ready_mono_ns = 0
        self.faults = Faults(self)

    @property
    def state_dir(self) -> Path:
        return self.directory / "state"

    @property
    def run_dir(self) -> Path:
        return self.directory / "run"

    @property
    def evidence_dir(self) -> Path:
        return self.state_dir / "evidence"

    @property
    def unit_id(self) -> str:
        return self.options.unit_id

    # --- life -------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Bench:
        self._exit.callback(shutil.rmtree, self.directory, ignore_errors=True)
        try:
            await self._build()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    async def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Return when every process is READY, core has heard each, and the unit is armed and the control room knows."""
        await asyncio.gather(*(daemon.wait_ready(timeout_s) for daemon in self.daemons.values()))
        if "core" in self.daemons:
            try:
                await until_async(self._armed, timeout_s, "the unit is armed, its workers with it")
            except TimeoutError as error:
                raise TimeoutError(f"{error}; core says: {await self.status()}") from None
        self.ready_mono_ns = time.monotonic_ns()

    async def status(self) -> Status | None:
        """What core says of the unit now (what `unitd status` prints), or None when it does not answer."""
        try:
            async with asyncio.timeout(2.0):
                path = str(self.run_dir / "core.sock")
                reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE_BYTES)
                try:
                    writer.write(msgspec.json.encode(Hello(who="status", pid=os.getpid())) + b"\n")
                    message = msgspec.json.decode(await reader.readline(), type=FromCore)
                finally:
                    writer.close()
        except (OSError, TimeoutError, msgspec.DecodeError):
            return None
        return message if isinstance(message, Status) else None

    async def keep(self, directory: Path) -> None:
        """Copy configuration, state, ring and logs to `directory` (made if need be). Blocks a thread, not the loop."""
        await asyncio.to_thread(self._copy, directory)

    async def _armed(self) -> bool:
        status = await self.status()
        workers = [name for name in self.daemons if name != "core"]
        if status is None or not status.armed or not all(status.workers.get(name) for name in workers):
            return False
        known = self.room.hub.units.get(self.unit_id) if self.room is not None else None
        return self.room is None or (known is not None and known.state.online and status.control_room_heard)

    # --- building ---------------------------------------------------------------------------------------------------

    async def _build(self) -> None:
        options = self.options
        if options.disk_bytes is not None:
            self._make_disk(options.disk_bytes)
        self.evidence_dir.mkdir(parents=True, exist_ok=True)
        if options.bad_disk:
            self.bad_disk = await asyncio.to_thread(BadDisk, self.directory / "bad-disk", self.state_dir)
            self._exit.callback(self.bad_disk.close)
        synchronized = self._make("clock") / "synchronized"
        if options.cold_clock:
            self.clock = WrongClock(self.directory / "clock", synchronized)
        else:
            synchronized.touch()
        pki = self.pki = await asyncio.to_thread(Pki, self.directory / "pki")
        credentials = await asyncio.to_thread(pki.unit, options.unit_id)
        self._exit.push_async_callback(self.link.close)
        self.gpio.start()
        self._exit.callback(self.gpio.close)
        wiring: dict[str, Any] = {"credentials": credentials}
        if options.control_room:
            wiring |= await self._build_control_room(pki)
        if options.camera:
            wiring |= await self._build_camera()
        wiring |= await self._build_devices()
        places = Places(self.state_dir, self.run_dir, self.evidence_dir, synchronized)
        self.faults = Faults(self)  # again: now it is known what there is to break
        self.config = unit_config(options.unit_id, places, Wiring(**wiring, contact=options.contact), options.config)
        write_config(self.config_file, self.config)
        life = StreetLife(self)
        self._background(life.run(), "street life")
        self._background(self.tail.run(), "log tail")
        self._background(self._certify(pki), "installer")
        await self._start_daemons()

    async def _certify(self, pki: Pki) -> None:
        """What an installer does once: sign the unit's request, and put the certificate beside the key."""
        signing = self.state_dir / "signing"
        while not (signing / "evidence.csr").exists():  # noqa: ASYNC110 - somebody else's file
            await asyncio.sleep(0.2)
        with contextlib.suppress(OSError):  # a full disk: the unit then signs without a certificate
            await asyncio.to_thread(pki.evidence, signing / "evidence.csr", signing / "evidence.pem")

    def _make_disk(self, size_bytes: int) -> None:
        if not can_mount():
            raise RuntimeError("a small disk needs a mount namespace; start through `hw-sim`, as root or another user")
        self.disk = SmallDisk(self.state_dir, size_bytes)
        self._exit.callback(self.disk.close)
        self._say(f"disk: {size_bytes // 2**20} MiB for state and evidence")

    async def _build_control_room(self, pki: Pki) -> dict[str, Any]:
        for number in range(self.options.brokers):
            broker = Broker(self.directory / (f"broker-{number + 1}" if number else "broker"), pki.broker)
            await broker.start()
            self._exit.push_async_callback(broker.stop)
            self.brokers.append(broker)
            self._say(f"broker: mosquitto on port {broker.port}, certificates required")
        self.broker = self.brokers[0]
        self.room = ControlRoom(
            self.directory / "control-room",
            pki,
            self.broker.port,
            link=self.link,
            console_port=self.options.console_port,
            transport=SeveralBrokers([BrokerTransport(pki.control_room, each.port) for each in self.brokers])
            if len(self.brokers) > 1
            else None,
        )
        await self.room.start()
        self._exit.push_async_callback(self.room.stop)
        through = await self.link.tcp(LOOPBACK, self.room.tls_port)
        self.room.shelf.base_url = f"https://{LOOPBACK}:{through}"
        self._say("control room: hub, call relay, clip shelf, console")
        ports = [await self.link.tcp(LOOPBACK, each.port) for each in self.brokers]
        return {"broker_ports": tuple(ports), "duplex_port": through}

    async def _build_camera(self) -> dict[str, Any]:
        self.camera = CameraProcess(self.run_dir, self.log_dir, self.options.profiles, self.options.seed)
        self._exit.push_async_callback(self.camera.stop)
        await self.camera.start()
        main = self.options.profiles[0]
        self._say(f"camera: {main.width}x{main.height} at {main.frame_rate} pictures a second, by RTSP")
        wiring = {"camera_urls": self.camera.urls}
        if self.options.panel_camera:
            panel = CameraProcess(self.run_dir, self.log_dir, PANEL_PROFILES, self.options.seed, "panel")
            self.panel_camera = panel
            self._exit.push_async_callback(panel.stop)
            await panel.start()
            await panel.look(AT_THE_PANEL)
            self._say("camera: a small one at the panel, by RTSP")
            wiring["panel_camera_urls"] = panel.urls
        return wiring

    async def _build_devices(self) -> dict[str, Any]:
        wiring: dict[str, Any] = {}
        devices = self._make("dev")
        if self.options.dome:
            self.dome = SimDome(link=devices / "dome")
            self._exit.callback(self.dome.close)
            wiring["dome_port"] = devices / "dome"
            self._say("dome: Pelco-D on a serial line")
        if self.options.modem:
            self.modem = SimModem(link=devices / "modem")
            self._exit.callback(self.modem.close)
            wiring["modem_port"] = devices / "modem"
            self._say("modem: AT commands on a serial line")
        if self.options.sound:
            self.sound = VirtualSound(self.run_dir)
            self._exit.callback(self.sound.stop)
            await asyncio.to_thread(self.sound.start)
            self.horn = Horn(self.sound)
            self._background(self.horn.run(), "horn")
            wiring["sound"] = ("mic", "horn")
            self._say("sound: a virtual card with horn and microphone")
        return wiring

    async def _start_daemons(self) -> None:
        self._exit.push_async_callback(self._stop_daemons)
        self._exit.push_async_callback(self.faults.close)
        for name in self.options.processes:
            command = [program("unitd"), name, "--config", str(self.config_file)]
            daemon = KeptProcess(name, command, self._environment(name), self.run_dir, self.log_dir)
            self.daemons[name] = daemon
            await daemon.start()
        if self.daemons:
            self._say(f"daemon: {', '.join(self.daemons)}")

    async def _stop_daemons(self) -> None:
        await asyncio.gather(*(daemon.stop() for daemon in self.daemons.values()))
        self.tail.look()

    def _environment(self, name: str) -> dict[str, str]:
        """What systemd would give the process, plus the ways to the simulated devices."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TZ", "TMPDIR") if key in os.environ}
        environment = kept | {"GPIOZERO_PIN_FACTORY": "hwsim", "HW_SIM_GPIO": str(self.gpio.path)}
        environment |= self.options.environment
        if name == "call" and self.sound is not None:
            environment |= self.sound.env()
        if self.clock is not None:
            environment |= self.clock.environment
        if self.bad_disk is not None and name in ("core", "record"):
            before = environment.get("LD_PRELOAD")
            environment |= self.bad_disk.environment
            if before:
                environment["LD_PRELOAD"] += f":{before}"
        return environment

    def _background(self, work: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)

        async def end() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        self._exit.push_async_callback(end)

    def _make(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _copy(self, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        self.tail.look()
        for name in ("config", "state", "logs", "control-room", "export"):
            source = self.directory / name
            if source.exists():
                ignore = shutil.ignore_patterns(".ballast", "*.sock", ".*.tmp")
                shutil.copytree(
                    source, target / name, dirs_exist_ok=True, ignore=ignore, copy_function=_copy_what_stays
                )
        for file in ("pki/ca.pem", "control-room/heads.jsonl"):  # what `unitd verify` is given beside the export
            if (self.directory / file).exists():
                shutil.copy2(self.directory / file, target)

    # --- breaking processes -----------------------------------------------------------------------------------------

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one of the daemon's processes; it is started again as systemd would."""
        self.daemons[name].send_signal(number)

    def press(self, duration_ms: float | None = None) -> int:
        """Press the button; returns the edge's monotonic ns. From any thread."""
        return self.button.press(duration_ms)

    def release(self) -> int:
        return self.button.release()


def _copy_what_stays(source: str, target: str) -> None:
    """The unit still runs: an entry of its outbox may be gone by the time it is to be copied."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(source, target)
