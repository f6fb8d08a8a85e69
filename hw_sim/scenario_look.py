"""How each expectation is looked at: one function per word, on the devices, the logs and the console of a bench.

Each returns the monotonic instant (ns) at which it came true, or None while it has not. None of them waits.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw_sim import scenario_evidence as evidence
from hw_sim import scenario_steps as words
from hw_sim.devices.dome import PRESETS
from hw_sim.processes import bound_to_us, program
from hw_sim.unit_config import PINS
from unitd.messages.workers import Status

if TYPE_CHECKING:
    from hw_sim.bench import Bench
    from hw_sim.scenario_operator import ScenarioOperator

DOME_NEAR_DEG = 2.0
STATUS_FRESH_S = 0.1
EXPORT_TIMEOUT_S = 60.0
EAR_EMPTY_AFTER_NS = 500_000_000


@dataclass
class View:
    """What expectations look at. `frames_at` holds how many pictures the operator had at each action's instant."""

    bench: Bench
    operator: ScenarioOperator | None
    frames_at: dict[int, int] = field(default_factory=dict)
    ear_heard: tuple[int, int] = (-1, 0)
    recorded: evidence.Run | None = None
    _status: Status | None = None
    _status_at_s: float = 0.0

    async def status(self) -> Status | None:
        """Core's word on the unit, at most STATUS_FRESH_S old."""
        if time.monotonic() - self._status_at_s > STATUS_FRESH_S:
            self._status = await self.bench.status()
            self._status_at_s = time.monotonic()
        return self._status

    def newest(self) -> dict[str, Any] | None:
        return self.operator.newest if self.operator is not None else None

    def newest_id(self) -> str | None:
        """The newest incident, by the console or (without one) by core's log."""
        incident = self.newest()
        if incident is not None:
            return str(incident["incident_id"])
        return self.bench.tail.chain[-1].incident if self.bench.tail.chain else None


async def look(view: View, expected: Any, since_ns: int) -> int | None:
    """Whether `expected` is true now; the instant at which it became so."""
    found: int | None = await _LOOKS[type(expected)](view, expected, since_ns)
    return found


def seen_instead(view: View, expected: Any) -> str:
    """A few words on what is there instead, for the person who reads the failure."""
    bench = view.bench
    match expected:
        case words.Lamp(name=name):
            return f"it is {bench.gpio.shown(PINS[name])}"
        case words.Chain():
            return f"steps so far: {', '.join(dict.fromkeys(step.step for step in bench.tail.chain)) or 'none'}"
        case words.Stage() | words.Incidents() | words.Received() | words.Clip():
            shown = view.operator.state["incidents"] if view.operator is not None else []
            each = [(i["stage"], i["presses"], i["clip"]["state"], i["clip"]["error"]) for i in shown]
            return f"the console shows {each}"
        case words.UnitFault() | words.Armed() | words.Heard() | words.Clock() | words.Microphone():
            return f"core says {view._status}"
        case words.HornHears():
            horn = bench.horn
            return "no sound here" if horn is None else f"it says {horn.says!r}, said {list(horn.said)}"
        case words.ProcessBack(process=process):
            daemon = bench.daemons[process]
            return f"starts {daemon.starts}, last status {daemon.last_status}: {daemon.last_words()[-300:]}"
        case words.Picture() if view.operator is not None and view.operator.peer is not None:
            peer = view.operator.peer
            return f"{peer.frames} pictures in all, {peer.offers} offers, connected {peer.connected}"
        case words.Unbroken():
            return f"the ring holds {view.recorded}"
        case words.StillSeen() if view.operator is not None:
            return f"stills: {[len(each) for each in view.operator.stills.values()]}"
        case words.EventSeen() if view.operator is not None:
            return f"events: {[name for _, name, _ in view.operator.events[-12:]]}"
        case words.Sms() if bench.modem is not None:
            return f"text messages sent: {[(sms.number, sms.text) for sms in bench.modem.sms_sent[-5:]]}"
        case words.Dome() if bench.dome is not None:
            return f"it looks at {bench.dome.pose()}"
    return ""


async def _lamp(view: View, expected: words.Lamp, since_ns: int) -> int | None:
    gpio, pin = view.bench.gpio, PINS[expected.name]
    if expected.shows == "lit":
        lit = [change.mono_ns for change in gpio.history(pin, since_ns) if change.value]
        return lit[0] if lit else (since_ns if gpio.level(pin) else None)
    try:
        return await asyncio.to_thread(gpio.wait_output, pin, expected.shows, 0.0, since_ns)
    except TimeoutError:
        return None


async def _chain(view: View, expected: words.Chain, since_ns: int) -> int | None:
    steps = view.bench.tail.steps(expected.step, since_ns)
    return steps[0].at_mono_ns if steps else None


