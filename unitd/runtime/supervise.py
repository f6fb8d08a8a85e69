"""Services of one process: each runs in a task, and one that fails is logged and started again after a back-off."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from unitd.runtime.logs import Logger

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
HEALTHY_AFTER_S = 30.0
VITAL_RESTARTS = 5


class VitalServiceLostError(Exception):
    """A vital service failed more often than its budget allows, or says that only a new process helps: the process ends
    and systemd starts it afresh."""


@dataclass(frozen=True)
class Service:
    """`run` is a coroutine function meant to run for ever; `vital` ones share the process's fate."""

    name: str
    run: Callable[[], Awaitable[None]]
    vital: bool = False


async def supervise(services: list[Service], log: Logger) -> None:
    """Run every service until cancelled.

    Raises VitalServiceLostError (in an ExceptionGroup) when a vital one is past its budget.
    """
    async with asyncio.TaskGroup() as group:
        for service in services:
            group.create_task(_keep(service, log), name=service.name)


async def _keep(service: Service, log: Logger) -> None:
    failures = 0
    while True:
        started = time.monotonic()
        try:
            await service.run()
            log.warning("service ended", service=service.name)
        except VitalServiceLostError:
            raise
        except Exception as error:
            log.error("service failed", service=service.name, error=repr(error), exc_info=True)
        failures = 1 if time.monotonic() - started > HEALTHY_AFTER_S else failures + 1
        if service.vital and failures > VITAL_RESTARTS:
            raise VitalServiceLostError(service.name)
        doublings = min(failures - 1, 16)  # or a service that fails all night ends the process by an OverflowError
        pause_s = min(FIRST_PAUSE_S * 2**doublings, LONGEST_PAUSE_S)
        await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
