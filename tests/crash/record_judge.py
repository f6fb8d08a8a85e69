"""What must be true of a recorder's disk, whatever happened to it. Reads files alone, as a stranger would."""

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.crash.faulty_disk import FaultyDisk
from tests.crash.record_life import FRAGMENT_UNITS, RESERVE_BYTES, STREAMS, Street
from tests.crash.tagged_units import FPS, is_fed, is_part_of_fed, samples, torn_samples
from unitd.store.segment import list_segments, measure

GENESIS = "0" * 64
NAMING = ("segment", "abandoned", "recovered")
Line = dict[str, Any]


def parts_of(chain: Path) -> list[Path]:
    """The files of one chain, oldest first."""
    older = [each for each in chain.parent.glob(f"{chain.name}.*") if each.name[len(chain.name) + 1 :].isdigit()]
    return [*sorted(older), *([chain] if chain.exists() else [])]


def whole_chain(chain: Path) -> list[Line]:
    """Every line of a chain over all its parts. Raises AssertionError where it does not hold."""
    lines: list[Line] = []
    head = GENESIS
    for part in parts_of(chain):
        raw = part.read_bytes()
        assert raw == b"" or raw.endswith(b"\n"), f"{part.name} ends with a torn line"
        for text in raw.splitlines(keepends=True):
            line = json.loads(text)
            assert line["prev"] == head, f"{part.name}: line {line['n']} does not follow"
            assert line["n"] == len(lines) + 1, f"{part.name}: line {line['n']} stands where {len(lines) + 1} should"
            head = hashlib.sha256(text).hexdigest()
            lines.append(line)
        if part != chain and raw:
            assert int(part.name[len(chain.name) + 1 :]) == json.loads(raw.splitlines()[0])["n"], part.name
    return lines


def whole_bytes(content: bytes) -> int:
    """Where the last whole fragment of a file ends; 0 when there is none. By ISO/IEC 14496-12 alone."""
    at = end = 0
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        if size < 8 or at + size > len(content):
            break
        at += size
        if content[at - size + 4 : at - size + 8] == b"mdat":
            end = at
    return end


class Witness:
    """Stands beside the disk over all lives, and sees every file before it goes."""

    def __init__(self, street: Street, faulty: FaultyDisk) -> None:
        self._street, self._faulty = street, faulty
        self.evicted: dict[str, set[int]] = {name: set() for name in STREAMS}
        self.wrongs: list[str] = []
        faulty.before_unlink = self._unlink

    def _unlink(self, path: Path, content: bytes) -> None:
        stream = path.parent.name
        if stream not in STREAMS or not content:
            return
        name = f"{stream}/{path.name}"
        evidence = self._street.base / "evidence"
        chain = b"".join(
            self._faulty.durable(each) for each in self._faulty.durable_names(evidence) if "record.chain" in each.name
        )
        intents = [each for each in chain.splitlines() if b'"evict"' in each and f'"{name}"'.encode() in each]
        if not intents:
            self.wrongs.append(f"{name} was deleted, and the chain on the medium does not say so")
        whole = content[: whole_bytes(content)]
        numbers = [number for number, _ in samples(io.BytesIO(whole), stream)] if whole else []
        locks = self._street.base / "state" / "locks"
        for lock in locks.glob("*.json"):
            # of a lock that was just completed, by a core that died before the sync: what record reads of it
            fields = json.loads(self._faulty.seen(lock) or b"{}")
            if fields and any(self._covers(fields, int(path.name[:6]), number) for number in numbers):
                self.wrongs.append(f"{name} was deleted although {lock.stem} locks it")
        self.evicted[stream].update(numbers)

    def _covers(self, fields: Line, boot: int, number: int) -> bool:
        at = (boot, self._street.at_ns(number))
        if at < (fields["from_boot"], fields["from_mono_ns"]):
            return False
        return fields["to_mono_ns"] is None or at <= (fields["to_boot"], fields["to_mono_ns"])


