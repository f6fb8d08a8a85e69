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
    if arguments.command in PROCESSES:
        return _run(arguments)
    from unitd.tools.outlet import patient_output

    with patient_output():
        try:
            return _run(arguments)
        except OSError as error:
            if error.filename is None:
                raise
            sudo = "; run it with sudo" if isinstance(error, PermissionError) else ""
            print(f"unitd: {error.filename}: {error.strerror}{sudo}", file=sys.stderr)
            return 1


def _run(arguments: argparse.Namespace) -> int:
    try:
        status: int = arguments.run(arguments)
    except ConfigError as error:
        print(f"unitd: {error}", file=sys.stderr)
        return BAD_CONFIG_STATUS
    except UnitdError as error:
        print(f"unitd: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unitd",
        description="The daemon inside a street help point: panic button to control room.",
        epilog="In the field systemd starts the five processes (unitd.target); `unitd status` says how the unit is.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, what in PROCESSES.items():
        _command(commands, name, f"run the process for {what}", _process(name))
    check = _command(commands, "check", "say whether a configuration is good (exit 0, or 2 with what to mend)", _check)
    check.add_argument("--strict", action="store_true", help="exit 1 when something that it names is not in order here")
    shown = _command(commands, "show-config", "print the merged configuration as TOML", _show_config)
    shown.add_argument("--changed", action="store_true", help="only what differs from the defaults")
    status = _command(commands, "status", "say in a few plain lines how the unit is", _status)
    status.add_argument("--json", action="store_true", help="everything, for a program")
    _export_options(commands)
    _verify_options(commands)
    _lock_options(commands)
    _broker_acl_options(commands)
    schema = _command(
        commands, "schema", "write the JSON Schemas and the AsyncAPI file of the control room API", _schema
    )
    where = schema.add_mutually_exclusive_group(required=True)
    where.add_argument("--output", metavar="DIR", type=Path, help="write them into DIR")
    where.add_argument("--write", action="store_true", help="write them into docs/ of this checkout")
    where.add_argument("--check", action="store_true", help="exit 1 when those in docs/ of this checkout are stale")
    return parser


def _export_options(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    export = _command(commands, "export", "take evidence out: an incident, or a span of time, as a directory", _export)
    export.description = (
        "Makes an evidence directory: the original recording byte for byte, a film of\n"
        "each camera to look at, what was said, the unit's own logs and signatures, and\n"
        "a README for whoever gets it. The recorder goes on meanwhile."
    )
    export.formatter_class = argparse.RawDescriptionHelpFormatter
    export.epilog = """examples:
  sudo unitd export --incident 1a2b3c4d --output /media/usb/export-1a2b3c4d
  sudo unitd export --from 2026-11-22T14:00 --to 2026-11-22T14:10 --camera dome
  sudo unitd export --incident 1a2b3c4d --output evidence.zip
  sudo unitd export --incident 1a2b3c4d --output film.mp4
                                    one camera's film alone: no evidence

Stopped half-way, the same command goes on; until it is whole the directory is
called NAME.part. Exit status: 0 made (the last line says whether the unit
sealed it), 1 not made, 2 bad configuration.
`unitd locks` lists the incidents, `unitd verify DIR` checks what was made,
docs/evidence.md explains all of it."""
    what = export.add_mutually_exclusive_group(required=True)
    what.add_argument("--incident", metavar="ID", default="", help="the incident's id, or its first characters")
    time = "date and time, 2026-11-22T14:05:00: local time at the site, or with Z (UTC) or an offset (+01:00)"
    what.add_argument("--from", metavar="TIME", dest="begin", default="", help=f"instead: from this {time}")
    export.add_argument("--to", metavar="TIME", dest="end", default="", help="to this one, likewise")
    cameras = "only this camera; repeat it for several (default: all; the voices of the call always go along)"
    export.add_argument("--camera", metavar="NAME", action="append", default=[], help=cameras)
    output = "where: a directory to be made, FILE.zip, or FILE.mp4 (default: export-<first 8 of the id> here)"
    export.add_argument("--output", metavar="DIR|FILE", type=Path, help=output)
    export.add_argument("--by", metavar="NAME", help="who asks, for the unit's log (default: your login name)")
    now = "do not wait (15 s at most) for the file that is being written to end; take what is there of it"
    export.add_argument("--now", action="store_true", help=now)


def _verify_options(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    what = "say what an exported evidence directory proves"
    exits = "exit 0 proven, 1 tampered, 2 it cannot be checked, 3 origin or completeness not proven"
    verify = commands.add_parser("verify", help=what, description=f"{what[0].upper()}{what[1:]}: {exits}.")
    verify.set_defaults(run=_verify)
    verify.add_argument("path", metavar="DIR|FILE.zip", type=Path, help="what `unitd export` made")
    verify.add_argument("--trust", metavar="CA.pem", type=Path, help="the authority that signs units' certificates")
    verify.add_argument("--heads", metavar="FILE", type=Path, help="the heads that the control room kept, JSON lines")
    verify.add_argument("--json", action="store_true", help="everything that was found, for a program")


def _lock_options(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    kept = _command(commands, "locks", "list the incidents whose footage is kept, and when to look at them", _locks)
    kept.add_argument("--json", action="store_true", help="everything, for a program")
    which = "the incident's id, or its first characters"
    release = _command(
        commands, "release", "let an incident's footage go with age or for room, on the record", _release
    )
    release.add_argument("--incident", metavar="ID", required=True, help=which)
    release.add_argument("--by", metavar="NAME", required=True, help="who decides it")
    release.add_argument("--reason", metavar="WORDS", required=True, help="why it need not be kept")
    close = _command(commands, "close", "end an incident here, where no control room can", _close)
    close.add_argument("--incident", metavar="ID", required=True, help=which)
    close.add_argument("--by", metavar="NAME", required=True, help="who ends it")
    outcomes = ("genuine", "hoax", "test", "fault", "unknown")
    close.add_argument("--outcome", choices=outcomes, required=True, help="what it was")
    close.add_argument("--note", metavar="WORDS", default="", help="more about it")


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
    from unitd.evidence.copy import be_gentle
    from unitd.evidence.gather import Order
    from unitd.tools.export import run, who_asks

    if bool(arguments.begin) != bool(arguments.end):
        print("unitd: --from and --to belong together", file=sys.stderr)
        return BAD_CONFIG_STATUS
    order = Order(
        incident=arguments.incident,
        begin=arguments.begin,
        end=arguments.end,
        cameras=tuple(dict.fromkeys(arguments.camera)),
        by=who_asks() if arguments.by is None else arguments.by,
        wait=not arguments.now,
    )
    be_gentle()
    return run(load(arguments.config), order, arguments.output)


def _verify(arguments: argparse.Namespace) -> int:
    from unitd.tools.verify import run

    return run(arguments.path, arguments.trust, arguments.heads, arguments.json)


def _locks(arguments: argparse.Namespace) -> int:
    from unitd.tools.locks import locks

    return locks(load(arguments.config), arguments.json)


def _release(arguments: argparse.Namespace) -> int:
    from unitd.tools.locks import release

    return release(load(arguments.config), arguments.incident, arguments.by, arguments.reason)


def _close(arguments: argparse.Namespace) -> int:
    from unitd.tools.locks import close

    return close(load(arguments.config), arguments.incident, arguments.by, arguments.outcome, arguments.note)


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
