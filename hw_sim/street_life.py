"""What the street does by itself: the dome's pose, the panel's lamps and the caller, as the camera shows them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hw_sim.unit_config import PINS

if TYPE_CHECKING:
    from hw_sim.bench import Bench

STEP_S = 0.05
CALLER_LEAVES_AFTER_S = 4.0


class StreetLife:
    """Tells the camera every STEP_S what has changed. A caller stands at the panel from the press until the incident
    has been closed for CALLER_LEAVES_AFTER_S (the yellow lamp is what the caller goes by)."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._told: dict[str, object] = {}
        self._alone_since_s = 0.0
        self.caller_here = False

    async def run(self) -> None:
        """For ever; a bench without a camera has nothing to show."""
        while self._bench.camera is not None:
            await self._look()
            await asyncio.sleep(STEP_S)

    async def _look(self) -> None:
        bench, camera = self._bench, self._bench.camera
        if camera is None:
            return
        if bench.dome is not None and self._new("pose", pose := bench.dome.pose()):
            await camera.look(pose)
        both = [each for each in (camera, bench.panel_camera) if each is not None]
        for name in ("yellow", "green", "locator"):
            if self._new(name, lit := bench.gpio.level(PINS[name])):
                for each in both:
                    await each.show_lamp(name, lit)
        if self._new("caller", here := self._caller_is_here()):
            for each in both:
                await each.show_caller(here)

    def _caller_is_here(self) -> bool:
        gpio, now_s = self._bench.gpio, asyncio.get_running_loop().time()
        if self._bench.button.touched or gpio.shown(PINS["yellow"]) != "off":
            self._alone_since_s = 0.0
            self.caller_here = True
        elif self.caller_here:
            self._alone_since_s = self._alone_since_s or now_s
            self.caller_here = now_s - self._alone_since_s < CALLER_LEAVES_AFTER_S
        return self.caller_here

    def _new(self, what: str, value: object) -> bool:
        if self._told.get(what) == value:
            return False
        self._told[what] = value
        return True
