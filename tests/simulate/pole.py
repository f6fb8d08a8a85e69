"""The pole: a machine that boots, and a service manager that starts the real core on it again."""

from typing import TYPE_CHECKING, Any

from tests.simulate.life import BUSY, LAMPS, SYNCHRONIZED, Life
from tests.simulate.timeline import SECOND_NS
from unitd.core.button import Gap

if TYPE_CHECKING:
    from tests.simulate.day import Day

WATCHDOG_NS = 10 * SECOND_NS
"""As systemd's WatchdogSec of core; four times the pace where core is let sleep longer."""


class Pole:
    """Power, boot, the contact, the lamps, the disk's mood, and systemd."""

    def __init__(self, day: "Day") -> None:
        self.day = day
        self.life: Life | None = None
        self.powered = False
        self.boots = 0
        self.booted_ns = 0
        self.boot_id = ""
        self.wall_offset_ns = 0
        self.contact_closed = False
        self.lamps = dict.fromkeys(LAMPS, "off")
        self.pins_missing = 0
        self.disk_ms = (1.0, 12.0)
        self.disk_hangs = False
        self.most_ready = 0
        self.watched_boot = self.watched_until_ns = self.lives_of_boot = 0
        self.known_stuck = False
        """What the last core of this boot knew of the contact."""
        self.died_within = False
        """This life ends in the middle of a file operation."""
        self._starting: Any = None
        day.medium.on_death = self._died_at_operation

    # --- power ---

    def power_on(self, *, clock_known: bool = True) -> None:
        day = self.day
        self.powered = True
        self.boots += 1
        self.known_stuck, self.lives_of_boot = False, 0
        # a kernel's monotonic clock begins before core does, and no two boots have an edge at the same nanosecond
        self.booted_ns = day.timeline.now_ns - day.chance.randint(2_000_000_000, 9_000_000_000)
        self.boot_id = day.new_id()
        if not clock_known:
            day.checker.clock_doubted = True
            self.wall_offset_ns = -day.wall_ns() + day.chance.randint(0, 10**12)
        day.trace.say("boot", self.boots)
        day.checker.booted(self.boots, self.booted_ns)
        day.medium.revive()
        if clock_known:
            self.set_synchronized(True)
        self._start_after(day.chance.uniform(0.3, 1.0))

    def cut_power(self, why: str) -> None:
        """Everything that was not synced may be gone; the tmpfs is."""
        if not self.powered:
            return
        self.day.trace.say("power cut", why)
        self.day.checker.power_cut()
        self._end_life()
        self.powered = False
        if self._starting is not None:
            self._starting.cancel()
        self.day.medium.cut_power()

    def set_synchronized(self, synchronized: bool) -> None:
        if synchronized:
            self.day.medium.put(SYNCHRONIZED)
            self.wall_offset_ns = 0
        else:
            self.day.medium.names.pop(SYNCHRONIZED, None)

    # --- core's process ---

    def kill(self, why: str) -> None:
        if self.life is None or self.life.dead:
            return
        self.day.trace.say("kill core", why)
        self.life_ended(why)

    def terminate(self) -> None:
        """systemctl restart: in order, if it can."""
        life = self.life
        if life is None or life.dead:
            return
        self.day.trace.say("SIGTERM")
        life.loop.call_soon(life.stop.set)
        self.day.timeline.after(5.0, lambda: None if life.dead else self.kill("it did not stop"))

    def rest(self) -> None:
        """The hours that follow are quiet: a core at the field's pace makes room for one that may sleep longer."""
        if self.life is not None and self.life.pace is BUSY:
            self.terminate()

    def hang(self) -> None:
        """A blocking call on the loop that never comes back; the watchdog ends it."""
        if self.life is not None and not self.life.dead:
            self.day.trace.say("core's loop hangs")
            self.day.checker.loop_hangs()
            self.life.loop.hang()
            life = self.life
            self.day.timeline.after(
                self.day.chance.uniform(4, 10), lambda: self.kill("watchdog") if life is self.life else None
            )

    def life_ended(self, why: str) -> None:
        self._end_life()
        if self.powered:
            self._start_after(self.day.chance.uniform(0.25, 0.9))

    def _end_life(self) -> None:
        life = self.life
        if life is None or life.dead:
            return
        self.most_ready = max(self.most_ready, life.loop.most_ready)
        if life.watch is not None:
            self.watched_boot, self.watched_until_ns = self.boots, self.day.timeline.now_ns
            self.lives_of_boot += 1
            self.known_stuck = life.watch.stuck
        life.kill()
        for uplink in life.uplinks:
            uplink.process_gone()
        for lamp in LAMPS:  # the kernel takes the lines back
            self.show(lamp, "off")
        self.day.checker.life_ended()
        self.died_within = False
        self.day.helpers.core_gone()

    def _died_at_operation(self) -> None:
        """The numbered operation was reached: the process is gone in the middle of it."""
        if self.life is not None and not self.life.dead:
            life = self.life
            life.dead = life.loop.dead = self.died_within = True
            self.day.trace.say("core dies at a file operation")
            self.day.timeline.after(0.0, lambda: self._bury(life))

    def _bury(self, life: Life) -> None:
        if life is self.life:
            life.dead = False
            self.day.medium.dead = True
            self.life_ended("at a file operation")

    def _start_after(self, delay_s: float) -> None:
        if self._starting is not None:
            self._starting.cancel()
        self._starting = self.day.timeline.after(delay_s, self._start)

    def _start(self) -> None:
        self._starting = None
        if not self.powered:
            return
        self.day.medium.revive()
        self.day.trace.say("core starts")
        self.day.checker.life_began()
        self.life = Life(self.day)
        self._look_at_watchdog()

    def _look_at_watchdog(self) -> None:
        life = self.life
        if life is None or life.dead or life.loop.hung:
            return
        limit_ns = max(WATCHDOG_NS, int(5 * life.pace.vital_s * 1e9))
        age_ns = self.day.timeline.now_ns - life.fed_ns
        if age_ns >= limit_ns:
            self.day.checker.finding("the watchdog starved a core that was not hung", f"{age_ns / 1e9:.1f} s")
            self.kill("watchdog")
            return
        self.day.timeline.after(
            (limit_ns - age_ns) / 1e9, lambda: self._look_at_watchdog() if life is self.life else None
        )

    def gap(self) -> Gap | None:
        """What core's `watched` file would tell a successor in this boot."""
        if self.watched_boot != self.boots:
            return None
        return Gap(self.day.timeline.now_ns - self.watched_until_ns, self.lives_of_boot)

    # --- pins and disk ---

    def contact(self, closed: bool) -> None:
        """The contact closes or opens; whoever watches feels it."""
        if closed == self.contact_closed:
            return
        self.contact_closed = closed
        life = self.life
        watching = life is not None and not life.dead and life.watch is not None
        self.day.checker.edge(closed, watching)
        if watching:
            life.watch.edge(closed)  # type: ignore[union-attr]

    def show(self, lamp: str, level: str) -> None:
        if self.lamps[lamp] != level:
            self.lamps[lamp] = level
            self.day.trace.say("lamp", lamp, level)
            self.day.checker.lamp(lamp, level)

    def disk_takes_s(self) -> float:
        low, high = self.disk_ms
        return self.day.chance.uniform(low, high) / 1000
