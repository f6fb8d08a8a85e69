"""What a core finds of its predecessors: state, outbox, latched presses. Idempotent; never longer than it must."""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from unitd.core.disk_thread import DiskHungError
from unitd.core.latch import Latched
from unitd.core.machine import DiskWorker
from unitd.core.session import next_session, unsaved_session
from unitd.core.snapshot import Snapshot
from unitd.errors import StoreError
from unitd.model import events as ev
from unitd.model.incident import Settings, State
from unitd.model.outputs import next_change_ns, outputs
from unitd.model.step import rebooted, step
from unitd.ports import Clock
from unitd.runtime.logs import Logger
from unitd.store import disk as disk_calls
from unitd.store.boot import KERNEL_BOOT_ID, BootBusyError, boot_of
from unitd.store.outbox import Entry, Outbox

READ_AGAIN_S = 5.0
BUSY_TRIES = 5
BUSY_AGAIN_S = 1.0
"""Another process that keeps the boot counter is waited for about 10 s; the alarms on the disk wait no longer."""
WITHIN_S = 3.0
"""How long a slow disk is waited for at start; after that core goes on with what tmpfs holds."""


@dataclass
class Recovered:
    """`presses` are events for what the state does not hold yet, in order."""

    state: State = field(default_factory=State)
    session: int = 1
    boot: int = 0
    entries: list[Entry] = field(default_factory=list)
    durable: bool = True
    """Whether the entries are sure to be found again after a power cut."""
    quarantined: list[str] = field(default_factory=list)
    presses: list[ev.Pressed | ev.Raised] = field(default_factory=list)
    late: "asyncio.Future[tuple[Recovered, State | None]] | None" = None
    """What a disk that was not ready in time has to tell when it is."""
    tmpfs_only: bool = False
    """The state is a predecessor's of this boot, and `on_disk` is what the disk was brought to of it."""
    on_disk: State | None = None
    found: list[str] = field(default_factory=list)
    """Ids of all presses in outbox and latch, known to the state or not."""


def boot_id() -> str:
    """The kernel's id of this boot; does not touch the disk."""
    return KERNEL_BOOT_ID.read_text(encoding="ascii").strip()


