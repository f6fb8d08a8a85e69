"""Makes an evidence directory (docs/evidence.md): gathers, copies, joins, lists, has it sealed, and adds the proof.

A program of its own beside the live recorder: it reads, and writes nowhere but into the output.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec

from unitd.config import Config
from unitd.errors import UNREADABLE, StoreError
from unitd.evidence.canonical import canonical
from unitd.evidence.chains import extract, first_core_n, last_n
from unitd.evidence.clip import labels
from unitd.evidence.conversation import conversation_file
from unitd.evidence.copy import Copier, total_bytes
from unitd.evidence.gather import CHAIN, Asked, Gathered, Order, gather, wait_for_end
from unitd.evidence.manifest import AUDIO_STREAM, BootTime, EvidenceFile, FileKind, IncidentPart, Made, Manifest, Span
from unitd.evidence.mp4_file import Labels
from unitd.evidence.readme import readme
from unitd.evidence.seal import NotSealedError, Seal, checkpoints, seal
from unitd.evidence.times import boot_times, for_people, known_boots, utc_us_of
from unitd.evidence.view import LONGEST_GAP_S, Part, Source, join, join_voices
from unitd.evidence.workdir import MANIFEST, SUMS, WorkDir, need_room
from unitd.messages.workers import SealExport
from unitd.runtime.clock import SystemClock
from unitd.store.clock_truth import read_truths
from unitd.store.footage import Footage

MOST_CHECKPOINTS = 1000
SPARE_BYTES = 4 << 20
CORE_CHAIN = "core.chain"


class Watcher:
    """Who is told how it goes; this one tells nobody."""

    def phase(self, what: str, total_bytes: int = 0) -> None:
        """A new part of the work begins."""

    def step(self, done_bytes: int) -> None:
        """So many more bytes are done."""

    def say(self, text: str) -> None:
        """Something a person should know, in one line."""


@dataclass(frozen=True)
class Done:
    """What was made. `unsealed` is empty, or why nobody signs for it. `finished_before`: nothing was to do."""

    path: Path
    files: int
    bytes: int
    footage_s: float
    cameras: tuple[str, ...]
    seal: Seal | None = None
    unsealed: str = ""
    kept: int = 0
    notes: int = 0
    finished_before: bool = False
    segments: int = 0


def default_name(asked: Asked, begin: str) -> str:
    """`export-<first 8 of the incident id>`, or `export-<from>-<camera>`. Pure."""
    if asked.incident is not None:
        return f"export-{asked.incident.incident_id[:8]}"
    cameras = [stream for stream in asked.streams if stream != AUDIO_STREAM]
    when = "".join(letter for letter in begin if letter.isalnum() or letter in "+-.")
    return f"export-{when}-{cameras[0] if len(cameras) == 1 else 'all'}"


def export(config: Config, order: Order, asked: Asked, output: Path, watcher: Watcher) -> Done:
    """Make `output`. Raises StoreError, one line; what was done is kept for the next try. Blocks for its length."""
    if (before := _finished(config, asked, output)) is not None:
        return before
    _outside_the_ring(config, output)
    work = WorkDir(output)
    try:
        work.open(_request(config, order, asked))
        return _Export(config, order, asked, work, watcher).run()
    except StoreError:
        raise
    except OSError as error:
        raise work.refused(error) from error
    finally:
        work.close()


def _outside_the_ring(config: Config, output: Path) -> None:
    """Raises StoreError: an export in the ring would take its room, and its directories would look like cameras."""
    ring = Path(config.paths.evidence_dir)
    if output.resolve().is_relative_to(ring.resolve()):
        raise StoreError(f"{output} lies in {ring}, which is the recorder's own; choose another --output")


def _request(config: Config, order: Order, asked: Asked) -> dict[str, object]:
    incident = "" if asked.incident is None else asked.incident.incident_id
    return {"unit": config.unit.id, "incident": incident, "from": order.begin, "to": order.end,
            "cameras": list(order.cameras)}  # fmt: skip


def _finished(config: Config, asked: Asked, output: Path) -> Done | None:
    """What is there already. Raises StoreError when that is something else."""
    try:
        if not output.exists() or (output.is_dir() and not any(output.iterdir())):
            return None
        data = (output / MANIFEST).read_bytes()
    except OSError:
        raise StoreError(f"{output} is there and is no finished export; choose another --output") from None
    return finished(config, asked, output, data, (output / "checkpoints").is_dir())


def finished(config: Config, asked: Asked, output: Path, data: bytes, sealed: bool) -> Done:
    """What `output` holds by its manifest `data`. Raises StoreError when that is another export. Pure."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except UNREADABLE:
        raise StoreError(f"{output} is there and is no finished export; choose another --output") from None
    wanted = "" if asked.incident is None else asked.incident.incident_id
    here = "" if manifest.incident is None else manifest.incident.incident_id
    if manifest.unit != config.unit.id or wanted != here or manifest.span != span_part(asked):
        raise StoreError(
            f"{output} holds another export ({f'incident {here}' if here else 'a span of time'}), or an earlier one "
            "of this incident; choose another --output"
        )
    footage = [file for file in manifest.files if file.kind == "segment"]
    return Done(
        output, len(manifest.files), sum(file.bytes for file in manifest.files), 0.0,
        tuple(dict.fromkeys(file.stream for file in footage)),
        unsealed="" if sealed else "core was not running", finished_before=True,
    )  # fmt: skip


