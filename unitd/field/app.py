"""The process `field`: what hangs on a cable, the dome and the modem. A stuck port blocks nobody else."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from unitd.config import Config
from unitd.drivers.dome_pelco_d import encode
from unitd.drivers.modem_at import AtDialog
from unitd.drivers.serial_port import SerialPort
from unitd.field.dome import DomeService
from unitd.field.health import Board
from unitd.field.modem import ModemService
from unitd.field.sms import SmsSender
from unitd.runtime.supervise import Service
from unitd.runtime.worker import Frame, run_worker

MODEM_BAUD = 115200


def main(config: Config) -> int:
    """Run until SIGTERM; returns the exit status."""
    return run_worker("field", config, build)


def build(frame: Frame) -> list[Service]:
    """One service for each part that is fitted; none is vital, for a dead port is health and no reason to end."""
    board = Board(frame.core.set_health)

    def line(on_bytes: Callable[[bytes], None], port: str, baud: int) -> SerialPort:
        made = SerialPort(port, baud, on_bytes)
        frame.last_resort.watch(port, made.hopeless_s)
        return made

    services = []
    if (fitted := frame.config.dome) is not None:
        dome_line = partial(line, port=fitted.port, baud=fitted.baud)
        dome = DomeService(fitted, frame.core, board.part("dome"), frame.log, dome_line, encode)
        services.append(Service("dome", dome.run))
    if (modem_table := frame.config.modem) is not None:
        modem_line = partial(line, port=modem_table.port, baud=MODEM_BAUD)
        sms = SmsSender(frame.core, board.part("sms"), frame.log, Path(frame.config.paths.run_dir))
        modem = ModemService(modem_table, board.part("modem"), frame.log, modem_line, AtDialog, sms)
        services.append(Service("modem", modem.run))
    return services
