"""The process `field`: what hangs on a cable, the dome and the modem. A stuck port blocks nobody else."""

from unitd.config import Config
from unitd.field.dome import DomeService
from unitd.field.health import Board
from unitd.field.modem import ModemService
from unitd.runtime.supervise import Service
from unitd.runtime.worker import Frame, run_worker


def main(config: Config) -> int:
    """Run until SIGTERM; returns the exit status."""
    return run_worker("field", config, build)


def build(frame: Frame) -> list[Service]:
    """One service for each part that is fitted; none is vital, for a dead port is health and no reason to end."""
    board = Board(frame.core.set_health)
    services = []
    if frame.config.dome is not None:
        dome = DomeService(frame.config.dome, frame.core, board.part("dome"), frame.log)
        services.append(Service("dome", dome.run))
    if frame.config.modem is not None:
        modem = ModemService(frame.config.modem, board.part("modem"), frame.log)
        services.append(Service("modem", modem.run))
    return services
