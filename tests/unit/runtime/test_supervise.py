"""A service may fail for ever; the process does not die of it."""

import asyncio
from unittest.mock import patch

import pytest
import structlog

from unitd.runtime import supervise
from unitd.runtime.supervise import Service


def test_a_service_that_fails_for_days_is_started_again_each_time() -> None:
    """2000 failures are sixteen hours at the longest pause: a broker whose certificates are missing."""
    starts = 0

    async def fails() -> None:
        nonlocal starts
        starts += 1
        if starts == 2000:
            raise asyncio.CancelledError
        raise OSError("no such file")

    async def no_pause(_s: float) -> None:
        return

    with patch.object(supervise.asyncio, "sleep", no_pause):
        asyncio.run(supervise.supervise([Service("broker", fails)], structlog.get_logger(level=100)))
    assert starts == 2000


def test_a_vital_service_past_its_budget_ends_the_process() -> None:
    async def fails() -> None:
        raise OSError("broken")

    async def no_pause(_s: float) -> None:
        return

    with patch.object(supervise.asyncio, "sleep", no_pause), pytest.raises(ExceptionGroup):
        asyncio.run(supervise.supervise([Service("time", fails, vital=True)], structlog.get_logger()))


def test_a_service_that_only_a_new_process_helps_is_not_started_again() -> None:
    starts = 0

    async def hopeless() -> None:
        nonlocal starts
        starts += 1
        raise supervise.VitalServiceLostError("every reading thread hangs")

    with pytest.raises(ExceptionGroup):
        asyncio.run(supervise.supervise([Service("recorder", hopeless, vital=True)], structlog.get_logger()))
    assert starts == 1
