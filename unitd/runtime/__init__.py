"""What every process runs on: logs, clock, supervision, the watchdog and the link between core and its workers."""
