"""What goes wrong, and when it is right again. Each fault is begun, lasts, and is lifted by the end of its time."""

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from unitd.messages import control_room as wire

if TYPE_CHECKING:
    from tests.simulate.day import Day


class Faults:
    """`under_way` counts what is wrong now; `last_ns` is when something was last wrong."""

    def __init__(self, day: "Day") -> None:
        self.day = day
        self.under_way = 0
        self.last_ns = -(10**12)
        self.disk_under_way = 0
        self.last_disk_ns = -(10**12)
        self.kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "link outage": (10, self.link_outage),
            "flapping link": (5, self.flapping),
            "modem registers again": (4, self.reset),
            "slow link": (5, self.slow_link),
            "one broker unreachable": (5, self.broker_unreachable),
            "broker restarts": (6, self.broker_restart),
            "broker refuses": (3, self.broker_refuses),
            "doubled and disordered": (6, self.disorder),
            "control room down": (6, self.room_down),
            "control room mute": (4, self.room_mute),
            "control room slow": (3, self.room_slow),
            "core killed": (9, self.kill),
            "core killed at a file operation": (9, self.kill_at_operation),
            "core hangs": (3, self.hang),
            "core restarted in order": (3, self.terminate),
            "power cut": (6, self.power_cut),
            "disk slow": (5, self.disk_slow),
            "disk hangs": (4, self.disk_hangs),
            "disk refuses": (7, self.disk_refuses),
            "tmpfs refuses": (1, self.tmpfs_refuses),
            "clock steps": (3, self.clock_steps),
            "clock unsynchronised": (2, self.clock_lost),
            "noise from the broker": (5, self.noise),
            "old commands replayed": (5, self.replay),
            "button jams": (2, self.jam),
            "worker dies": (3, self.worker_dies),
            "modem dead": (3, self.modem_dead),
            "pins missing": (1, self.pins_missing),
        }

    def begin_one(self) -> None:
        chance = self.day.chance
        name = chance.choices(list(self.kinds), weights=[each[0] for each in self.kinds.values()])[0]
        self.day.trace.say("fault:", name)
        self.day.checker.counts[f"fault: {name}"] += 1
        self.kinds[name][1]()

    def _for(self, seconds: float, lift: Callable[[], None]) -> None:
        """Wrong from now on for so long."""
        self.under_way += 1
        self.last_ns = self.day.timeline.now_ns

        def end() -> None:
            self.under_way -= 1
            self.last_ns = self.day.timeline.now_ns
            lift()

        self.day.timeline.after(seconds, end)

    def _disk_for(self, seconds: float, lift: Callable[[], None]) -> None:
        self.disk_under_way += 1

        def end() -> None:
            self.disk_under_way -= 1
            self.last_disk_ns = self.day.timeline.now_ns
            lift()

        self._for(seconds, end)

    def _some_s(self, short: float = 2, long: float = 240) -> float:
        """Mostly short, sometimes long."""
        chance = self.day.chance
        return (
            chance.uniform(short, long) if chance.random() < 0.3 else chance.uniform(short, short + (long - short) / 8)
        )

    # --- the network ---

    def link_outage(self) -> None:
        network = self.day.network
        network.set_cut(True)
        self._for(self._some_s(0.5, 400), lambda: network.set_cut(False))

    def flapping(self) -> None:
        for at in range(self.day.chance.randint(3, 12)):
            self.day.timeline.after(at * self.day.chance.uniform(2, 12), self._flap)
        self._for(120, lambda: None)

    def _flap(self) -> None:
        network = self.day.network
        network.set_cut(True)
        self.day.timeline.after(self.day.chance.uniform(0.2, 6), lambda: network.set_cut(False))

    def reset(self) -> None:
        self.day.network.reset()
        self._for(1, lambda: None)

    def slow_link(self) -> None:
        network, chance = self.day.network, self.day.chance
        low = chance.uniform(0.2, 1.5)
        network.latency = (low, low + chance.uniform(0.1, 2.0))
        self._for(self._some_s(5, 300), lambda: setattr(network, "latency", (0.02, 0.08)))

    def _a_broker(self) -> "object":
        return self.day.chance.choice(list(self.day.network.brokers.values()))

    def broker_unreachable(self) -> None:
        network, broker = self.day.network, self._a_broker()
        network.set_cut(True, broker.name)  # type: ignore[attr-defined]
        self._for(self._some_s(1, 400), lambda: network.set_cut(False, broker.name))  # type: ignore[attr-defined]

    def broker_restart(self) -> None:
        broker = self._a_broker()
        broker.stop(forgets=self.day.chance.random() < 0.5)  # type: ignore[attr-defined]
        self._for(self._some_s(0.5, 120), broker.start)  # type: ignore[attr-defined]

    def broker_refuses(self) -> None:
        broker = self._a_broker()
        broker.refuses = True  # type: ignore[attr-defined]
        self.day.network.reset()
        self._for(self._some_s(2, 120), lambda: setattr(broker, "refuses", False))

    def disorder(self) -> None:
        chance = self.day.chance
        for broker in self.day.network.brokers.values():
            broker.twice, broker.disorder_s = chance.uniform(0.1, 0.8), chance.uniform(0.1, 4.0)

        def lift() -> None:
            for broker in self.day.network.brokers.values():
                broker.twice, broker.disorder_s = 0.02, 0.02

        self._for(self._some_s(10, 200), lift)

    # --- the control room ---

    def room_down(self) -> None:
        room = self.day.chance.choice(self.day.rooms)
        for broker in room.brokers:
            broker.keeps = self.day.chance.random() < 0.5
        room.stop()
        self._for(self._some_s(1, 400), room.start)

    def room_mute(self) -> None:
        room = self.day.chance.choice(self.day.rooms)
        room.mute = True
        self._for(self._some_s(5, 300), lambda: setattr(room, "mute", False))

    def room_slow(self) -> None:
        room = self.day.chance.choice(self.day.rooms)
        room.slow_s = self.day.chance.uniform(1, 20)
        self._for(self._some_s(10, 120), lambda: setattr(room, "slow_s", 0.05))

    # --- core and the machine ---

    def kill(self) -> None:
        for at in range(self.day.chance.choice((1, 1, 1, 2, 4))):
            self.day.timeline.after(at * self.day.chance.uniform(0.05, 8), lambda: self.day.pole.kill("a fault"))
        self._for(20, lambda: None)

    def kill_at_operation(self) -> None:
        """Not now, but at the n-th file operation from now: most come with the next press."""
        self.day.medium.dies_in = self.day.chance.choice((1, 2, 3, 5, 8, 13, 21, 34, 55, 89))
        self._for(60, lambda: setattr(self.day.medium, "dies_in", 0))

    def hang(self) -> None:
        self.day.pole.hang()
        self._for(25, lambda: None)

    def terminate(self) -> None:
        self.day.pole.terminate()
        self._for(20, lambda: None)

    def power_cut(self) -> None:
        pole, chance = self.day.pole, self.day.chance
        pole.cut_power("a fault")
        away_s = chance.choice((3.0, 15.0, 90.0, 600.0)) * chance.uniform(0.5, 1.5)
        known = chance.random() < 0.5
        self.day.timeline.after(away_s, lambda: None if pole.powered else pole.power_on(clock_known=known))
        self._for(away_s + 30, lambda: None)
        if not known:
            self.day.timeline.after(away_s + chance.uniform(5, 300), lambda: pole.set_synchronized(True))

    # --- the disk ---

    def disk_slow(self) -> None:
        pole = self.day.pole
        pole.disk_ms = (50.0, self.day.chance.choice((400.0, 2500.0)))
        self._disk_for(self._some_s(5, 120), lambda: setattr(pole, "disk_ms", (1.0, 12.0)))

    def disk_hangs(self) -> None:
        pole = self.day.pole
        pole.disk_hangs = True
        self._disk_for(self._some_s(2, 180), lambda: setattr(pole, "disk_hangs", False))

    def disk_refuses(self) -> None:
        medium = self.day.medium
        medium.refuses = self.day.chance.choice((errno.ENOSPC, errno.EIO, errno.EROFS))
        self._disk_for(self._some_s(2, 300), lambda: setattr(medium, "refuses", 0))

    def tmpfs_refuses(self) -> None:
        medium = self.day.medium
        medium.tmpfs_refuses = errno.ENOSPC
        self._disk_for(self._some_s(2, 60), lambda: setattr(medium, "tmpfs_refuses", 0))

    # --- the clock ---

    def clock_steps(self) -> None:
        step_s = self.day.chance.choice((-86400, -3600, -30, -1, 1, 30, 3600, 86400 * 300))
        self.day.pole.wall_offset_ns += int(step_s * 1e9)
        self.day.checker.clock_doubted = True
        self._for(1, lambda: None)

    def clock_lost(self) -> None:
        pole = self.day.pole
        self.day.checker.clock_doubted = True
        pole.set_synchronized(False)
        self._for(self._some_s(10, 600), lambda: pole.set_synchronized(True))

    # --- what comes down that nobody meant ---

    def noise(self) -> None:
        chance = self.day.chance
        stranger = self.day.new_id()
        for _ in range(chance.randint(1, 20)):
            topic = chance.choice(("received", "operator/cmd", "maintainer/cmd", "nonsense"))
            payload = chance.choice(
                (
                    chance.randbytes(chance.randint(0, 300)),
                    b"{",
                    b"[]",
                    b'{"press_ids":"all"}',
                    b'{"press_ids":["' + stranger.encode() + b'"],"heard":false}',
                    b'{"cmd":"close","session":1,"seq":-1,"incident_id":7}',
                    b'{"cmd":"close"' + b"[" * 20000,
                    msgspec.json.encode(wire.Received(heard=False)),
                )
            )
            broker = self._a_broker()
            self.day.timeline.after(
                chance.uniform(0, 5),
                lambda b=broker, t=topic, p=payload: b.say(self.day.topic(t), p),  # type: ignore[misc]
            )
        self._for(6, lambda: None)

    def replay(self) -> None:
        """Somebody sends again what went by: of this session or an older one."""
        sent = self.day.operators.sent
        for _ in range(min(len(sent), self.day.chance.randint(1, 10))):
            role, payload = self.day.chance.choice(sent)
            broker = self._a_broker()
            self.day.timeline.after(
                self.day.chance.uniform(0, 30),
                lambda b=broker, r=role, p=payload: b.say(self.day.topic(r, "cmd"), p),  # type: ignore[misc]
            )
        self._for(31, lambda: None)

    # --- what hangs on the pole ---

    def jam(self) -> None:
        self.day.street.jam(self.day.chance.uniform(31, 300))

    def worker_dies(self) -> None:
        helper = self.day.chance.choice((self.day.helpers.call, self.day.helpers.field))
        helper.stop()
        self._for(self._some_s(1, 60), helper.start)

    def modem_dead(self) -> None:
        helpers = self.day.helpers
        helpers.set_modem(False)
        self._for(self._some_s(10, 600), lambda: helpers.set_modem(True))

    def pins_missing(self) -> None:
        """The GPIO chip comes late at the next start."""
        self.day.pole.pins_missing = self.day.chance.randint(1, 4)
        self.day.pole.kill("its pins are gone")
        self._for(30, lambda: None)

    def lift(self) -> None:
        """The end of the day: all is well from now on."""
        day = self.day
        day.network.lift()
        for room in day.rooms:
            room.mute, room.slow_s = False, 0.05
            room.start()
        day.medium.refuses = day.medium.tmpfs_refuses = day.medium.dies_in = 0
        day.pole.disk_ms, day.pole.disk_hangs = (1.0, 12.0), False
        day.pole.pins_missing = 0
        day.pole.set_synchronized(True)
        day.helpers.set_modem(True)
        day.helpers.call.start()
        day.helpers.field.start()
        if not day.pole.powered:
            day.pole.power_on()
