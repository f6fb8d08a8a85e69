"""The evidence ring as a whole: names, room, recovery. The files are the truth; what is in memory is a cache.

index.py what is there · headers.py when it was · locked.py what is kept · eviction.py what goes · room.py when and
why · recovery.py what a crash left · place.py the disk · unitd/model/retention.py how much.
"""

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from unitd.config import RingTable
from unitd.model.retention import Disk
from unitd.store.alone import Alone
from unitd.store.boot import Boot
from unitd.store.chain import Chain
from unitd.store.chain_age import ChainAge
from unitd.store.eviction import Evictor
from unitd.store.headers import Headers
from unitd.store.index import SEQ_BITS, Index, Packed, file_name, list_names, list_streams, packed, unpacked
from unitd.store.locks import LockReader
from unitd.store.place import Place
from unitd.store.recovery import START_BYTES, TAIL_BYTES, Named, read_named, recover
from unitd.store.room import Need, Room, RoomMaker, Standing
from unitd.store.segment import SegmentKey

__all__ = ["Disk", "Need", "Ring", "Room", "Standing"]

LIST_AGAIN_S = 600.0
"""When nothing is left to delete although there should be, the directories are listed again, but not more often."""
STRANGE_SEQ = 10**8
"""A boot of thirty years would come so far: a higher number was put there by somebody, and is not counted on from."""
RECOVER_FOR_S = 2.0
"""In one call of `make_room`: a chain that is gone would have every file hashed anew, and room is made in between."""
RECOVER_AGAIN_S = 60.0
"""A file that could not be recovered is tried again so much later."""


class _RecordChain(Chain):
    """No chain is begun beneath a mount that is missing, and none is written beside another process."""

    def __init__(self, place: Place, alone: Alone) -> None:
        super().__init__(place.directory / "record.chain")
        self._place, self._alone_here = place, alone

    def _open(self) -> int:
        if self._descriptor is None:
            self._place.check()
            self._alone_here.hold()
        return super()._open()