async def recover(
    disk: DiskWorker,
    this_boot_id: str,
    run_dir: Path,
    state_dir: Path,
    snapshot: Snapshot,
    left: list[Latched],
    clock: Clock,
    log: Logger,
    settings: Settings,
) -> Recovered:
    """Gather it all, with the presses that were `left` latched.

    A disk that refuses or takes longer than WITHIN_S is logged and done without; so is a state that `step` fails on
    under these `settings`, as it would end every start of core.
    """

    def read_disk(wait: bool) -> tuple[Recovered, State | None]:
        read = Recovered()
        try:
            read.boot = boot_of(state_dir, this_boot_id).boot
        except StoreError as error:
            if wait and isinstance(error, BootBusyError):
                raise
            log.error("boot counter not kept", error=str(error))
        for directory in (state_dir / "core", state_dir / "locks"):
            disk_calls.remove_unfinished(directory)
        read.session = next_session(run_dir, state_dir, this_boot_id)
        state = snapshot.load_durable()
        try:
            read.entries, read.quarantined, read.durable = Outbox(state_dir / "outbox").open()
        except OSError as error:
            log.error("outbox cannot be read", error=str(error))
        return read, state

    async def read() -> tuple[Recovered, State | None]:
        tries = 0
        while True:
            tries += 1
            try:
                return await disk.run(partial(read_disk, tries < BUSY_TRIES))
            except BootBusyError:
                await asyncio.sleep(BUSY_AGAIN_S)
            except DiskHungError as error:
                log.error("the disk hangs; it is read again when it is back", error=str(error))
            # Once more into a file that hangs would cost the threads that others need.
            while disk.hung:  # noqa: ASYNC110 - a level, nobody to set an event
                await asyncio.sleep(READ_AGAIN_S)

    reading = asyncio.ensure_future(read())
    try:
        async with asyncio.timeout(WITHIN_S):
            found, durable = await asyncio.shield(reading)
    except OSError as error:  # TimeoutError is one
        log.error("disk not ready at start, going on without it", error=repr(error))
        found, durable = Recovered(session=unsaved_session(run_dir, this_boot_id)), None
        found.late = reading
    volatile = snapshot.load_volatile()
    found.tmpfs_only = volatile is not None and found.late is None
    found.on_disk = durable
    if found.boot == 0:
        found.boot = volatile.boot if volatile else (durable.boot + 1 if durable else 0)
    found.found = [*(each.press_id for each in found.entries), *(each.press_id for each in left)]
    try:
        if durable is not None:
            durable = _of_its_boot(durable, found.boot, this_boot_id)
        found.state = replace(_of_this_boot(volatile, durable, found.boot, clock.mono_ns()), boot_id=this_boot_id)
        _try_on(found.state, clock.mono_ns(), settings)
    except Exception as error:  # noqa: BLE001 - whatever it is, outbox and latch still raise what was not received
        log.error("state cannot be gone on from, going on without it", error=repr(error))
        found.state = State(boot=found.boot, boot_id=this_boot_id)
    known, ended = _known(found.state)
    for name in found.quarantined:
        log.error("unreadable outbox entry put aside", file=name)
    for entry in found.entries:
        if entry.press_id not in known and entry.incident_id not in ended:
            known.add(entry.press_id)
            found.presses.append(_event_of(entry))
    for latched in left:
        if latched.press_id not in known and latched.incident_id not in ended:
            known.add(latched.press_id)
            found.presses.append(
                ev.Pressed(latched.press_id, latched.incident_id, latched.mono_ns, latched.utc_us, latched.clock)
            )
    return found


def merged(state: State, late: Recovered, durable: State | None, now_ns: int) -> tuple[State, list[ev.Event]]:
    """The running state with what a late disk held, and the presses that are then still to be served; pure.

    A state that has a boot's number comes from a core that had seen the disk: what the disk still held of it was older.
    """
    boot = late.boot or state.boot or (durable.boot + 1 if durable is not None else 0)
    if durable is not None:
        durable = _of_its_boot(durable, boot, state.boot_id)
    if durable is not None and state.boot == 0:
        state = _joined(_numbered(state, boot), _placed(_from_disk(durable, boot, now_ns)))
    else:
        state = _numbered(state, boot)
    known, ended = _known(state)
    entries = [each for each in late.entries if each.press_id not in known and each.incident_id not in ended]
    return state, [_event_of(each) for each in entries]


def _of_this_boot(volatile: State | None, durable: State | None, boot: int, now_ns: int) -> State:
    """The state that a starting core goes on from. tmpfs is written at every step and cannot be of another boot: it is
    never behind the disk, unless who wrote it (boot 0) had not seen the disk. One with another number is of a `run_dir`
    that is no tmpfs."""
    if volatile is None:
        return _placed(_from_disk(durable or State(), boot, now_ns))
    if volatile.boot == 0 and durable is not None:
        return _joined(_numbered(volatile, boot), _placed(_from_disk(durable, boot, now_ns)))
    return rebooted(volatile, boot, now_ns) if volatile.boot else _numbered(volatile, boot)


def _of_its_boot(durable: State, boot: int, this_boot_id: str) -> State:
    """The disk's state with another number than `boot` when it is of another boot.

    A disk that refuses the counter gives a number twice.
    """
    if durable.boot_id in ("", this_boot_id) or durable.boot != boot:
        return durable
    return replace(durable, boot=boot - 1)


def _from_disk(durable: State, boot: int, now_ns: int) -> State:
    """The disk's state as this boot finds it. One of this number with instants that are yet to come is of another boot,
    whose number the disk did not take, so that it was given again."""
    if durable.boot == boot and _latest_ns(durable) > now_ns:
        durable = replace(durable, boot=boot - 1)
    return rebooted(durable, boot, now_ns)


