"""Logs: one JSON object a line on stdout (journald in the field), through a bounded queue and a thread of its own.

A stalled journal or card can therefore not stall a loop; what does not fit in the queue is dropped and counted, and the
count is logged when there is room again.
"""

import queue
import sys
import threading
from collections.abc import MutableMapping
from typing import Any

import structlog

QUEUE_LINES = 2000
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Logger = structlog.typing.FilteringBoundLogger


class _Writer:
    """The thread that owns stdout."""

    def __init__(self) -> None:
        self._lines: queue.Queue[str] = queue.Queue(QUEUE_LINES)
        self.dropped = 0
        threading.Thread(target=self._run, name="logs", daemon=True).start()

    def put(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            if self.dropped:
                dropped, self.dropped = self.dropped, 0
                line = f'{{"event":"log lines dropped","dropped":{dropped}}}\n' + line
            try:
                sys.stdout.write(line + "\n")
                if self._lines.empty():
                    sys.stdout.flush()
            except (OSError, ValueError):
                self.dropped += 1
            finally:
                self._lines.task_done()

    def flush(self, timeout_s: float = 1.0) -> None:
        done = threading.Thread(target=self._lines.join, daemon=True)
        done.start()
        done.join(timeout_s)


_writer: _Writer | None = None


class _QueueLogger:
    def msg(self, message: str) -> None:
        if _writer is not None:
            _writer.put(message)

    debug = info = warning = error = critical = exception = log = msg


def _stamp(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    import time

    event.setdefault("mono_ns", time.monotonic_ns())
    return event


def setup(process: str, level: str) -> Logger:
    """Configure logging for this process and return its root logger. Call once, before any thread logs."""
    global _writer
    _writer = _Writer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _stamp,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _QueueLogger(),
        cache_logger_on_first_use=True,
    )
    logger: Logger = structlog.get_logger().bind(process=process)
    return logger


def flush() -> None:
    """Wait up to a second for the lines logged so far to leave; for the end of a process."""
    if _writer is not None:
        _writer.flush()


def chain(log: Logger, step: str, incident_id: str, mono_ns: int) -> None:
    """Log one step of the way of a press, as scenarios and engineers read it: event `chain`, `step`, `at_mono_ns`.

    Steps of core: edge, lamp (first light), latched, pressed (accepted by the glitch filter), persisted, published,
    broker_ack, raised, sent, received, accepted, answered, closing, closed. Steps of call:
    call_offered, call_connected. Of record: clip_ready, uploaded.
    """
    log.info("chain", step=step, incident=incident_id, at_mono_ns=mono_ns)
