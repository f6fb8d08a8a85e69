"""Names of the recorded warnings, listed without importing anything that plays them."""

from functools import cache
from pathlib import Path

WARNINGS_DIR = Path(__file__).parent / "call" / "warnings"


@cache
def warning_names() -> tuple[str, ...]:
    """The names of the warnings shipped with this version, sorted; reads one directory once."""
    return tuple(sorted(file.stem for file in WARNINGS_DIR.glob("**/*.wav")))
