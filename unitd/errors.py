"""Every error that unitd raises on purpose: one small tree, each also a builtin error where one fits."""


class UnitdError(Exception):
    """Root of the tree; the message is one line that an installer can act on."""


class ConfigError(UnitdError, ValueError):
    """A configuration cannot be used. The message names file, key, value seen and remedy."""

    def __init__(self, file: str, key: str, seen: str, remedy: str) -> None:
        self.file, self.key, self.seen, self.remedy = file, key, seen, remedy
        super().__init__(f"{file}: {key}: {seen}; {remedy}")


class WireError(UnitdError, ValueError):
    """Bytes from outside could not be understood; the message says which field and why."""


class DeviceError(UnitdError, OSError):
    """A device is missing, silent or answered nonsense; the caller backs off and tries again."""


class StoreError(UnitdError, OSError):
    """The disk refused; whoever was to persist goes on in memory and reports a fault."""
