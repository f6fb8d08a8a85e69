"""Plays one scenario on a bench: does each step at its time, judges each expectation by its deadline, reports."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hw_sim import scenario_evidence as evidence
from hw_sim import scenario_steps as words
from hw_sim.bench import Bench, BenchOptions
from hw_sim.scenario import Scenario
from hw_sim.scenario_keep import bring_up, export_closed
from hw_sim.scenario_look import View, look, seen_instead
from hw_sim.scenario_operator import ScenarioOperator
from hw_sim.scenario_report import Report, StepResult
from hw_sim.unit_config import PINS

LOOK_EVERY_S = 0.02
LATE_MS = 60.0
"""How long after its deadline an expectation is still looked at: what came in time may be seen a little later."""
SETTLING_MS = 1000.0
"""A lamp counts as steady only once it has kept its level; the time it became so is what is judged."""

Say = Callable[[str], None]


class StepFailedError(Exception):
    """A step did not go as written; the rest is not played."""


async def play(scenario: Scenario, seed: int | None, say: Say, keep: Path | None = None) -> Report:
    """Build the bench, play, take it down. Never raises for what a scenario can meet: the report says what failed."""
    seed = scenario.seed if seed is None else seed
    report = Report(scenario=scenario.name, title=scenario.title, seed=seed)
    began_s = time.monotonic()
    parts = scenario.bench
    options = BenchOptions(
        seed=seed,
        processes=parts.processes,
        control_room=parts.control_room,
        camera=parts.camera,
        dome=parts.dome,
        modem=parts.modem,
        sound=parts.sound,
        disk_bytes=None if parts.disk_mb is None else parts.disk_mb * 2**20,
        bad_disk=parts.bad_disk,
        cold_clock=parts.cold_clock,
        contact=parts.contact,
        stretch_s=parts.stretch_s,
        config=parts.unit,
    )
    try:
        async with Bench(options, lambda line: say(f"          {line}")) as bench:
            try:
                await _play_on(bench, scenario, report, say)
            finally:
                if keep is not None:
                    report.evidence = await export_closed(bench, report.incidents, keep, say)
                    await bench.keep(keep)
                    await asyncio.to_thread(bring_up, keep)
        report.ok = True
    except StepFailedError as error:
        report.error = str(error)
    except (RuntimeError, OSError, TimeoutError) as error:
        report.error = f"the bench: {error}"
        say(f"  FAILED  {report.error}")
    report.duration_s = round(time.monotonic() - began_s, 2)
    return report


async def _play_on(bench: Bench, scenario: Scenario, report: Report, say: Say) -> None:
    operator = None
    if scenario.bench.operator and bench.room is not None:
        operator = ScenarioOperator(bench.room, bench.unit_id, media="call" in scenario.bench.processes)
        await operator.start()
    try:
        await bench.wait_ready()
        say("          armed")
        player = Player(bench, operator, report, say)
        try:
            await player.run(scenario.steps)
        finally:
            bench.tail.look()
            player.fill_chain()
    finally:
        if operator is not None:
            await operator.stop()


class Player:
    """One timeline. Expectations are judged side by side; the first that fails ends the play."""

    def __init__(self, bench: Bench, operator: ScenarioOperator | None, report: Report, say: Say) -> None:
        self._bench, self._operator, self._report, self._say = bench, operator, report, say
        self._view = View(bench, operator)
        self._start_ns = time.monotonic_ns()
        self._marks: dict[str, int] = {}
        self._mark_ns = self._start_ns
        self._pending: set[asyncio.Task[None]] = set()

    async def run(self, steps: tuple[Any, ...]) -> None:
        """Play all of it; raises StepFailedError."""
        self._mark()
        try:
            for number, step in enumerate(steps, 1):
                if hasattr(step, "within_ms"):
                    since_ns = self._marks[step.of] if step.of else self._mark_ns
                    self._pending.add(asyncio.create_task(self._judge(number, step, since_ns)))
                    continue
                await self._wait_for(step)
                await self._do(number, step)
            await self._settle()
        finally:
            for task in self._pending:
                task.cancel()
            await asyncio.gather(*self._pending, return_exceptions=True)

    def fill_chain(self) -> None:
        """The way of the first press, for the report."""
        tail, chain = self._bench.tail, self._report.chain_ms
        edges = tail.steps("edge")
        self._report.incidents = list(dict.fromkeys(step.incident for step in tail.chain))
        if not edges:
            return
        edge = edges[0]

        def put(name: str, at_ns: int | None) -> None:
            # What was there before the press (a watch's picture) is no step of its way.
            chain[name] = (
                None if at_ns is None or at_ns < edge.at_mono_ns else round((at_ns - edge.at_mono_ns) / 1e6, 3)
            )

        for name in ("edge", "latched", "pressed", "persisted", "published", "broker_ack", "received"):
            steps = tail.steps(name, edge.at_mono_ns)
            put(name, steps[0].at_mono_ns if steps else None)
        lit = [c.mono_ns for c in self._bench.gpio.history(PINS["yellow"], edge.at_mono_ns) if c.value]
        put("lamp", lit[0] if lit else None)
        connected = tail.steps("call_connected", edge.at_mono_ns)
        put("call_set_up", connected[0].at_mono_ns if connected else None)
        peer = self._operator.peer if self._operator is not None else None
        put("first_video_frame", peer.first_frame_mono_ns if peer is not None else None)
        put("first_audio", peer.first_audio_mono_ns if peer is not None else None)
        clips = self._operator.clips if self._operator is not None else {}
        put("clip_ready", clips.get(edge.incident))

    # --- actions ----------------------------------------------------------------------------------------------------

    async def _wait_for(self, step: Any) -> None:
        if step.at_s is None:
            await self._settle()
            await asyncio.sleep(step.after_s)
            return
        due_s = self._start_ns / 1e9 + step.at_s
        sleeping = asyncio.ensure_future(asyncio.sleep(max(0.0, due_s - time.monotonic())))
        while not sleeping.done():
            done, _ = await asyncio.wait({sleeping, *self._pending}, return_when=asyncio.FIRST_COMPLETED)
            try:
                self._reap(done - {sleeping})
            except StepFailedError:
                sleeping.cancel()
                raise

    async def _do(self, number: int, step: Any) -> None:
        self._mark()
        began_s = self._since_start_s()
        try:
            at_ns = await self._act(step)
        except Exception as error:
            self._note(StepResult(number, _told(step), began_s, ok=False, error=str(error) or repr(error)))
            raise StepFailedError(f"step {number} ({_told(step)}): {error}") from error
        if at_ns is not None:
            self._mark(at_ns)
        if step.id:
            self._marks[step.id] = self._mark_ns
        self._note(StepResult(number, _told(step), began_s, ok=True))

    async def _act(self, step: Any) -> int | None:
        """Do it; the instant at which it took effect, when that is known better than "now"."""
        bench = self._bench
        match step:
            case words.Press(ms=ms):
                return bench.press(ms)
            case words.Hold():
                return bench.press()
            case words.Release():
                return bench.release()
            case words.Bounce(pattern_ms=pattern):
                return bench.button.bounce(pattern)
            case words.Break(what=what, how=how):
                await bench.faults.set(what, how)
            case words.Mend(what=what):
                await bench.faults.set(what, "off")
            case words.Kill(process=process, signal=name):
                bench.kill(process, signal.Signals[f"SIG{name}"])
            case words.Hang(process=process):
                bench.kill(process, signal.SIGSTOP)
            case words.StepClock(by_s=by_s, synced=synced):
                if bench.clock is None:
                    raise RuntimeError("this bench has no clock to be set: it needs cold_clock")
                bench.clock.step(by_s, synced=synced)
            case words.Operator():
                await self._order(step)
            case words.OperatorSpeaks(tone_hz=tone_hz):
                if self._operator is not None and self._operator.peer is not None:
                    self._operator.peer.speak(tone_hz or None)
            case words.CallerSpeaks(tone_hz=tone_hz):
                await self._caller(tone_hz)
            case words.Export() | words.Verify() | words.ReleaseLock() | words.CloseHere():
                await self._command(step)
            case words.Certify():
                await evidence.certify(bench)
            case words.Wait(s=seconds):
                await asyncio.sleep(seconds)
                return time.monotonic_ns()
        return None

    async def _order(self, step: words.Operator) -> None:
        if self._operator is None:
            raise RuntimeError("there is no operator")
        ours = ("cmd", "by", "result", "id", "at_s", "after_s")
        names = (name for name in step.__struct_fields__ if name not in ours)
        fields = {name: value for name in names if (value := getattr(step, name)) is not None}
        await self._operator.order(step.cmd, step.by, step.result, fields)

    async def _command(self, step: Any) -> None:
        """One of the daemon's commands on the newest incident; it must end with the status that the step names."""
        bench, incident = self._bench, self._view.newest_id()
        if incident is None:
            raise RuntimeError("there is no incident yet")
        match step:
            case words.Export():
                said = await evidence.export(bench, incident)
            case words.Verify(trust=trust, heads=heads):
                said = await evidence.verify(bench, incident, trust=trust, heads=heads)
            case words.ReleaseLock(by=by, reason=reason):
                said = await evidence.release_lock(bench, incident, by, reason)
            case words.CloseHere(by=by, outcome=outcome):
                said = await evidence.close_here(bench, incident, by, outcome)
        if said.status != step.status or getattr(step, "says", "") not in said.text:
            raise RuntimeError(f"it ended with {said.status}: {said.text[-800:]}")

    async def _caller(self, tone_hz: float) -> None:
        sound = self._bench.sound
        if sound is None:
            raise RuntimeError("there is no sound on this bench")
        if tone_hz:
            await asyncio.to_thread(sound.play_caller, tone_hz)
        else:
            await asyncio.to_thread(sound.stop_caller)

    # --- expectations -----------------------------------------------------------------------------------------------

    async def _judge(self, number: int, step: Any, since_ns: int) -> None:
        """Look again and again until it is true in time, or its time is over."""
        settling_ms = SETTLING_MS if isinstance(step, words.Lamp) else 0.0
        last_look_ns = since_ns + int((step.within_ms + settling_ms + LATE_MS) * 1e6)
        result = StepResult(number, _told(step), self._since_start_s(), ok=False, limit_ms=step.within_ms)
        while True:
            before_ns = time.monotonic_ns()
            at_ns = await look(self._view, step, since_ns)
            if at_ns is not None:
                result.ms = round(max(0, at_ns - since_ns) / 1e6, 1)
                result.ok = result.ms <= step.within_ms
                result.error = "" if result.ok else "too late"
                break
            if before_ns > last_look_ns:
                result.error = seen_instead(self._view, step) or "not seen"
                break
            await asyncio.sleep(LOOK_EVERY_S)
        self._note(result)
        if not result.ok:
            raise StepFailedError(f"step {number} ({result.text}): {result.error}")

    async def _settle(self) -> None:
        while self._pending:
            done, _ = await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)
            self._reap(done)

    def _reap(self, done: set[asyncio.Task[None]]) -> None:
        for task in done:
            self._pending.discard(task)
        for task in done:
            task.result()

    # --- notes ------------------------------------------------------------------------------------------------------

    def _mark(self, at_ns: int | None = None) -> None:
        self._mark_ns = time.monotonic_ns() if at_ns is None else at_ns
        peer = self._operator.peer if self._operator is not None else None
        self._view.frames_at[self._mark_ns] = peer.frames if peer is not None else 0

    def _since_start_s(self) -> float:
        return round((time.monotonic_ns() - self._start_ns) / 1e9, 3)

    def _note(self, result: StepResult) -> None:
        self._report.steps.append(result)
        if result.limit_ms is None:
            self._say(f"{result.at_s:7.2f} s  {'' if result.ok else 'FAILED  '}{result.text}  {result.error}".rstrip())
            return
        mark = "ok" if result.ok else "FAILED"
        took = f"{result.ms:.0f} ms" if result.ms is not None else "not"
        self._say(f"{self._since_start_s():7.2f} s    {mark:<6} {result.text}: {took} (within {result.limit_ms:g} ms)")
        if result.error:
            self._say(f"             {result.error}")


def _told(step: Any) -> str:
    """A step in words, from its own fields."""
    kind = str(step.__struct_config__.tag)
    left_out = {"at_s", "after_s", "id", "within_ms", "of"}
    told = [kind]
    with contextlib.suppress(AttributeError):
        for name in step.__struct_fields__:
            value = getattr(step, name)
            if name not in left_out and value not in (None, "") and not (name == "by" and value == "Ana"):
                told.append(_word(name, value))
    return " ".join(told)


def _word(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"{name}={'yes' if value else 'no'}"
    if isinstance(value, int | float):
        return f"{name}={value:.10g}"
    return value if isinstance(value, str) else f"{name}={value}"