async def _log(view: View, expected: words.Log, since_ns: int) -> int | None:
    for entry in view.bench.tail.entries:
        at_ns = int(entry.fields.get("mono_ns", 0))
        if entry.process == expected.process and entry.event == expected.event and at_ns >= since_ns:
            return at_ns
    return None


async def _sms(view: View, expected: words.Sms, since_ns: int) -> int | None:
    for sms in view.bench.modem.sms_sent if view.bench.modem is not None else ():
        if sms.mono_ns >= since_ns and expected.number in ("", sms.number) and expected.says in sms.text:
            return sms.mono_ns
    return None


async def _received(view: View, _expected: words.Received, since_ns: int) -> int | None:
    """The book holds it when the hub says so: its first showing on the console, or another press of an old one."""
    if view.operator is None:
        return None
    fresh = [at_ns for at_ns in view.operator.received.values() if at_ns >= since_ns]
    again = [at_ns for presses, at_ns in view.operator.presses.values() if presses > 1 and at_ns >= since_ns]
    return min([*fresh, *again], default=None)


async def _stage(view: View, expected: words.Stage, since_ns: int) -> int | None:
    incident = view.newest()
    if view.operator is None or incident is None or incident["stage"] != expected.stage:
        return None
    return max(since_ns, view.operator.stages[incident["incident_id"]][expected.stage])


async def _incidents(view: View, expected: words.Incidents, since_ns: int) -> int | None:
    if view.operator is None:
        return None
    shown = view.operator.state["incidents"]
    right = len(shown) == expected.count
    if expected.presses is not None:
        right = right and bool(shown) and shown[-1]["presses"] == expected.presses
    if expected.open is not None:
        right = right and sum(1 for incident in shown if incident["open"]) == expected.open
    return max(since_ns, time.monotonic_ns()) if right else None


async def _fault(view: View, expected: words.UnitFault, since_ns: int) -> int | None:
    status = await view.status()
    if status is None:
        return None
    there = any(fault.code == expected.code and expected.subject in (None, fault.subject) for fault in status.faults)
    return time.monotonic_ns() if there == expected.present else None


async def _armed(view: View, expected: words.Armed, since_ns: int) -> int | None:
    status = await view.status()
    return time.monotonic_ns() if status is not None and status.armed == expected.armed else None


async def _heard(view: View, expected: words.Heard, since_ns: int) -> int | None:
    status = await view.status()
    return time.monotonic_ns() if status is not None and status.control_room_heard == expected.heard else None


async def _clock(view: View, expected: words.Clock, since_ns: int) -> int | None:
    status = await view.status()
    return time.monotonic_ns() if status is not None and status.clock == expected.quality else None


async def _process_back(view: View, expected: words.ProcessBack, since_ns: int) -> int | None:
    daemon = view.bench.daemons[expected.process]
    ready_ns = daemon.ready_mono_ns
    return ready_ns if ready_ns is not None and daemon.last_start_mono_ns > since_ns else None


async def _picture(view: View, expected: words.Picture, since_ns: int) -> int | None:
    peer = view.operator.peer if view.operator is not None else None
    if peer is None or peer.frames - view.frames_at.get(since_ns, 0) < expected.frames:
        return None
    return time.monotonic_ns()


async def _operator_hears(view: View, expected: words.OperatorHears, since_ns: int) -> int | None:
    peer = view.operator.peer if view.operator is not None else None
    if peer is None:
        return None
    samples, at_ns = view.ear_heard
    if peer.ear.heard_samples != samples:
        view.ear_heard = (peer.ear.heard_samples, time.monotonic_ns())
    elif time.monotonic_ns() - at_ns > EAR_EMPTY_AFTER_NS:  # nothing arrives any more: the ear holds what was
        return None if expected.hears else time.monotonic_ns()
    hears = await asyncio.to_thread(peer.hears_tone, expected.tone_hz)
    return time.monotonic_ns() if hears == expected.hears else None


async def _horn(view: View, expected: words.HornHears, since_ns: int) -> int | None:
    horn = view.bench.horn
    if horn is None:
        return None
    if expected.says is not None:
        return time.monotonic_ns() if horn.says == expected.says else None
    if expected.tone_hz is not None:
        return time.monotonic_ns() if await asyncio.to_thread(horn.hears_tone, expected.tone_hz) else None
    return time.monotonic_ns() if horn.sounds() == (expected.sounds is not False) else None


async def _microphone(view: View, expected: words.Microphone, since_ns: int) -> int | None:
    status = await view.status()
    state = (status.facts.get("call") or {}).get("sound.input") if status is not None else None
    if state is None:
        return None
    return time.monotonic_ns() if (state == "open") == expected.open else None


