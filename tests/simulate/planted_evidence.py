"""Faults planted into what core keeps as evidence (`planted.py`)."""

import contextlib
from typing import Any
from unittest import mock

from unitd.core import checkpoint_desk, releases
from unitd.store import chain

Stack = contextlib.ExitStack


def tell_what_is_not_kept(stack: Stack) -> None:
    """A checkpoint is told before it is on the disk, and never comes there."""
    stack.enter_context(mock.patch.object(checkpoint_desk, "append_checkpoint", lambda *_: None))


def sign_without_a_sync(stack: Stack) -> None:
    """Lines are signed that a power cut may take."""
    real = chain.Chain.append_all

    def append_all(self: Any, records: Any, boot: int, *, durable: bool = True) -> Any:
        return real(self, records, boot, durable=False)

    stack.enter_context(mock.patch.object(chain.Chain, "append_all", append_all))


def sign_what_went_back(stack: Stack) -> None:
    """As above, and nobody compares with what was signed before."""
    sign_without_a_sync(stack)
    stack.enter_context(mock.patch.object(checkpoint_desk, "_objection", lambda *_: ""))


def release_off_the_record(stack: Stack) -> None:
    """The lock goes without a line."""

    async def append(self: Any, kind: str, **_: Any) -> Any:
        return self.at

    stack.enter_context(mock.patch.object(releases.ChainDesk, "append", append))


EVIDENCE_PLANTS = (tell_what_is_not_kept, sign_without_a_sync, sign_what_went_back, release_off_the_record)
