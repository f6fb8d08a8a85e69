"""`hw-sim run`: one scenario, line by line as it happens, and a report."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from hw_sim.devices.disk import enter_namespace
from hw_sim.scenario import Scenario, ScenarioError, find, load
from hw_sim.scenario_play import play
from hw_sim.scenario_report import Report

BAD_SCENARIO_STATUS = 2


def run_scenario(arguments: argparse.Namespace) -> int:
    """0 only if every expectation held; 1 if one did not, 2 when the scenario cannot be played as asked."""
    try:
        scenario = load(find(arguments.scenario))
    except ScenarioError as error:
        print(f"hw-sim: {error}", file=sys.stderr)
        return BAD_SCENARIO_STATUS
    if scenario.bench.disk_mb is not None:
        refused = enter_namespace([sys.executable, "-m", "hw_sim", *sys.argv[1:]])
        if refused:
            print(f"hw-sim: {scenario.name} needs a disk of limited size, but {refused}", file=sys.stderr)
            return BAD_SCENARIO_STATUS
    print(f"{scenario.name}: {scenario.title}", flush=True)
    try:
        report = asyncio.run(_run(arguments, scenario))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("hw-sim: stopped", file=sys.stderr)
        return 130
    if arguments.report:
        report.write(arguments.report)
    _print_chain(report)
    print(f"{scenario.name}: {'passed' if report.ok else 'FAILED: ' + report.error} ({report.duration_s:.1f} s)")
    return 0 if report.ok else 1


async def _run(arguments: argparse.Namespace, scenario: Scenario) -> Report:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await play(scenario, arguments.seed, lambda line: print(line, flush=True), arguments.keep)


def _print_chain(report: Report) -> None:
    walked = [f"{name} {ms:.0f}" for name, ms in report.chain_ms.items() if ms is not None and name != "edge"]
    if walked:
        print(f"from the edge, in ms: {', '.join(walked)}")
