"""The command line of unitd. Imports stay inside the subcommands, so that core never loads what only others need."""

import argparse
import faulthandler
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
    _broker_acl_options(commands)
    schema = _command(
        commands, "schema", "write the JSON Schemas and the AsyncAPI file of the control room API", _schema
    )
    where = schema.add_mutually_exclusive_group(required=True)
    where.add_argument("--output", metavar="DIR", type=Path, help="write them into DIR")
    where.add_argument("--write", action="store_true", help="write them into docs/ of this checkout")
    where.add_argument("--check", action="store_true", help="exit 1 when those in docs/ of this checkout are stale")
    return parser


def _broker_acl_options(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    what = "print the access list (or the configuration) of a control room's Mosquitto"
    acl = commands.add_parser("broker-acl", help=what, description=what[0].upper() + what[1:] + ".")
    acl.set_defaults(run=_broker_acl)
    acl.add_argument("--unit", metavar="ID", action="append", default=[], help="let only these units in (repeat it)")
    acl.add_argument("--units", metavar="FILE", type=Path, help="the same from a file, one a line, # for notes")
    for role, does in (
        ("system", "the control room's own system: reads all units, says `received`"),
        ("operator", "reads all units, commands as an operator"),
        ("maintainer", "reads all units, commands as a maintainer"),
        ("observer", "reads all units, writes nothing"),
    ):
        acl.add_argument(f"--{role}", metavar="NAME@PLACE", action="append", default=[], help=does)
    acl.add_argument("--conf", action="store_true", help="print the mosquitto.conf that goes with it instead")
    acl.add_argument("--port", metavar="N", type=int, default=8883, help="with --conf: its port (default 8883)")
    acl.add_argument("--host", metavar="ADDRESS", help="with --conf: listen on this address only")
    tls = Path("/etc/mosquitto/unitd")
    files = f"with --conf: where access, ca.pem, broker.pem and broker.key are (default {tls})"
    acl.add_argument("--files", metavar="DIR", type=Path, default=tls, help=files)
    acl.add_argument("--crl", metavar="FILE", type=Path, help="with --conf: the list of certificates taken back")


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

        faulthandler.enable()  # a process that its watchdog aborts says on stderr where each thread was
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


def _broker_acl(arguments: argparse.Namespace) -> int:
    from unitd.tools import broker_acl, broker_conf

    if arguments.conf:
        print(
            broker_conf.conf(broker_conf.listener_in(arguments.files, arguments.port, arguments.host, arguments.crl)),
            end="",
        )
        return 0
    units = [*arguments.unit, *(broker_acl.read_units(arguments.units) if arguments.units else [])]
    people = {role: getattr(arguments, role) for role in broker_acl.ROLES}
    print(broker_acl.acl(broker_acl.Access(people, units or None)), end="")
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    from unitd.tools import schema

    if arguments.output:
        return schema.write_schemas(arguments.output)
    return schema.check_docs() if arguments.check else schema.write_docs()


if __name__ == "__main__":
    sys.exit(main())
