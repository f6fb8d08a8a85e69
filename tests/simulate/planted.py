"""Faults planted into the product, to see that the simulation finds them."""

import contextlib
from collections.abc import Callable, Iterator

PLANTS: dict[str, Callable[[contextlib.ExitStack], None]] = {}


@contextlib.contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Within, the product has this fault."""
    with contextlib.ExitStack() as stack:
        if name is not None:
            PLANTS[name](stack)
        yield