def _latest_ns(state: State) -> int:
    """The last instant at which something had happened already."""
    instants = [state.heard_mono_ns or 0, state.ended_mono_ns or 0, state.tested_mono_ns or 0]
    for each in state.incidents:
        instants += [each.stage_mono_ns, each.since_mono_ns, each.last_press_mono_ns, each.sms_mono_ns]
    return max(instants)


def _try_on(state: State, now_ns: int, settings: Settings) -> None:
    """Raises what going on from `state` would raise."""
    state = step(state, ev.Tick(), now_ns, settings)
    outputs(state, now_ns, settings)
    next_change_ns(state, now_ns, settings)


def _numbered(state: State, boot: int) -> State:
    """The same boot by its right number, which was not known: its instants hold, and a lock of boot 0 would cover
    no footage."""
    if state.boot == boot:
        return state
    was = state.boot
    return replace(
        state,
        boot=boot,
        incidents=tuple(
            replace(
                each,
                boot=boot if each.boot == was else each.boot,
                presses=tuple(replace(press, boot=boot) if press.boot == was else press for press in each.presses),
            )
            for each in state.incidents
        ),
        closed_locks=tuple(
            replace(
                each,
                from_boot=boot if each.from_boot == was else each.from_boot,
                to_boot=boot if each.to_boot == was else each.to_boot,
            )
            for each in state.closed_locks
        ),
        past=tuple(replace(each, boot=boot) if each.boot == was else each for each in state.past),
        watch=replace(state.watch, boot=boot) if state.watch is not None and state.watch.boot == was else state.watch,
    )


def _placed(state: State) -> State:
    """The same with an end for each lock whose boot never got its number, where the power was cut before the disk was
    read: it was the boot before, or this one. Too much footage is kept rather than too little, and not all for ever."""
    if state.boot == 0:
        return state
    before = max(1, state.boot - 1)
    locks = (replace(each, from_boot=each.from_boot or before, to_boot=state.boot) if each.to_boot == 0 else each
             for each in state.closed_locks)  # fmt: skip
    return replace(state, closed_locks=tuple(locks))


def _joined(state: State, old: State) -> State:
    """`state` with all that lasts of `old`, which was on the disk before it."""
    ours = {each.incident_id for each in state.incidents}
    return replace(
        state,
        incidents=(*(each for each in old.incidents if each.incident_id not in ours), *state.incidents),
        closed_locks=(*old.closed_locks, *state.closed_locks),
        releases=(*old.releases, *(each for each in state.releases if each not in old.releases)),
        past=(*(each for each in old.past if each.incident_id not in ours), *state.past),
        uploads=(*old.uploads, *state.uploads),
        watch=old.watch if state.watch is None else state.watch,
        suppressed=old.suppressed + state.suppressed,
        tested_utc_us=old.tested_utc_us if state.tested_utc_us is None else state.tested_utc_us,
        test_unanswered=old.test_unanswered or state.test_unanswered,
    )


def _known(state: State) -> tuple[set[str], set[str]]:
    """The presses that the state holds, and the incidents that have ended with every alarm received: what outbox or
    latch still hold of these was to be removed, and is no new call."""
    known = {press.press_id for incident in state.incidents for press in incident.presses}
    waiting = {each.incident_id for each in state.incidents}
    return known, {each.incident_id for each in state.past if each.outcome is not None} - waiting


def _event_of(entry: Entry) -> ev.Pressed | ev.Raised:
    if entry.kind == "panic":
        return ev.Pressed(entry.press_id, entry.incident_id, entry.mono_ns, entry.utc_us, entry.clock, entry.boot)
    return ev.Raised(
        entry.press_id,
        entry.incident_id,
        entry.kind,
        entry.mono_ns,
        entry.utc_us,
        entry.clock,
        entry.boot,
        entry.origin,
    )
