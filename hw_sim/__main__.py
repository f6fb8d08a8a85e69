"""The command line of the simulator: `hw-sim up`, `hw-sim list`, `hw-sim run`."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; 0 when all went well, 1 when an expectation failed, 2 for a mistake in what was asked."""
    arguments = _parser().parse_args(argv)
    if arguments.command == "list":
        return _list()
    if arguments.command == "run":
        from hw_sim.run_command import run_scenario

        return run_scenario(arguments)
    from hw_sim.up_command import up

    return up(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hw-sim",
        description="A simulated pole, the real daemon on it, and a stand-in control room.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="bring everything up, print two addresses, run until Ctrl-C")
    up.add_argument(
        "--port-pole", type=int, default=0, metavar="N", help="port of the pole's page (default: a free one)"
    )
    up.add_argument(
        "--port-console", type=int, default=0, metavar="N", help="port of the operator's console (default: a free one)"
    )
    up.add_argument("--seed", type=int, default=1, metavar="N", help="which street, which loss (default 1)")
    up.add_argument("--keep", type=Path, metavar="DIR", help="leave configuration, ring and logs there")
    up.add_argument("--small", action="store_true", help="a small, cheap picture (what the tests use)")
    run = commands.add_parser("run", help="play one scenario; exit 0 only if every expectation held")
    run.add_argument("scenario", metavar="NAME|FILE", help="a name from `hw-sim list`, or a TOML file")
    run.add_argument("--report", type=Path, metavar="FILE.json", help="write the report there")
    run.add_argument("--seed", type=int, metavar="N", help="instead of the scenario's own")
    run.add_argument("--keep", type=Path, metavar="DIR", help="leave configuration, ring, export and logs there")
    commands.add_parser("list", help="name the scenarios")
    return parser


def _list() -> int:
    from hw_sim.scenario import load, shipped

    width = max(shutil.get_terminal_size().columns, 60)
    for name, file in shipped().items():
        print(textwrap.fill(f"{name:<18} {load(file).title}", width, subsequent_indent=" " * 19))
    return 0


if __name__ == "__main__":
    sys.exit(main())
