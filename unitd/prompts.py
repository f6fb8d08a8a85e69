"""The names of what a unit can say: read off the package's directories, without importing anything of media."""

from functools import cache
from importlib import resources


def prompt_names() -> tuple[str, ...]:
    """The prompts of a call's stages, sorted."""
    return _names("prompts")


def warning_names() -> tuple[str, ...]:
    """The warnings an operator may order, sorted."""
    return _names("warnings")


@cache
def _names(kind: str) -> tuple[str, ...]:
    # By `unitd`, not `unitd.call`: that would import the process's package.
    folder = resources.files("unitd") / "call" / kind / "en"
    if not folder.is_dir():
        return ()
    return tuple(sorted(file.name.removesuffix(".wav") for file in folder.iterdir() if file.name.endswith(".wav")))
