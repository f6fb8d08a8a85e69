"""What a crash left: the files that the chain does not name are hashed and chained as they are found.

Nothing but the chain is changed, and doing it twice does what doing it once does: what is named is not named again.
"""

import contextlib
import hashlib
import os
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from unitd.errors import UNREADABLE, StoreError
from unitd.store import disk
from unitd.store.chain import Chain
from unitd.store.chain_read import older_parts
from unitd.store.index import SEQ_BITS, Packed, file_name, packed
from unitd.store.segment import SegmentKey, end_mono_ns, measure, read_header

TAIL_BYTES = 4 << 20
"""How far back the chain is read at the least: some 12,000 lines, half a day of three cameras. A stream that it does
not name (a camera that is long gone) is looked for further back, part by part."""
START_BYTES = 256 * 1024
"""How far back for the first name of a writer, who waits for it: 5 ms."""


class _Line(msgspec.Struct):
    """What matters here of a line of the chain."""

    n: int = 0
    boot: int = 0
    kind: str = ""
    file: str = ""


@dataclass
class Named:
    """What the chain's lines from some line on say: by stream the files they name, and the lowest of those that were
    closed in order. `first_n` and `first_boot` are those of the oldest line that was read; 0 when there is none."""

    files: dict[str, set[Packed]]
    lowest: dict[str, Packed]
    first_n: int = 0
    first_boot: int = 0

    def take(self, line: _Line) -> None:
        if line.kind not in ("segment", "abandoned", "recovered"):
            return
        stream, _, name = line.file.rpartition("/")
        key = SegmentKey.parse(name)
        number = packed(key) if key is not None else None
        if number is None:
            return
        self.files.setdefault(stream, set()).add(number)
        if line.kind != "recovered":  # one that is recovered is older than those that were closed before it was
            self.lowest[stream] = min(number, self.lowest.get(stream, number))

    def missing(self, stream: str, keys: "array[int]", before: Packed | None) -> list[Packed]:
        """The files of a stream that the chain should name and does not. Those of its boot from `before` on are this
        process's own, which has them open or will name them."""
        files = self.files.get(stream, set())
        if self.first_n == 1 or not self.first_n:
            first = 0
        elif files:
            first = bisect_right(keys, self.lowest.get(stream, min(files)))
        else:  # the oldest lines are gone, and with them what they named
            first = bisect_left(keys, self.first_boot << SEQ_BITS)
        end = len(keys) if before is None else bisect_left(keys, before)
        after = len(keys) if before is None else bisect_left(keys, ((before >> SEQ_BITS) + 1) << SEQ_BITS)
        return [key for part in (keys[first:end], keys[max(first, after) :]) for key in part if key not in files]


def read_named(chain: Path, limit_bytes: int, streams: Iterable[str] = ()) -> Named:
    """The last `limit_bytes` of the chain, over its parts; with `streams` whole parts, and further back as long as one
    of them is not named.

    Raises OSError. Blocks: 15 ms for each MB.
    """
    named, wanted, read = Named({}, {}), set(streams), 0
    for path in [chain, *(part.path for part in reversed(older_parts(chain)))]:
        if read >= limit_bytes and wanted <= named.files.keys():
            break
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = file.seek(max(0, size - max(limit_bytes - read, 0)) if wanted <= named.files.keys() else 0)
            read += size - start
            if start:
                file.readline()
            first = True
            for raw in file:
                try:
                    line = msgspec.json.decode(raw, type=_Line)
                except UNREADABLE:
                    continue
                if first:
                    named.first_n, named.first_boot, first = line.n, line.boot, False
                named.take(line)
    return named


def recover(evidence_dir: Path, stream: str, key: Packed, chain: Chain, boot: int) -> bool:
    """Chain one file as it is; False when it is gone. Raises OSError. Blocks: reads all of it.

    Its bytes are on the medium before the line is: a process that was killed left them to the kernel.
    """
    path = evidence_dir / stream / file_name(key)
    digest, size = hashlib.sha256(), 0
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        disk.sync_data(descriptor)
        while block := os.read(descriptor, 1 << 20):
            digest.update(block)
            size += len(block)
    finally:
        os.close(descriptor)
    disk.sync_dir(path.parent)
    from_ns = to_ns = 0
    torn = size
    try:
        header = read_header(path)
        extent = measure(path)
        from_ns, to_ns, torn = header.mono_ns, end_mono_ns(header, extent), extent.torn_bytes
    except FileNotFoundError:
        return False
    except StoreError:
        if not path.exists():
            return False
    chain.append(
        "recovered",
        boot,
        file=f"{stream}/{path.name}",
        bytes=size,
        sha256=digest.hexdigest(),
        torn_bytes=torn,
        from_mono_ns=from_ns,
        to_mono_ns=to_ns,
    )
    return True