async def _dome(view: View, expected: words.Dome, since_ns: int) -> int | None:
    if view.bench.dome is None:
        return None
    pose = view.bench.dome.pose()

    def near(preset: int) -> bool:
        wanted = PRESETS[preset]
        return max(abs(pose.pan_deg - wanted.pan_deg), abs(pose.tilt_deg - wanted.tilt_deg)) < DOME_NEAR_DEG

    right = near(expected.preset) if expected.preset else not any(near(preset) for preset in PRESETS)
    return time.monotonic_ns() if right else None


async def _footage(view: View, expected: words.Footage, since_ns: int) -> int | None:
    incident = view.newest_id()
    file = await export(view.bench, incident, expected.camera) if incident is not None else None
    if file is None or await asyncio.to_thread(decoded_seconds, str(file)) < expected.seconds:
        return None
    return time.monotonic_ns()


async def export(bench: Bench, incident: str, camera: str | None = None) -> Path | None:
    """The daemon's own `unitd export` of an incident, into the bench's `export` directory; None when it refuses."""
    directory = bench.directory / "export"
    directory.mkdir(exist_ok=True)
    file = directory / f"{incident}{f'-{camera}' if camera else ''}.mp4"
    file.unlink(missing_ok=True)
    command = [program("unitd"), "export", "--config", str(bench.config_file), "--incident", incident]
    command += ["--output", str(file), *(["--camera", camera] if camera else [])]
    process = await asyncio.create_subprocess_exec(
        *bound_to_us(command),
        process_group=0,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await asyncio.wait_for(process.wait(), EXPORT_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
    return file if process.returncode == 0 and file.exists() else None


async def _clip(view: View, expected: words.Clip, since_ns: int) -> int | None:
    incident = view.newest_id()
    if view.operator is None or view.bench.room is None or incident not in view.operator.clips:
        return None
    seconds = await asyncio.to_thread(decoded_seconds, str(view.bench.room.shelf.path(incident)))
    return view.operator.clips[incident] if seconds >= expected.seconds else None


async def _event(view: View, expected: words.EventSeen, since_ns: int) -> int | None:
    if view.operator is None:
        return None
    return next((at for at, name, _ in view.operator.events if name == expected.name and at >= since_ns), None)


async def _lock(view: View, expected: words.LockKept, since_ns: int) -> int | None:
    incident = view.newest_id()
    if incident is None or evidence.kept(view.bench, incident) != expected.kept:
        return None
    return max(since_ns, time.monotonic_ns())


async def _unbroken(view: View, expected: words.Unbroken, since_ns: int) -> int | None:
    if view.bench.camera is None:
        return None
    sent = await view.bench.camera.sent("main")
    run = await asyncio.to_thread(evidence.recorded_since, view.bench, expected.camera, since_ns, sent)
    view.recorded = run
    return time.monotonic_ns() if not run.hole and run.seconds >= expected.seconds else None


async def _still(view: View, expected: words.StillSeen, since_ns: int) -> int | None:
    incident = view.newest_id()
    if view.operator is None or incident is None:
        return None
    came = sorted(at for at in view.operator.stills.get(incident, {}).values() if at >= since_ns)
    return came[expected.count - 1] if len(came) >= expected.count else None


def decoded_seconds(file: str) -> float:
    """Seconds of video that really decode; 0 for what is no video. Blocks; for a thread."""
    import av

    try:
        with av.open(file) as clip:
            times = [float(frame.time) for frame in clip.decode(video=0) if frame.time is not None]
    except (OSError, av.error.FFmpegError, IndexError) as error:
        print(f"cannot decode {file}: {error}", file=sys.stderr)
        return 0.0
    return max(times) - min(times) if len(times) > 1 else 0.0


_LOOKS: dict[type[Any], Callable[[View, Any, int], Awaitable[int | None]]] = {
    words.Lamp: _lamp,
    words.Chain: _chain,
    words.Log: _log,
    words.Sms: _sms,
    words.Received: _received,
    words.Stage: _stage,
    words.Incidents: _incidents,
    words.UnitFault: _fault,
    words.Armed: _armed,
    words.Heard: _heard,
    words.Clock: _clock,
    words.ProcessBack: _process_back,
    words.Picture: _picture,
    words.OperatorHears: _operator_hears,
    words.HornHears: _horn,
    words.Microphone: _microphone,
    words.Dome: _dome,
    words.Footage: _footage,
    words.Clip: _clip,
    words.LockKept: _lock,
    words.Unbroken: _unbroken,
    words.StillSeen: _still,
    words.EventSeen: _event,
}