class Ring:
    """Thread-safe. What blocks on the disk says so; it raises OSError (StoreError included) when the disk refuses.

    `budgets`: by stream, bytes of unlocked footage; a stream that is not in it has none.
    """

    def __init__(
        self,
        evidence_dir: Path,
        state_dir: Path,
        table: RingTable,
        keep_fresh_s: float,
        budgets: Mapping[str, int] | None = None,
    ) -> None:
        self.directory = evidence_dir
        self._place = Place(evidence_dir, must_be_mounted=table.must_be_mounted)
        self._alone = Alone(state_dir)
        self.chain: Chain = _RecordChain(self._place, self._alone)
        self._chain_age = ChainAge(evidence_dir, self.chain)
        self._index = Index(evidence_dir)
        headers = Headers(evidence_dir)
        evictor = Evictor(self._place, self.chain, self._index, headers, LockReader(state_dir), int(keep_fresh_s * 1e9))
        self._evictor = evictor
        self._rooms = RoomMaker(
            self._place, state_dir, table, keep_fresh_s, budgets or {}, self._index, headers, evictor
        )
        self._listing, self._names = threading.Lock(), threading.Lock()
        self._identity: tuple[int, int] | None = None
        self._ours: dict[str, Packed] = {}
        self._sized: set[str] = set()
        self._listed_s = -1e9
        self._missing: list[tuple[str, Packed]] | None = None
        self._recover_at_s = 0.0

    # --- for the writers ---------------------------------------------------------------------------------------------

    def check_present(self) -> None:
        """Raises OSError (ENODEV) when evidence_dir has to be a mount of its own and is none. Blocks: three stats."""
        self._look()
        self._place.check()

    def camera_dir(self, camera: str) -> Path:
        """The directory of one stream's segments, made durable when it is new. Raises as `check_present`, and (EBUSY)
        while another process records. Blocks."""
        self._look()
        self._alone.hold()
        return self._place.stream_dir(camera)

    def next_key(self, camera: str, boot: Boot) -> SegmentKey:
        """A name that no segment has or had. Blocks: the chain's end and a few stats (some 10 ms), or, when the chain
        says too little, the whole directory (1 s for 300,000 names)."""
        directory = self.camera_dir(camera)
        self._place.hold_reserve()
        low = boot.boot << SEQ_BITS
        ours = range(low, low + STRANGE_SEQ)
        named = self._named_at_start()
        of_boot = [key for key in named.files.get(camera, ()) if key in ours] if named else []
        if of_boot or (named is not None and 0 < named.first_boot < boot.boot):
            key = max(of_boot, default=low) + 1
        else:
            key = max((each for each in list_names(directory) if each in ours), default=low) + 1
        while os.path.lexists(directory / file_name(key)):  # what a crash left is not in the chain, nor what is no file
            key += 1
        self._ours_up_to(camera, key)
        return unpacked(key)

    def opened(self, path: Path) -> None:
        """`path` is being written: it is not to be evicted. Does not block."""
        stream, key = _parts(path)
        if key is not None:
            self._evictor.opened(stream, key)
            self._index.added(stream, key)
            self._ours_up_to(stream, key)

    def closed(self, path: Path) -> None:
        """It is written no more. Does not block."""
        stream, key = _parts(path)
        if key is not None:
            self._index.written(stream, key)
            self._evictor.closed(stream, key)

    # --- for whoever makes room --------------------------------------------------------------------------------------

    def fill(self) -> Disk:
        """How full the file system is. Blocks."""
        return self._place.fill()

    def make_room(self, boot: Boot, need: Need | None = None, *, urgent: bool = False) -> Room:
        """Chain what a crash left; delete what is too old, above a budget, above the high watermark or in the reserve.
        For one thread. Blocks: the first call lists the ring.

        `urgent` (any thread; a write met a full disk): delete just a few of the oldest, also fresh ones.
        """
        self._look()
        self._alone.hold()  # else what is listed now is not what is there when the other process ends
        self._place.make()
        self._list_names()
        if urgent:
            return self._rooms.urgent(boot)
        self._measure()
        recovered = self.recover(boot, RECOVER_FOR_S)
        room = replace(self._rooms.tidy(boot, need or Need()), recovered=tuple(recovered))
        room = replace(room, more=room.more or self.recovering)
        if room.wanted and time.monotonic() - self._listed_s >= LIST_AGAIN_S:
            self._list_names(again=True)
            self._measure()
        if need is None or not need.incident:
            with contextlib.suppress(OSError):  # what the disk refuses, the writers report
                self._chain_age.prune()
        return room

    def recover(self, boot: Boot, within_s: float = 1e9) -> list[str]:
        """Chain what a crash left unclosed, in all streams; returns the names (`<stream>/<file>`) of this call. Does
        nothing once that is done on this disk. For the thread that makes room. Blocks: it reads those files.

        Begins no file after `within_s`. One that the disk refuses is left, and tried again after RECOVER_AGAIN_S.
        """
        self._look()
        self._alone.hold()
        self._place.check()
        began_s = time.monotonic()
        if self._missing is None:
            self._missing = self._find_missing()
        if began_s < self._recover_at_s:
            return []
        done: list[str] = []
        refused: list[tuple[str, Packed]] = []
        while self._missing and (not done or time.monotonic() - began_s < within_s):
            stream, key = self._missing.pop()
            try:
                if recover(self.directory, stream, key, self.chain, boot.boot):
                    done.append(f"{stream}/{file_name(key)}")
            except OSError:
                refused.append((stream, key))
        if refused:
            self._missing = [*refused, *self._missing]
            self._recover_at_s = time.monotonic() + RECOVER_AGAIN_S
        return done

    @property
    def recovering(self) -> bool:
        """There are files left to recover, and no refusal to wait out. Does not block."""
        return bool(self._missing) and time.monotonic() >= self._recover_at_s

    def standing(self) -> Standing:
        """As of the last `make_room`. Does not block."""
        return self._rooms.standing

    # --- inside ------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Whether another disk is there than before, or none: then nothing that is known of it holds.

        What this process has named (`_ours`) stays: a writer counts on.
        """
        identity = self._place.identity()
        with self._names:
            before, self._identity = self._identity, identity
            if before is None or identity == before:
                return
            self._sized.clear()
            self._missing, self._recover_at_s = None, 0.0
        self._index.forget()
        self._rooms.forget()
        self._chain_age.forget()
        self.chain.close()

    def _ours_up_to(self, stream: str, key: Packed) -> None:
        with self._names:
            self._ours[stream] = max(key, self._ours.get(stream, 0))

    def _ours_from(self, stream: str) -> Packed | None:
        """The name from which on a file may be one that a writer is just making."""
        with self._names:
            return self._ours.get(stream)

    def _named_at_start(self) -> Named | None:
        with contextlib.suppress(OSError):
            return read_named(self.directory / "record.chain", START_BYTES)
        return None

    def _list_names(self, *, again: bool = False) -> None:
        """Once for each stream, on whatever thread comes first."""
        with self._listing:
            for stream in list_streams(self.directory):
                if again or not self._index.is_listed(stream):
                    try:
                        self._index.list_stream(stream, self._ours_from(stream))
                    except PermissionError:
                        self._index.pass_over(stream)
                    self._sized.discard(stream)
            if self._listed_s < 0 or again:
                self._listed_s = time.monotonic()
        if again:
            self._rooms.listed_again()

    def _find_missing(self) -> list[tuple[str, Packed]]:
        """The last to be recovered first."""
        self._list_names()
        # in this order: what a writer closes meanwhile is its own, or in the chain that is read afterwards
        keys = {stream: self._index.keys(stream) for stream in self._index.streams()}
        ours_from = {stream: self._ours_from(stream) for stream in keys}
        named = read_named(self.directory / "record.chain", TAIL_BYTES, keys)
        missing = [(each, key) for each in keys for key in named.missing(each, keys[each], ours_from[each])]
        return [each for each in reversed(missing) if not self._evictor.is_open(*each)]

    def _measure(self) -> None:
        self._index.measure_written()
        for stream in self._index.streams():
            if stream not in self._sized:
                self._index.measure(stream)
                self._sized.add(stream)


def _parts(path: Path) -> tuple[str, Packed | None]:
    key = SegmentKey.parse(path.name)
    return path.parent.name, None if key is None else packed(key)
