"""Core, wired: arms the button first, then everything else. Knows the machine only by its port."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from unitd.config import Config
from unitd.core.alarm import AlarmDesk
from unitd.core.button import Felt, gap_facts
from unitd.core.clock_desk import ClockDesk
from unitd.core.commands import CommandDesk
from unitd.core.control_room import ControlRoomDesk
from unitd.core.duty import DutyDesk
from unitd.core.evidence_desk import EvidenceDesk
from unitd.core.health import HealthDesk
from unitd.core.incident_events import tell_asked, tell_stage
from unitd.core.latch import Latch, Latched
from unitd.core.line_desk import LineDesk
from unitd.core.live_commands import fitted
from unitd.core.locks import LockDesk
from unitd.core.machine import Early, Machine, Watch
from unitd.core.panel import Panel, lamp_pins
from unitd.core.recover import Recovered, merged, recover
from unitd.core.settings import settings_of
from unitd.core.snapshot import Snapshot
from unitd.core.stills import StillDesk
from unitd.core.tool_desk import ToolDesk
from unitd.core.unit import Unit
from unitd.core.wishes import Wishes
from unitd.core.worker_events import WorkerEvents
from unitd.core.workers import WorkerDesk
from unitd.messages import control_room as wire
from unitd.model import events as ev
from unitd.model.incident import Origin
from unitd.model.outputs import Outputs
from unitd.runtime import logs
from unitd.runtime.logs import Logger
from unitd.runtime.supervise import Service, supervise
from unitd.runtime.watchdog import Watchdog
from unitd.store.outbox import Outbox

ARM_AGAIN_S = 1.0
READY_UNARMED_S = 8.0
"""How long systemd is kept waiting for a button that cannot be watched; less than its TimeoutStartSec."""


class Core:
    """Everything of core, wired. Built and run on one loop."""

    def __init__(
        self,
        config: Config,
        machine: Machine,
        log: Logger,
        not_before: Callable[[int], None] = lambda _utc_s: None,
        early: Early | None = None,
    ) -> None:
        """`not_before` is told a lower bound of the present time (UTC s) when one is found on the disk; `early` is what
        the machine watches the button with already."""
        self._config = config
        self._not_before = not_before
        self._log = log
        self._machine = machine
        self._clock = machine.clock
        self._disk = machine.disk
        self._run_dir = Path(config.paths.run_dir)
        self._state_dir = Path(config.paths.state_dir)
        with contextlib.suppress(OSError):  # armed without it: presses then go out from memory, and the health says so
            self._run_dir.mkdir(parents=True, exist_ok=True)
        self._latch = early.latch if early else Latch(self._run_dir)
        self._panel = early.panel if early else Panel()
        self._left = early.left if early else None
        self._snapshot = Snapshot(self._run_dir, self._state_dir, self._disk, self._log)
        self.unit = Unit(settings_of(config), self._snapshot, self._clock, self._log)
        self._watch: Watch | None = None
        self._button_error = "not tried yet"
        self._early: list[Felt] = []
        self._ready = False
        self._test_called = False

    async def run(self, stop: asyncio.Event, on_ending: Callable[[int], None] = lambda _status: None) -> int:
        """Arm, recover, serve until `stop` is set; returns the exit status. `on_ending` is told it before the end,
        which may be held up by whatever hangs."""
        self._loop = asyncio.get_running_loop()
        left = self._left
        if left is None:  # before the button is watched: later ones are our own
            left = self._latch.pending(self._machine.boot_id)
        self._arm()
        recovered = await recover(
            self._disk, self._machine.boot_id, self._run_dir, self._state_dir, self._snapshot, left, self._clock,
            self._log, self.unit.settings,
        )  # fmt: skip
        self._wire(recovered)
        status = await self._serve(recovered, stop, on_ending)
        self._panel.close()
        self._disk.close()
        return status

    def _fit_lamps(self) -> None:
        """Take the pins of lamps and sounder that are not held yet; one that cannot be had leaves the others lit."""
        for name, pin in lamp_pins(self._config).items():
            if pin is not None and not self._panel.fitted(name):
                try:
                    self._panel.fit(name, self._machine.lamp(pin))
                except Exception as error:  # noqa: BLE001 - whatever a pin library raises, the other lamps still light
                    self._log.error("lamp cannot be driven", lamp=name, pin=pin, error=repr(error))

    def _arm(self) -> bool:
        """Watch the button, before the disk is so much as looked at; whether it worked. Early presses wait."""
        try:
            self._machine.check_pins()
            self._fit_lamps()
            self._watch = self._machine.watch(
                self._panel,
                self._latch,
                on_press=lambda felt: self._from_thread(self._pressed, felt),
                on_stuck=lambda stuck: self._from_thread(self._stuck, stuck),
            )
        except Exception as error:  # noqa: BLE001 - whatever it raises, the unit still serves its other routes
            if repr(error) != self._button_error:
                self._log.exception("button cannot be watched", pin=self._config.button.pin)
            self._button_error = repr(error)
            return False
        self._button_error = ""
        self._log.info("button watched", pin=self._config.button.pin)
        return True

    def _from_thread(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended; the latch keeps the press
            self._loop.call_soon_threadsafe(call, *arguments)

    def _pressed(self, felt: Felt) -> None:
        if not self._ready:
            self._early.append(felt)
            return
        latched = felt.latched
        event = ev.Pressed(latched.press_id, latched.incident_id, latched.mono_ns, latched.utc_us, latched.clock)
        self.unit.apply(event)
        self.unit.afterwards(lambda: self._served(felt))

    def _rehearse(self, latched: Latched) -> None:
        """While the glitch filter waits (8 ms), go through what the press will bring about, up to the alarm's bytes,
        and throw it away: the way is warm when it counts, and faster than cold (docs/benchmarks.md)."""
        event = ev.Pressed(latched.press_id, latched.incident_id, latched.mono_ns, latched.utc_us, latched.clock)
        self._alarms.rehearse(self.unit.rehearse(event))

    def _served(self, felt: Felt) -> None:
        """An accepted press has had its effects: the panel follows the state alone now, and the press is told of."""
        latched = felt.latched
        self._panel.settle()
        self._alarms.settle([latched.press_id])
        incident = next(
            (
                each
                for each in self.unit.state.incidents
                if any(press.press_id == latched.press_id for press in each.presses)
            ),
            None,
        )
        incident_id = incident.incident_id if incident else latched.incident_id
        logs.chain(self._log, "edge", incident_id, latched.mono_ns)
        logs.chain(self._log, "lamp", incident_id, felt.light_ns)
        logs.chain(self._log, "latched", incident_id, felt.latched_ns)
        logs.chain(self._log, "pressed", incident_id, felt.accepted_ns)
        self._control_room.event(
            "pressed", incident_id=incident_id, mono_ns=latched.mono_ns, data={"press": latched.press_id}
        )

    def _stuck(self, stuck: bool) -> None:
        """The button is stuck, free again, or its cable's fault has changed."""
        fault = self._watch.fault if self._watch is not None else ""
        self._log.warning("button", stuck=stuck, fault=fault)
        self.unit.apply(ev.ButtonState(self._watch is not None, stuck, fault))

    def _wire(self, recovered: Recovered) -> None:
        """Build what needs the recovered session, restore the state, serve the presses that waited."""
        c = self._config
        session = recovered.session
        site = wire.Site(**{name: getattr(c.site, name) for name in wire.Site.__struct_fields__})
        unit = self.unit
        self._alarms = AlarmDesk(
            c.unit.id, site, session, Outbox(self._state_dir / "outbox"), self._disk, self._latch, self._clock,
            self._log, unit.apply,
        )  # fmt: skip
        self._stills = StillDesk(c.unit.id, self._clock, self._log, lambda: self._alarms.taken)
        self._evidence = EvidenceDesk(
            c, self._machine, self._log, session, lambda: unit.state, unit.apply,
            lambda: self._workers.facts().get("record", {}), lambda *a, **k: self._control_room.event(*a, **k),
            lambda: any(each.connected for each in self._control_room.uplinks),
        )  # fmt: skip
        self._commands = CommandDesk(
            session, lambda: self._clock.mono_ns() // 1_000_000, lambda: unit.state, unit.apply,
            lambda name: name in self._health.warnings, self._mint_test, has_dome=c.dome is not None,
            judged=self._evidence.judged, lock_objection=self._evidence.releases.objection, fitted=fitted(c),
            new_id=self._machine.new_id, mono_ns=self._clock.mono_ns,
        )  # fmt: skip
        self._control_room = ControlRoomDesk(
            c, session, self._clock, self._log, lambda: self._health.state(), self._commands, unit.apply,
            self._acked, self._broker_connected, self._alarms.hub_heard,
            self._machine.uplink, lambda: self._evidence.checkpoints.head,
        )  # fmt: skip
        self._alarms.send_on(self._control_room.uplinks)
        self._stills.send_on(self._control_room.uplinks)
        self._alarms.held([each.press_id for each in recovered.entries], recovered.durable)
        events = WorkerEvents(
            unit.apply, self._stills.take, self._control_room.event, self._control_room.worker_event,
            self._evidence.chain, self._clock,
        )  # fmt: skip
        self._workers = WorkerDesk(
            self._run_dir, session, Wishes(c), self._log, events.take, lambda: self._health.status(),
            ToolDesk(self._evidence, lambda: unit.state, unit.apply, self._log).answer,
        )  # fmt: skip
        self._times = ClockDesk(
            self._state_dir, recovered.boot, self._machine.boot_id, session, self._clock, self._disk, self._log,
            self._control_room.event, self._not_before, self._evidence.file,
        )  # fmt: skip
        self._alarms.correct_with(self._times.corrected)
        self._duty = DutyDesk(c, self._clock, lambda: self._times.truth_us, lambda: unit.state, unit.apply, self._log)
        self._locks = LockDesk(
            self._state_dir / "locks", self._disk, self._log, self._evidence.lock_complete,
            self._evidence.lock_written,
        )  # fmt: skip
        self._health = HealthDesk(
            c, site, session, self._clock, unit, self._panel, self._alarms, self._control_room, self._workers,
            lambda: self._snapshot.disk_failed or self._locks.failed, lambda: self._disk.hung,
            lambda: self._button_error, lambda: self._latch.refused,
            recovered.quarantined, self._facts, self._evidence.faults,
        )  # fmt: skip
        unit.first_with(self._alarms.send)  # the first light burns already: the alarm goes before the other lamps
        unit.reconcile_with(
            self._alarms.reconcile,
            lambda levels: self._panel.show(levels.lamps, levels.sounder, levels.quiet),
            self._workers.reconcile,
            self._locks.reconcile,
            lambda levels: self._control_room.state_changed(),
            self._test_when_due,
            lambda levels: self._times.note(unit.state),
            self._evidence.reconcile,
        )
        unit.on_stage(lambda each: tell_stage(self._control_room.event, each))
        unit.on_stage(self._evidence.stage)
        unit.on_asked(lambda each: tell_asked(self._control_room.event, each))
        unit.on_change(self._evidence.live)
        self._line = LineDesk(
            lambda: self._workers.facts().get("call", {}), lambda: unit.state, unit.apply, self._clock
        )
        for press in recovered.presses:
            self._log.warning("a predecessor's press is served now", press=press.press_id)
        unit.restore(recovered.state, recovered.presses)
        if recovered.tmpfs_only:
            unit.keep(recovered.on_disk)
        # not the predecessor's word: the contact may have come free while nobody watched
        watch = self._watch
        unit.apply(ev.ButtonState(watch is not None, watch is not None and watch.stuck, watch.fault if watch else ""))
        self._evidence.began()
        self._ready = True
        self._latch.on_set = lambda latched: self._from_thread(self._rehearse, latched)
        self._restarted()
        self._alarms.settle(recovered.found)
        for felt in self._early:
            self._pressed(felt)
        self._early.clear()

    def _restarted(self) -> None:
        """Say for how long at most nobody watched the button, if a core of this boot went before us."""
        gap = self._watch.gap if self._watch is not None else None
        if gap is not None:
            data = {"blind_ms": gap.blind_ns // 1_000_000, "restarts": gap.restarts}
            self._log.warning("core restarted", **data)
            self._control_room.event("core_restarted", data=data)

    def _facts(self) -> dict[str, str | int | float | bool | None]:
        gap = self._watch.gap if self._watch is not None else None
        return {**gap_facts(gap), **self._latch.counts(), **self._evidence.facts()}

    async def _late(self, recovered: Recovered) -> None:
        """A disk that was not ready at the start tells what it holds when it is: incidents and alarms of before."""
        if recovered.late is not None:
            try:
                late, durable = await recovered.late
            except OSError as error:
                self._log.error("disk not read", error=repr(error))
            else:
                self._log.warning("disk ready late", boot=late.boot, entries=len(late.entries))
                recovered.quarantined += late.quarantined  # the health desk reports from this list
                held = [each.press_id for each in late.entries]
                self._alarms.held(held, late.durable)
                state, presses = merged(self.unit.state, late, durable, self._clock.mono_ns())
                self.unit.take_over(state)
                for press in presses:
                    self.unit.apply(press)
                self._alarms.settle(held)
        await asyncio.Event().wait()

    def _mint_test(self, origin: Origin = "command") -> ev.Raised:
        stamp = self._clock.stamp()
        press_id, incident_id = self._machine.new_id(), self._machine.new_id()
        return ev.Raised(press_id, incident_id, "test", stamp.mono_ns, stamp.utc_us, stamp.clock, origin=origin)

    def _test_when_due(self, levels: Outputs) -> None:
        if levels.test_due and not self._test_called:
            self._test_called = True
            self._loop.call_soon(self._raise_test)  # not from within the step that found it due

    def _raise_test(self) -> None:
        self._test_called = False
        if self.unit.outputs().test_due:
            self.unit.apply(self._mint_test("periodic"))

    def _broker_connected(self) -> None:
        self._alarms.broker_connected()
        self._evidence.checkpoints.tell()

    def _acked(self, broker: str, token: str, at_ns: int) -> None:
        """A broker has taken an alarm or a still."""
        if not self._stills.acked(token):
            self._alarms.acked(broker, token, at_ns)

    async def _serve(self, recovered: Recovered, stop: asyncio.Event, on_ending: Callable[[int], None]) -> int:
        watchdog = Watchdog(self._clock.mono_ns, self._machine.notify)
        notify, pace = self._machine.notify, self._machine.pace

        async def time_passes() -> None:
            watchdog.expect("time", within_s=4 * pace.vital_s)
            await self.unit.run(lambda: watchdog.beat("time"), pace.vital_s)

        async def press_thread() -> None:
            """Arm if that has not worked yet (a GPIO chip may come late at boot); then see that the thread lives.

            It completes a cycle every second; its stamp is what is fresh, not this task.
            """
            while self._watch is None:
                await asyncio.sleep(ARM_AGAIN_S)
                if await asyncio.to_thread(self._arm) and self._watch is not None:
                    self.unit.apply(ev.ButtonState(True, self._watch.stuck, self._watch.fault))
                    self._restarted()
                    notify("READY=1\nSTATUS=armed")
            watchdog.expect("press", within_s=4 * pace.vital_s)
            while self._watch is not None:
                if self._clock.mono_ns() - self._watch.alive_ns < 3_000_000_000:
                    watchdog.beat("press")
                await asyncio.sleep(pace.vital_s)

        async def feed() -> None:
            await watchdog.run(lambda stale: self._log.error("watchdog withheld", stale=stale), 2 * pace.vital_s)

        services = [
            Service("time", time_passes, vital=True),
            Service("press thread", press_thread, vital=True),
            Service("watchdog", feed, vital=True),
            Service("alarms", self._alarms.run, vital=True),
            Service("workers", self._workers.run),
            Service("stills", self._stills.run),
            *self._evidence.services(),
            Service("locks", self._locks.run),
            Service("sounds", lambda: self._health.find_sounds(self._disk)),
            Service("duty", lambda: self._duty.run(4 * pace.look_s)),
            Service("line", lambda: self._line.run(pace.look_s)),
            Service("clock", lambda: self._times.run(pace.vital_s)),
            Service("clock record", self._times.keep),
            Service("snapshot", self._snapshot.run),
            Service("late disk", lambda: self._late(recovered)),
            *self._control_room.services(pace.look_s),
        ]
        work = asyncio.create_task(supervise(services, self._log))
        stopping = asyncio.create_task(stop.wait())
        if self._watch is not None:
            notify("READY=1\nSTATUS=armed")
        else:  # a unit that cannot be armed must not be restarted for ever either: it has a fault to report
            self._loop.call_later(READY_UNARMED_S, notify, "READY=1\nSTATUS=not armed: the button cannot be watched")
        self._log.info("armed" if self.unit.state.armed else "not armed", session=self._alarms.session)
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        notify("STOPPING=1")
        self.unit.finish()  # what waits for a broker's word is put on disk before the end
        status = 0
        if work.done():
            self._log.error("core ends", error=repr(work.exception()))
            status = 1
        on_ending(status)
        for uplink in self._control_room.uplinks:
            goodbye = msgspec.structs.replace(self._health.state(), online=False, armed=False)
            uplink.publish(
                wire.topic(self._config.unit.id, "up", "state"), msgspec.json.encode(goodbye), qos=1, retain=True
            )
        await asyncio.sleep(0.05)  # paho's thread takes the goodbye from its socket pair
        await self._times.close()
        await self._evidence.close()
        work.cancel()
        stopping.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await work
        self._log.info("core stopped", status=status)
        return status
