"""The command line of unitd. Imports stay inside the subcommands, so that core never loads what only others need."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from unitd.config import Config, load
from unitd.errors import ConfigError, UnitdError

DEFAULT_CONFIG = Path("/etc/unitd/unit.toml")
BAD_CONFIG_STATUS = 2

PROCESSES = {
    "core": "button, lamps, alarm, control room (the process that must never stop)",
    "field": "what hangs on a cable: modem and dome",
    "record": "camera streams and the evidence ring",
    "call": "live picture, two-way voice, prompts and warnings",
    "sense": "motion in the picture",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status; a bad configuration is one line on stderr and status 2."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except ConfigError as error:
        print(f"unitd: {error}", file=sys.stderr)
        return BAD_CONFIG_STATUS
    except UnitdError as error:
        print(f"unitd: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unitd",
        description="The daemon inside a street help point: panic button to control room.",
        epilog="In the field systemd starts the five processes (unitd.target); `unitd status` says how the unit is.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, what in PROCESSES.items():
        _command(commands, name, f"run the process for {what}", _process(name))
    check = _command(commands, "check", "say whether a configuration is good (exit 0, or 2 with what to mend)", _check)
    check.add_argument("--strict", action="store_true", help="exit 1 when something that it names is not in order here")
    shown = _command(commands, "show-config", "print the merged configuration as TOML", _show_config)
    shown.add_argument("--changed", action="store_true", help="only what differs from the defaults")
    status = _command(commands, "status", "say in a few plain lines how the unit is", _status)
    status.add_argument("--json", action="store_true", help="everything, for a program")
    export = _command(commands, "export", "write an incident's footage as one MP4", _export)
    export.add_argument("--incident", metavar="ID", required=True, help="the incident's id, or its first characters")
    export.add_argument("--camera", metavar="NAME", help="only this camera (default: the first one with footage)")
    export.add_argument("--output", metavar="FILE.mp4", type=Path, required=True, help="where to write")
    schema = _command(
        commands, "schema", "write the JSON Schemas and the AsyncAPI file of the control room API", _schema
    )
    where = schema.add_mutually_exclusive_group(required=True)
    where.add_argument("--output", metavar="DIR", type=Path, help="write them into DIR")
    where.add_argument("--write", action="store_true", help="write them into docs/ of this checkout")
    where.add_argument("--check", action="store_true", help="exit 1 when those in docs/ of this checkout are stale")
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    what: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        default=DEFAULT_CONFIG,
        help=f"the unit's TOML (default {DEFAULT_CONFIG})",
    )
    parser.set_defaults(run=run)
    return parser


def _process(name: str) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        from importlib import import_module

        config: Config = load(arguments.config)
        status: int = import_module(f"unitd.{name}.app").main(config)
        return status

    return run


def _check(arguments: argparse.Namespace) -> int:
    from unitd.tools.check import check

    return check(arguments.config, arguments.strict)


def _show_config(arguments: argparse.Namespace) -> int:
    from unitd.tools.show_config import show_config

    return show_config(arguments.config, arguments.changed)


def _status(arguments: argparse.Namespace) -> int:
    from unitd.tools.status import status

    return status(load(arguments.config), arguments.json)


def _export(arguments: argparse.Namespace) -> int:
    from unitd.tools.export import export

    return export(load(arguments.config), arguments.incident, arguments.camera, arguments.output)


def _schema(arguments: argparse.Namespace) -> int:
    from unitd.tools import schema

    if arguments.output:
        return schema.write_schemas(arguments.output)
    return schema.check_docs() if arguments.check else schema.write_docs()


if __name__ == "__main__":
    sys.exit(main())
