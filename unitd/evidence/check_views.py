"""The files for looking at, against the segments: the same pictures and sounds, sample for sample, in order."""

from unitd.errors import StoreError
from unitd.evidence.check_mp4 import DIGEST_BYTES, read_tracks
from unitd.evidence.check_segments import Footage
from unitd.evidence.check_tree import Tree
from unitd.evidence.manifest import AUDIO_STREAM, EvidenceFile, Manifest
from unitd.evidence.verify_report import Report

VIDEO, SOUND = "vide", "soun"


class _Samples:
    """The samples of one kind, in order, as short digests one after another; `sources`: where each file's begin."""

    def __init__(self) -> None:
        self.digests = bytearray()
        self.sources: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self.digests) // DIGEST_BYTES

    def add(self, tree: Tree, path: str, kind: str) -> None:
        """Raises StoreError, OSError."""
        self.sources.append((len(self), path))
        with tree.open(path) as file:
            for track in read_tracks(file):
                if track.kind == kind:
                    for digest in track.digests(file):
                        self.digests += digest
                    return

    def at(self, index: int) -> bytes:
        return bytes(self.digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES])

    def source(self, index: int) -> str:
        return next((path for begin, path in reversed(self.sources) if begin <= index), "")


def check_views(tree: Tree, manifest: Manifest, good: set[str], footage: Footage, report: Report) -> int:
    """Compare every file for looking at whose stream is whole; the number of samples that were found equal. Blocks.

    Reads each file of a stream once more; memory: 16 bytes a sample.
    """
    equal = 0
    views: dict[str, list[EvidenceFile]] = {}
    for file in manifest.files:
        if file.kind in ("view", "audio"):
            stream = AUDIO_STREAM if file.kind == "audio" else _stream_of(file.path, footage)
            if stream is None:
                report.accuse(file.path, "shows a camera of which the export has no segments")
            else:
                views.setdefault(stream, []).append(file)
    for stream, files in views.items():
        paths = [each.path for each in footage.streams[stream].files] if stream in footage.streams else []
        paths = [path for path in paths if not _left_out_of_film(path, manifest)]
        if all(path in good for path in (*paths, *(file.path for file in files))):
            kind = SOUND if stream == AUDIO_STREAM else VIDEO
            equal += _compare(tree, paths, sorted((file.path for file in files), key=_part), kind, report)
            if kind == VIDEO:
                voices = footage.streams.get(AUDIO_STREAM)
                sounds = [each.path for each in voices.files] if voices is not None else []
                _sound(tree, files, [list_ for list_ in (sounds, paths) if all(p in good for p in list_)], report)
    return equal


def _left_out_of_film(path: str, manifest: Manifest) -> bool:
    """Whether the export says of a segment that it could not be joined: it is damaged, and is there all the same."""
    name = path.partition("/")[2]
    return any(note.startswith("not in the film") and name in note for note in manifest.notes)


def _stream_of(path: str, footage: Footage) -> str | None:
    """`view/dome.mp4`, and `view/dome-2.mp4` for what follows a change of the picture's shape."""
    name = path.partition("/")[2].removesuffix(".mp4")
    if name in footage.streams:
        return name
    stem, _, number = name.rpartition("-")
    return stem if stem in footage.streams and number.isdecimal() else None


def _part(path: str) -> tuple[int, str]:
    number = path.removesuffix(".mp4").rpartition("-")[2]
    return (int(number) if number.isdecimal() and len(number) < 6 else 1, path)


def _compare(tree: Tree, segments: list[str], views: list[str], kind: str, report: Report) -> int:
    wanted, shown = _Samples(), _Samples()
    path = views[0]
    try:
        for path in segments:
            try:
                wanted.add(tree, path, kind)
            except StoreError:
                continue  # a file without one whole fragment has nothing to show
        for path in views:
            shown.add(tree, path, kind)
    except (StoreError, OSError) as error:
        report.accuse(path, str(error))
        return 0
    what = "picture" if kind == VIDEO else "piece of sound"
    if wanted.digests == shown.digests:
        return len(shown)
    at = next(
        (i for i in range(min(len(wanted), len(shown))) if wanted.at(i) != shown.at(i)), min(len(wanted), len(shown))
    )
    source = wanted.source(at) if at < len(wanted) else "the last segment"
    place = shown.source(min(at, max(0, len(shown) - 1))) or views[0]
    if at == len(shown):
        words = f"ends before its {what} number {at + 1}, which is in {source}: {len(wanted) - at} are missing"
    elif at == len(wanted):
        words = f"has {len(shown) - at} more than the segments have, from its {what} number {at + 1} on"
    else:
        words = f"is not made of the segments: its {what} number {at + 1} is not the one in {source}"
    report.accuse(place, words)
    return 0


def _sound(tree: Tree, views: list[EvidenceFile], sources: list[list[str]], report: Report) -> None:
    """A view's sound is the incident's voices, or the camera's own, in their order; some of it may be left out."""
    for view in views:
        shown = _Samples()
        try:
            shown.add(tree, view.path, SOUND)
            if not len(shown):
                continue
            for segments in sources:
                known = _Samples()
                for path in segments:
                    known.add(tree, path, SOUND)
                if _within(shown, known):
                    break
            else:
                report.accuse(view.path, "has sound that is in no segment of the export, or in another order")
        except (StoreError, OSError) as error:
            report.accuse(view.path, str(error))


def _within(shown: _Samples, known: _Samples) -> bool:
    """Whether every sample is in `known`, in the same order."""
    at, count = 0, len(known)
    for index in range(len(shown)):
        digest = shown.at(index)
        while at < count and known.at(at) != digest:
            at += 1
        if at == count:
            return False
        at += 1
    return True
