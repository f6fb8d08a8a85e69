"""Everything that can be broken on the simulated pole, under one name and value each.

The pole's page and the scenarios use the same switches.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hw_sim.devices.disk import SmallDisk
from hw_sim.devices.gpio_loop import CableFault
from hw_sim.pole.bench_port import FaultSwitch

if TYPE_CHECKING:
    from hw_sim.bench import Bench

OFF = "off"
_BUTTON_EXPECT = {
    "no": "With one contact that closes, a cut cable is not noticed by anybody: a press is not felt. Shorted, it is "
    "one alarm and, after 30 seconds, a stuck button.",
    "nc": "With one contact that opens, a cut cable is one alarm and, after 30 seconds, a stuck button.",
    "no+nc": "Cut: within 3 seconds the unit says so, without an alarm, and the locator light goes out. A broken or a "
    "shorted wire is found by the next press, which is felt all the same.",
}
_BAD_DISK = {"read-only": "read-only", "slow": "slow", "hung": "does not answer", "gone": "input/output errors"}
REFILL_EVERY_S = 0.1


@dataclass(frozen=True)
class _Fault:
    """One switch. `values` are the positions besides off; `missing` says why it cannot be had here, or ""."""

    label: str
    values: dict[str, str]
    expect: str
    put: Callable[[str], Awaitable[None]]
    missing: str = ""
    momentary: bool = False


class Faults:
    """The switches of one bench. `set` raises ValueError, with a sentence for a person, for what is not there."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._state: dict[str, str] = {}
        self._keeping_full: asyncio.Task[None] | None = None
        self._faults = {
            "button": _Fault(
                "Button's cable",
                {"cut": "cut", "no_wire": "NO's wire broken", "nc_shorted": "NC shorted", "no_shorted": "NO shorted"},
                _BUTTON_EXPECT[bench.options.contact],
                self._button,
            ),
            "camera": _Fault(
                "Camera",
                {"unpowered": "no power", "frozen": "picture frozen"},
                "The daemon notices within 3 seconds, says so and tries until it is back. The alarm is untouched.",
                self._camera,
                "" if bench.camera else "this bench has no camera",
            ),
            "link": _Fault(
                "4G link",
                {"cut": "cut", "slow": "slow", "no_stream": "no stream gets through"},
                "Cut: nothing passes and nobody is told; a press waits on disk and goes out when the link is back. "
                "Slow (400 kbit/s, 80 ms, 1 % loss): the picture steps down, the voice stays. No stream (64 kbit/s, "
                "media blocked): the alarm comes, and a still from each camera.",
                self._link,
            ),
            "modem": _Fault(
                "Modem",
                {"hung": "does not answer", "unplugged": "unplugged"},
                "The unit says so; button and alarm do not wait for it.",
                self._modem,
                "" if bench.modem else "this bench has no modem",
            ),
            "sms": _Fault(
                "Text messages",
                {"refused": "refused by the network", "slow": "10 s each"},
                "They go to the duty number 30 s after a press that no control room has received (break the broker), "
                "90 s after one that nobody answers. A refused one is tried again, for ever, with growing pauses.",
                self._sms,
                "" if bench.modem else "this bench has no modem",
            ),
            "broker": _Fault(
                "Broker",
                {"down": "down"},
                "A press flashes yellow and stays in the outbox; it is received as soon as the broker is back.",
                self._broker,
                "" if bench.broker else "this bench has no control room",
            ),
            "disk": _Fault(
                "Disk",
                ({"full": "full"} if bench.disk else {}) | (dict(_BAD_DISK) if bench.bad_disk else {}),
                "The alarm goes out from memory; the unit says so. Recording resumes when the disk is well again. "
                "Slow: 0.3 s for each write, and nothing is lost. Hung: said after 5 s; the picture goes on.",
                self._disk,
                ""
                if bench.disk or bench.bad_disk
                else "no mount namespace for a small disk, no compiler for a bad one",
            ),
            "sound": _Fault(
                "Sound card",
                {"lost": "gone"},
                "Picture and alarm go on; the unit says so; the voices come back with the card.",
                self._sound,
                "" if bench.sound else "this bench has no sound",
            ),
            "kill": _Fault(
                "Kill a process",
                {name: name for name in bench.options.processes},
                "It is back in about a second, in the same incident. A press while core is gone is noticed if the "
                "button is still held when it comes back"
                + (
                    f"; the pulse stretcher holds each for {bench.options.stretch_s:g} s."
                    if bench.options.stretch_s
                    else "."
                ),
                self._kill,
                momentary=True,
            ),
            "hang": _Fault(
                "Hang a process",
                {name: name for name in bench.options.processes},
                "Its watchdog kills it after 10 s and it starts afresh. While core is "
                "still, only a button that is still held when it comes back is noticed.",
                self._hang,
                momentary=True,
            ),
        }

    async def close(self) -> None:
        """End what keeps a fault up."""
        if self._keeping_full is not None:
            self._keeping_full.cancel()

    def state(self, name: str) -> str:
        """`off` or the value in force."""
        return self._state.get(name, OFF)

    def switches(self) -> list[FaultSwitch]:
        """All switches, for a page; one that cannot be had here has no choices and says why."""
        return [
            FaultSwitch(
                name,
                fault.label,
                () if fault.missing else tuple(fault.values.items()),
                self.state(name),
                f"Not here: {fault.missing}." if fault.missing else fault.expect,
                fault.momentary,
            )
            for name, fault in self._faults.items()
        ]

    async def set(self, name: str, value: str) -> None:
        """Put one switch to `value` or to `off`."""
        fault = self._faults.get(name)
        if fault is None:
            raise ValueError(f"no fault is called {name!r}; there are {', '.join(self._faults)}")
        if fault.missing:
            raise ValueError(f"{name}: {fault.missing}")
        if value != OFF and value not in fault.values:
            raise ValueError(f"{name} cannot be {value!r}; it can be {', '.join([*fault.values, OFF])}")
        await fault.put(value)
        if not fault.momentary:
            self._state[name] = value

    # --- one for each -----------------------------------------------------------------------------------------------

    async def _button(self, value: str) -> None:
        fault: CableFault = "" if value == OFF else value  # type: ignore[assignment]  # `set` has checked it
        self._bench.button.break_cable(fault)

    async def _camera(self, value: str) -> None:
        if self._bench.camera is not None:
            await self._bench.camera.set_fault({"unpowered": "off", "frozen": "frozen"}.get(value))

    async def _link(self, value: str) -> None:
        link = self._bench.link
        if value == "cut":
            link.cut()
        elif value == "slow":
            link.slow()
        elif value == "no_stream":
            link.without_streams()
        else:
            link.restore()

    async def _modem(self, value: str) -> None:
        modem = self._bench.modem
        if modem is None:
            return
        modem.hang(value == "hung")
        if value == "unplugged":
            modem.unplug()
        elif not modem.plugged:
            modem.plug()

    async def _sms(self, value: str) -> None:
        if self._bench.modem is not None:
            self._bench.modem.sms_faults.refuse = {"": 500} if value == "refused" else {}
            self._bench.modem.sms_faults.network_s = 10.0 if value == "slow" else 0.0

    async def _broker(self, value: str) -> None:
        broker = self._bench.broker
        if broker is not None:
            await (broker.kill() if value == "down" else broker.start())

    async def _disk(self, value: str) -> None:
        disk, keeper = self._bench.disk, self._keeping_full
        if self._bench.bad_disk is not None:
            self._bench.bad_disk.set(value if value in _BAD_DISK else OFF)
        if keeper is not None:
            self._keeping_full = None
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        if disk is None:
            return
        if value == "full":
            await asyncio.to_thread(disk.fill)
            self._keeping_full = asyncio.get_running_loop().create_task(_keep_full(disk), name="full disk")
        else:
            await asyncio.to_thread(disk.free)

    async def _sound(self, value: str) -> None:
        sound = self._bench.sound
        if sound is not None:
            await asyncio.to_thread(sound.unplug if value == "lost" else sound.replug)

    async def _kill(self, value: str) -> None:
        if value != OFF:
            self._bench.kill(value)

    async def _hang(self, value: str) -> None:
        if value != OFF:
            self._bench.kill(value, signal.SIGSTOP)


async def _keep_full(disk: SmallDisk) -> None:
    """Take up what is deleted to make room: something else on this disk grows and grows."""
    while True:
        await asyncio.sleep(REFILL_EVERY_S)
        await asyncio.to_thread(disk.fill)