def span_part(asked: Asked) -> Span:
    span = asked.span
    return Span(
        from_boot=span.from_boot, from_mono_ns=span.from_mono_ns, to_boot=span.to_boot, to_mono_ns=span.to_mono_ns
    )


class _Export:
    """One run. `files` and `notes` are what the manifest will hold."""

    def __init__(self, config: Config, order: Order, asked: Asked, work: WorkDir, watcher: Watcher) -> None:
        self._config, self._order, self._asked, self._work, self._watcher = config, order, asked, work, watcher
        self._state, self._evidence = Path(config.paths.state_dir), Path(config.paths.evidence_dir)
        self._footage_s = 0.0

    def run(self) -> Done:
        asked, watcher = self._asked, self._watcher
        found = gather(self._config, asked)
        if found.unclosed() and self._order.wait:
            watcher.phase("waiting for the segment that is being written to end")
            found = wait_for_end(self._config, asked, found, lambda _: watcher.step(0))
        total = total_bytes(found, found.known)
        if not self._work.whole:
            need_room(self._work.part, 2 * total + found.known.bytes + SPARE_BYTES)
        watcher.phase("copying", 2 * total)
        copier = Copier(self._work, self._evidence, found, watcher.say, watcher.step)
        self._copier = copier
        copied = {stream: copier.segments(stream) for stream in asked.streams}
        if asked.incident is not None:
            copier.stills(asked.incident.incident_id)
        copier.missing(asked.streams)
        self._headers = [item.header for items in found.footage.values() for item in items]
        self._times = boot_times(self._headers, read_truths(self._state))
        if not self._headers:
            copier.note("there is NO footage of this incident: the logs and what else there is say why")
            boots = {asked.span.from_boot, asked.span.to_boot}
            self._times = {
                boot: time for boot, time in known_boots(self._config, asked.streams).items() if boot in boots
            }
        watcher.phase("joining", 2 * total)
        self._join(copied)
        copier.files += conversation_file(self._work, self._state / CORE_CHAIN, asked, self._times, self._config)
        copier.files.append(self._readme(found))
        if asked.incident is None:
            self._doubtful_times()
        if self._asked.local:
            copier.notes.append(f"the times that were asked for were taken as local time, {self._config.site.timezone}")
        manifest = self._manifest()
        data = canonical(manifest)
        self._work.put(MANIFEST, data)
        watcher.phase("sealing")
        sealed, why = self._seal(data)
        proof = self._proof(found, sealed)
        sums = [f"{file.sha256}  {file.path}\n" for file in manifest.files]
        sums.append(f"{hashlib.sha256(data).hexdigest()}  {MANIFEST}\n")
        self._work.clear({file.path for file in manifest.files} | proof)
        self._work.put(SUMS, "".join(sums).encode())
        watcher.phase("writing it to the medium for good")
        self._work.finish()
        return Done(
            self._work.path, len(manifest.files), sum(file.bytes for file in manifest.files), self._footage_s,
            tuple(stream for stream in asked.streams if copied[stream] and stream != AUDIO_STREAM),
            sealed, why, self._work.kept, len(manifest.notes), segments=len(self._headers),
        )  # fmt: skip

    def _doubtful_times(self) -> None:
        """A span was asked for by the clock: say so when that clock was not to be trusted."""
        for boot, time in sorted(self._times.items()):
            if time.clock == "unknown":
                self._copier.note(
                    f"the clock was not known to be right from start {boot} of the unit until the next: whether this "
                    "is the time that was asked for is not certain"
                )

    # --- what is for looking at -------------------------------------------------------------------------------------

    def _join(self, copied: dict[str, list[tuple[Footage, Path]]]) -> None:
        voices = [Source.of(item, path) for item, path in copied.get(AUDIO_STREAM, [])]
        taken: set[str] = set()
        for stream, items in copied.items():
            if stream == AUDIO_STREAM:
                continue
            parts = join([Source.of(item, path) for item, path in items], voices, self._refused)
            for part in parts:
                path = _free_name(
                    f"view/{stream}", taken | {f"view/{other}.mp4" for other in copied if other != stream}
                )
                taken.add(path)
                self._joined(path, stream, part, voices)
            if len(parts) > 1:
                self._copier.note(f"{stream} changed the shape of its pictures: its film has {len(parts)} parts")
            self._footage_s = max(self._footage_s, sum(part.duration_s for part in parts))
        alone = join_voices(voices, self._refused)
        if alone is not None:
            self._joined("audio/audio.mp4", AUDIO_STREAM, alone, [])

    def _refused(self, source: Source, error: OSError) -> None:
        self._copier.note(f"not in the film: {error}".replace(f"{self._work.part}/", ""))

    def _joined(self, path: str, stream: str, part: Part, voices: list[Source]) -> None:
        incident = "" if self._asked.incident is None else self._asked.incident.incident_id
        text = labels(self._config, incident, stream, part, self._times)
        made_of = self._made_of(part, text)
        if part.shortened:
            self._copier.note(
                f"{path}: {part.shortened} gap(s) longer than {LONGEST_GAP_S:.0f} s are shortened to that in this film"
            )
        kept = self._work.kept_file(path, made_of)
        if kept is None:
            with self._work.create(path, self._watcher.step) as file:
                part.write(text, file.write)
            kind: FileKind = "audio" if stream == AUDIO_STREAM else "view"
            kept = EvidenceFile(path=path, bytes=file.bytes, sha256=file.sha256, kind=kind)
            self._work.note(kept, made_of)
        else:
            self._watcher.step(kept.bytes)
        self._copier.files.append(kept)

    def _made_of(self, part: Part, text: Labels) -> str:
        """Names the very bytes that a joined file is made of."""
        sources = {chunk.source for track in part.tracks for chunk in track.chunks}
        names = sorted(source.relative_to(self._work.part).as_posix() for source in sources)
        hashes = {file.path: file.sha256 for file in self._copier.files}
        seed = msgspec.json.encode([text.title, text.comment, [[name, hashes[name]] for name in names]])
        return hashlib.sha256(seed).hexdigest()

    # --- what says what it is ---------------------------------------------------------------------------------------

    def _readme(self, found: Gathered) -> EvidenceFile:
        asked, incident, zone = self._asked, self._asked.incident, self._config.site.timezone
        span, begin, end, clock = asked.span, "unknown", "unknown", "unknown"
        if self._times:
            nearest = self._times.get(span.from_boot, self._times[min(self._times)])
            clock = nearest.clock
            begin = for_people(utc_us_of(max(span.from_mono_ns, 0), nearest), zone)
            if span.to_boot is not None and span.to_mono_ns is not None:
                end = for_people(utc_us_of(span.to_mono_ns, self._times.get(span.to_boot, nearest)), zone)
        if span.to_mono_ns is None:
            end = "not over when this was made"
        what = "Recording of a span of time that was asked for."
        if incident is not None:
            raised = for_people(incident.raised_utc_us, zone) if incident.raised_utc_us else "unknown"
            if incident.clock == "unknown":
                raised = f"{raised}, by a clock that was NOT known to be right"
            what = f"Incident:  {incident.incident_id}\nKind:      {incident.kind or 'unknown'}\nRaised:    {raised}\n"
            what += f"Outcome:   {incident.outcome or 'none yet'}"
        data = readme(self._config, what, begin, end, clock, self._copier.files, LONGEST_GAP_S)
        size, digest = self._work.put("README.txt", data)
        return EvidenceFile(path="README.txt", bytes=size, sha256=digest, kind="readme")

    def _manifest(self) -> Manifest:
        stamp = SystemClock(Path(self._config.clock.synchronized_file)).stamp()
        lock = self._asked.incident
        incident = None
        if lock is not None:
            incident = IncidentPart(
                incident_id=lock.incident_id, kind=lock.kind, outcome=lock.outcome, raised_utc_us=lock.raised_utc_us,
                clock=lock.clock,
            )  # fmt: skip
        made = Made(utc_us=stamp.utc_us, clock=stamp.clock, boot=self._asked.now.boot, mono_ns=stamp.mono_ns)
        return Manifest(
            version=1,
            unit=self._config.unit.id,
            site=self._config.site.name,
            incident=incident,
            span=span_part(self._asked),
            made=made,
            by=self._order.by,
            software=_software(),
            files=tuple(sorted(self._copier.files, key=lambda file: file.path)),
            times={str(boot): BootTime(offset_us=t.offset_us, clock=t.clock) for boot, t in self._times.items()},
            notes=tuple(self._copier.notes),
        )

    # --- what proves it ---------------------------------------------------------------------------------------------

    def _seal(self, manifest: bytes) -> tuple[Seal | None, str]:
        record_n, record_head = last_n(self._evidence / CHAIN)
        incident = self._asked.incident
        segments = [file for file in self._copier.files if file.kind == "segment"]
        request = SealExport(
            manifest_sha256=hashlib.sha256(manifest).hexdigest(),
            incident_id=None if incident is None else incident.incident_id,
            cameras=tuple(dict.fromkeys(file.stream for file in segments)),
            segments=len(segments),
            by=self._order.by,
            record_n=record_n,
            record_head=record_head,
        )
        try:
            return seal(Path(self._config.paths.run_dir), request), ""
        except NotSealedError as error:
            return None, str(error)

    def _proof(self, found: Gathered, sealed: Seal | None) -> set[str]:
        """Extracts, checkpoints and certificate; their paths."""
        known, files = found.known, [f"{file.stream}/{Path(file.path).name}" for file in self._copier.files if file.seq]
        if self._asked.incident is not None:
            files += [f".stills/{self._asked.incident.incident_id}/{name}" for name in found.stills]
        files += list(known.expected)
        numbers = [known.said[name].n for name in files if name in known.said]
        numbers += [n for n in (known.first_gap_n, known.before_n) if n is not None]
        record, core = self._evidence / CHAIN, self._state / CORE_CHAIN
        record_end, core_end = last_n(record)[0], last_n(core)[0]
        if sealed is not None:
            heads = sealed.checkpoint.checkpoint.heads
            record_end = heads["record"].n if "record" in heads else record_end
            core_end = heads["core"].n if "core" in heads else core_end
        record_n = min(numbers, default=max(1, record_end))
        core_n = first_core_n(core, None if self._asked.incident is None else self._asked.incident.incident_id,
                              self._asked.span)  # fmt: skip
        core_n = min(core_n, max(1, core_end))
        self._lines("chain/record.jsonl", extract(record, record_n, record_end))
        self._lines("chain/core.jsonl", extract(core, core_n, core_end))
        made = {"chain/record.jsonl", "chain/core.jsonl"}
        if sealed is not None:
            for each in checkpoints(self._state, sealed.checkpoint, record_n, core_n, MOST_CHECKPOINTS):
                name = f"checkpoints/{each.checkpoint.n:08d}"
                self._work.put(f"{name}.json", each.body)
                made.add(f"{name}.json")
                if each.signature:
                    self._work.put(f"{name}.sig", each.signature)
                    made.add(f"{name}.sig")
            if sealed.checkpoint.signature:
                self._certificate()
        return made

    def _lines(self, path: str, lines: Iterable[bytes]) -> None:
        with self._work.create(path) as file:
            for raw in lines:
                file.write(raw)

    def _certificate(self) -> None:
        named = self._config.evidence.cert_file
        try:
            data = (Path(named) if named else self._state / "signing" / "evidence.pem").read_bytes()
        except FileNotFoundError:
            self._watcher.say("the unit has no certificate yet: who checks its signatures must know its key")
            return
        self._work.put("certificate.pem", data)


def _software() -> str:
    """Name and version of what made it."""
    try:
        return f"unitd {metadata.version('unitd')}"
    except metadata.PackageNotFoundError:
        return "unitd"


def _free_name(stem: str, taken: set[str]) -> str:
    """`stem.mp4`, or `stem-2.mp4` and so on: a part of one camera's film must not have the name of another's."""
    path, number = f"{stem}.mp4", 1
    while path in taken:
        number += 1
        path = f"{stem}-{number}.mp4"
    return path
