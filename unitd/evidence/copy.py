"""Copies evidence byte for byte, hashing on the way, and says what is not as the chain has it."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from unitd.errors import StoreError
from unitd.evidence.chains import Known, Said
from unitd.evidence.gather import STILLS, Gathered
from unitd.evidence.manifest import EvidenceFile
from unitd.evidence.workdir import BLOCK_BYTES, WorkDir
from unitd.store.footage import Footage
from unitd.store.segment import SegmentKey

Say = Callable[[str], object]
Progress = Callable[[int], object]

_IDLE_CLASS = 3 << 13
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "armv7l": 314, "armv6l": 314}
NICENESS = 10


def be_gentle() -> None:
    """Let the recorder go first, on the processor and on the disk (idle I/O class, ioprio_set(2)). Best effort."""
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        os.nice(NICENESS)
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        with contextlib.suppress(OSError, ImportError, AttributeError):
            import ctypes

            ctypes.CDLL(None).syscall(number, 1, 0, _IDLE_CLASS)


class Copier:
    """One export's copies. `say` gets each difference in plain words, once; they are the manifest's notes too."""

    def __init__(self, work: WorkDir, evidence_dir: Path, gathered: Gathered, say: Say, progress: Progress) -> None:
        self._work, self._evidence, self._found, self._say, self._progress = work, evidence_dir, gathered, say, progress
        self.files: list[EvidenceFile] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._say(text)

    def segments(self, stream: str) -> list[tuple[Footage, Path]]:
        """Copy a stream's segments; those that are there now, with where. Raises StoreError. Blocks."""
        copied = []
        unclosed = {item.path for _, item in self._found.unclosed()}
        for item in self._found.footage[stream]:
            file = self._segment(stream, item, open_now=item.path in unclosed)
            if file is not None:
                copied.append((item, self._work.part / file.path))
        for name in self._found.unreadable.get(stream, []):
            self._damaged(stream, name)
        return copied

    def stills(self, incident_id: str) -> None:
        for name, source in self._found.stills.items():
            said = self._found.known.said.get(f"{STILLS}/{incident_id}/{name}")
            path = f"stills/{name}"
            done = self._copy(source, path, None)
            if done is None:
                self.note(f"{path} was deleted while it was to be copied")
                continue
            file = EvidenceFile(path=path, bytes=done[0], sha256=done[1], kind="still")
            self._compare(file, said)
            self._take(file)

    def missing(self, streams: tuple[str, ...]) -> None:
        """Say which segments the chain knows of in this span that are not here, and why."""
        here = {file.path.removeprefix("segments/") for file in self.files}
        for name in sorted(self._found.known.expected - here):
            if name.partition("/")[0] in streams:
                why = self._found.known.evicted.get(name)
                if why is None:
                    self.note(
                        f"segments/{name} is missing: the chain says that it was recorded, not that it was deleted"
                    )
                else:
                    self.note(f"segments/{name} is not here: the recorder deleted it before ({_WHY.get(why, why)})")
        for gap in self._found.known.gaps:
            self.note(gap_text(gap))

    def _segment(self, stream: str, item: Footage, *, open_now: bool) -> EvidenceFile | None:
        name = item.path.name
        said = self._found.known.said.get(f"{stream}/{name}")
        path = f"segments/{stream}/{name}"
        state = said.state if said is not None and said.state is not None else "open"
        kept = self._work.kept_file(path)
        if kept is not None and kept.state == state != "open":
            self._compare(kept, said)
            self.files.append(kept)
            self._progress(kept.bytes)
            return kept
        done = self._copy(item.path, path, item.extent.whole_bytes if open_now else None)
        if done is None:
            self.note(f"{path} was deleted while the export was made: nothing locked it")
            return None
        key = item.header
        file = EvidenceFile(
            path=path,
            bytes=done[0],
            sha256=done[1],
            kind="segment",
            stream=stream,
            boot=key.boot,
            seq=key.seq,
            state=state,
        )
        if state == "open":
            self.note(
                f"{path} was still being written, or its recorder died: it is not in the chain yet"
                if open_now
                else f"{path} is not in the chain: the recorder has not been started since, or the chain was lost"
            )
        self._compare(file, said)
        self._take(file)
        return file

    def _damaged(self, stream: str, name: str) -> None:
        """A file that cannot be read as a segment goes along when the chain knows it: it is evidence of the damage."""
        said = self._found.known.said.get(f"{stream}/{name}")
        key = SegmentKey.parse(name)
        path = f"segments/{stream}/{name}"
        if said is None or said.state is None or key is None:
            self.note(f"left out, unreadable: {stream}/{name}")
            return
        done = self._copy(self._evidence / stream / name, path, None)
        if done is None:
            return
        file = EvidenceFile(
            path=path, bytes=done[0], sha256=done[1], kind="segment", stream=stream, boot=key.boot, seq=key.seq,
            state=said.state,
        )  # fmt: skip
        if not self._compare(file, said):
            self.note(f"{path} cannot be played: it broke off before its first picture")
        self._take(file)

    def _compare(self, file: EvidenceFile, said: Said | None) -> bool:
        """Say so when a file is not what the chain has; True when it is not."""
        if said is None or (said.bytes == file.bytes and said.sha256 == file.sha256):
            return False
        self.note(
            f"{file.path} is NOT what was recorded: line {said.n} of the chain says {said.bytes} bytes with SHA-256 "
            f"{said.sha256}; here are {file.bytes} bytes with {file.sha256}"
        )
        return True

    def _take(self, file: EvidenceFile) -> None:
        self.files.append(file)
        self._work.note(file)

    def _copy(self, source: Path, path: str, length: int | None) -> tuple[int, str] | None:
        """Size and hash of the copy; None when the source is gone. Its pages leave the cache again: a small machine
        needs it for other things."""
        try:
            descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{source}: {error.strerror}") from error
        try:
            left = os.fstat(descriptor).st_size if length is None else length
            with self._work.create(path, self._progress) as out:
                while left > 0 and (block := os.read(descriptor, min(left, BLOCK_BYTES))):
                    out.write(block)
                    left -= len(block)
            with contextlib.suppress(OSError):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
        return out.bytes, out.sha256


_WHY = {
    "room": "to make room",
    "budget": "the camera's budget was used up",
    "age": "it was too old",
    "full": "the disk was full",
}


def gap_text(gap: dict[str, object]) -> str:
    """A gap in words. Pure."""
    begin, end = gap.get("from_mono_ns"), gap.get("to_mono_ns")
    same = gap.get("from_boot") == gap.get("to_boot")
    how_long = f"{(end - begin) / 1e9:.1f} s" if same and isinstance(begin, int) and isinstance(end, int) else "a while"
    return f"camera {gap.get('camera')}: nothing was recorded for {how_long} ({gap.get('why')}); the chain says so"


def total_bytes(found: Gathered, known: Known) -> int:
    """What the segments come to, as the chain or the headers say. Pure."""
    total = 0
    for stream, items in found.footage.items():
        for item in items:
            said = known.said.get(f"{stream}/{item.path.name}")
            total += said.bytes if said is not None else item.extent.whole_bytes
    return total