def judge(street: Street, witness: Witness, lost_at_cut: bool, died_at: int) -> None:
    """After a start and an orderly end that followed a death (of the life whose next number was `died_at`).

    `lost_at_cut`: the power was cut, so what no incident made durable at once may be gone.
    """
    assert not witness.wrongs, witness.wrongs
    evidence = street.base / "evidence"
    lines = whole_chain(evidence / "record.chain")
    said = {line["file"]: line for line in lines if line["kind"] in NAMING}
    for stream in STREAMS:
        there = _files(evidence / stream, stream, said, lost_at_cut)
        found = [number for numbers in there for number in numbers]
        assert found == sorted(set(found)), f"{stream}: pictures out of order, or twice: {found}"
        missing = set(_owed(street, stream, lost_at_cut, died_at)) - set(found) - witness.evicted[stream]
        assert not missing, f"{stream}: lost {sorted(missing)} of {died_at}; found {found}"
    assert (evidence / ".reserve").stat().st_size == RESERVE_BYTES, "the reserve is not back"


def judge_refused(
    street: Street, witness: Witness, operations: list[str], failed_sync: str, *, after_cut: bool
) -> None:
    """After a life whose disk refused something and healed, and its orderly end.

    `failed_sync`: the file (as operations name it) whose sync failed first, or "".
    """
    assert not witness.wrongs, witness.wrongs
    evidence = street.base / "evidence"
    lines = whole_chain(evidence / "record.chain")
    said = {line["file"]: line for line in lines if line["kind"] in NAMING}
    for stream in STREAMS:
        there = _files(evidence / stream, stream, said, after_cut)
        found = [number for numbers in there for number in numbers]
        assert found == sorted(set(found)), f"{stream}: pictures out of order, or twice: {found}"
        after = set(range(street.healed_at, street.next_number)) - witness.evicted[stream]
        assert after <= set(found), f"{stream}: not recorded after the disk had healed: {sorted(after - set(found))}"
    assert (evidence / ".reserve").stat().st_size == RESERVE_BYTES, "the reserve is not back"
    if failed_sync.endswith(".mp4"):
        later = [each for each in operations if each.split()[0] in ("write", "fsync", "truncate")]
        assert [each for each in later if each.endswith(failed_sync)] == [], f"{failed_sync}: used after a failed sync"


def _files(directory: Path, stream: str, said: dict[str, Line], after_cut: bool) -> list[list[int]]:
    """The pictures in each file of one stream, in the order of the names."""
    found: list[list[int]] = []
    for key in list_segments(directory):
        path = directory / key.file_name
        name, content = f"{stream}/{path.name}", path.read_bytes()
        assert name in said, f"{name} is not in the chain"
        if said[name]["kind"] != "abandoned" or not after_cut:  # no sync had made all of that one durable
            assert said[name]["bytes"] == len(content), f"{name}: not the size that the chain says"
            assert said[name]["sha256"] == hashlib.sha256(content).hexdigest(), f"{name}: not what the chain says"
        end = whole_bytes(content)
        assert end == (measure(path).whole_bytes if measure(path).fragments else 0), f"{name}: measured wrongly"
        if not end:
            found.append([])
            continue
        whole = samples(io.BytesIO(content[:end]), stream)
        for number, sample in whole:
            assert is_fed(stream, number, sample), f"{name}: picture {number} is not as it was fed"
        if end < len(content):
            torn = torn_samples(io.BytesIO(content))
            assert torn[: len(whole)] == [sample for _, sample in whole], f"{name}: a torn end spoils what is whole"
            for number, sample in enumerate(torn[len(whole) :], start=whole[-1][0] + 1):
                assert is_part_of_fed(stream, number, sample), f"{name}: something is played that nobody recorded"
        found.append([number for number, _ in whole])
    return found


def _owed(street: Street, stream: str, lost_at_cut: bool, died_at: int) -> Iterable[int]:
    """The numbers that must be there: of the life that died, and all of those that ended in order."""
    fed = street.fed[stream]
    for number in fed.handled:
        if number in street.refused:
            continue
        if number >= died_at:
            yield number  # of the lives after it
        elif not lost_at_cut:
            if number < died_at - 2 * FRAGMENT_UNITS:
                yield number
        elif number in fed.before_press[:-FRAGMENT_UNITS] or (
            number in fed.urgent and number < max(fed.urgent) + 1 - FPS
        ):
            yield number
