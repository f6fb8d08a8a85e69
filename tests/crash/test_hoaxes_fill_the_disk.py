"""Hoax after hoax locks footage; none of it is deleted, and the next real incident is recorded whole all the same.

The real writers, ring and chain on a small modelled disk: reserve, watermarks and the pre-roll in pictures, not hours.
"""

from pathlib import Path

import msgspec

from tests.crash.faulty_disk import FaultyDisk
from tests.crash.record_judge import Witness, whole_bytes, whole_chain
from tests.crash.record_life import STREAMS, RecordLife, Street, lived
from tests.crash.tagged_units import FPS, samples
from unitd.store.ring import Need
from unitd.store.segment import list_segments

DISK_BYTES = 2_000_000
RATE_BYTES_S = 12_500
"""What a stream of these pictures writes."""
RESERVE_S = 16.0
HOAX_S, PRE_ROLL_S = 4, 2
MOST_HOAXES = 60
NEED = {"rates_bytes_s": (RATE_BYTES_S,) * len(STREAMS)}


def recorded(base: Path, stream: str) -> list[int]:
    directory = base / "evidence" / stream
    found: list[int] = []
    for key in list_segments(directory):
        content = (directory / key.file_name).read_bytes()
        if end := whole_bytes(content):
            with (directory / key.file_name).open("rb") as file:
                assert end <= len(content)
                found += [number for number, _ in samples(file, stream)]
    return found


def incident(life: RecordLife, name: str, seconds: int, outcome: str | None) -> tuple[int, int]:
    """Press, record, close: as core tells record, and the eviction thread looks each second. The pictures locked."""
    begin = life.street.next_number - PRE_ROLL_S * FPS
    life.lock(name, begin, None)
    life.press()
    for _ in range(seconds):
        life.feed(FPS)
        life.make_room(Need(incident=True, **NEED))  # type: ignore[arg-type]
    end = life.street.next_number - 1
    life.lock(name, begin, end, outcome)
    life.calm()
    return begin, end


def test_the_next_incident_has_its_room(tmp_path: Path) -> None:
    base = tmp_path / "disk"
    for name in ("run", "state"):
        (base / name).mkdir(parents=True)
    faulty, street = FaultyDisk(base), Street(base)
    ring = msgspec.structs.replace(
        street.config.ring, incident_reserve_s=RESERVE_S, high_watermark_percent=90.0, low_watermark_percent=85.0
    )
    street.config = msgspec.structs.replace(street.config, ring=ring)
    street.keep_fresh_s = PRE_ROLL_S + 1.0
    witness = Witness(street, faulty)
    reserve_bytes = RATE_BYTES_S * len(STREAMS) * RESERVE_S
    kept: list[tuple[int, int]] = []

    def life_of_hoaxes(life: RecordLife, faulty: FaultyDisk) -> None:
        faulty.capacity_bytes = DISK_BYTES
        for number in range(MOST_HOAXES):
            for _ in range(6):
                life.feed(FPS)
                life.make_room(Need(**NEED))  # type: ignore[arg-type]
            standing = life.ring.standing()
            if standing.short:
                break
            free = DISK_BYTES - faulty.used_bytes()
            assert free >= reserve_bytes - 2 * RATE_BYTES_S * len(STREAMS), f"press {number}: {free} bytes are free"
            kept.append(incident(life, f"hoax-{number}", HOAX_S, "hoax"))
        assert life.ring.standing().short, "nobody was told"
        assert life.ring.standing().hoaxes == len(kept) >= 5
        # nobody has come to look at the hoaxes; and now somebody needs help, for longer than any of them took
        kept.append(incident(life, "real", 2 * HOAX_S, "genuine"))
        faults = [writer.fault() for writer in life.writers.values()]
        assert faults == [("", "")] * len(STREAMS), faults
        life.stop()

    assert lived(faulty, street, "boot", life_of_hoaxes)
    assert witness.wrongs == []
    for stream in STREAMS:
        there = set(recorded(base, stream))
        for begin, end in kept:
            assert set(range(begin, end + 1)) <= there, f"{stream}: of {begin} to {end} something is missing"
    assert any(line["kind"] == "evict" for line in whole_chain(base / "evidence" / "record.chain"))
    print(f"{len(kept) - 1} hoaxes in a row, and a real incident recorded whole")
