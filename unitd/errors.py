"""Every error that unitd raises on purpose: one small tree, each also a builtin error where one fits."""

import re

UNREADABLE = (ValueError, RecursionError)
"""What decoding a damaged file can raise. msgspec's own errors are ValueErrors, but a flipped bit inside a string is a
bare UnicodeDecodeError and deep nesting a RecursionError: whoever catches msgspec.MsgspecError alone dies of them."""


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


class ModemSilentError(DeviceError):
    """No answer in time."""


class ModemRefusedError(DeviceError):
    """The modem answered ERROR; `code` is its CME or CMS number, None for a plain ERROR."""

    def __init__(self, command: str, answer: str) -> None:
        super().__init__(f"{command}: {answer}")
        number = re.search(r": *(\d{1,6})$", answer)
        self.code = int(number[1]) if number else None
        self.answer = answer
