"""The whole unit on its bench as the benchmarks use it: all five processes, the demonstration's pictures, periods of
the field, and a counter on the way to the broker."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from hw_sim.bench import Bench, BenchOptions
from hw_sim.devices.camera.profile import DEFAULT_PROFILES
from hw_sim.unit_config import write_config
from tests.bench.tcp_counter import TcpCounter
from unitd.config import BrokerTable, ModemTable

READY_TIMEOUT_S = 60.0
MAIN, SUB = DEFAULT_PROFILES
PICTURES = (
    f"{MAIN.width}x{MAIN.height}@{MAIN.frame_rate} {MAIN.bit_rate / 1e6:.0f} Mbit/s and "
    f"{SUB.width}x{SUB.height}@{SUB.frame_rate}"
)
MODEM_DEFAULTS = ModemTable(port="-")
BROKER_DEFAULTS = BrokerTable(name="-", host="-")


class CountedBench(Bench):
    """A bench whose unit reaches the broker through `counter`, with the product's own periods where the simulator
    shortens them to spare a tester's time."""

    counter: TcpCounter
    cameras = 1
    """How often the one simulated camera is fitted: its main stream is recorded so many times."""

    async def _start_daemons(self) -> None:
        assert self.broker is not None
        self.counter = TcpCounter(self.broker.port)
        await self.counter.start()
        self._exit.push_async_callback(self.counter.close)
        broker = self.config["brokers"][0]
        broker |= {"port": self.counter.port, "keepalive_s": BROKER_DEFAULTS.keepalive_s}
        self.config["modem"] |= {
            "poll_s": MODEM_DEFAULTS.poll_s,
            "answer_timeout_s": MODEM_DEFAULTS.answer_timeout_s,
        }
        first = self.config["cameras"][0]
        self.config["cameras"] += [
            {"name": f"camera-{number}", "main_url": first["main_url"]} for number in range(2, self.cameras + 1)
        ]
        write_config(self.config_file, self.config)
        await super()._start_daemons()


@contextlib.asynccontextmanager
async def whole_unit(cameras: int = 1, **config: Any) -> AsyncIterator[CountedBench]:
    """An armed unit with everything fitted; `config` is laid over its unit.toml."""
    bench = CountedBench(BenchOptions(profiles=DEFAULT_PROFILES, config=config))
    bench.cameras = cameras
    async with bench:
        await bench.wait_ready(READY_TIMEOUT_S)
        yield bench


def pid_of(bench: Bench, process: str) -> int:
    """Raises RuntimeError when it is not running."""
    pid = bench.daemons[process].pid
    if pid is None:
        raise RuntimeError(f"{process} is not running; its last words: {bench.daemons[process].last_words()}")
    return pid
