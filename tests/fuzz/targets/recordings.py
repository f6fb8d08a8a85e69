"""Sound files that are not ours: a site's own recordings, and what a speech engine gives for speech."""

from __future__ import annotations

from tests.fuzz.target import Target, registry
from tests.fuzz.targets.stored import PLACE
from unitd.call.voice.clips import Library
from unitd.call.voice.pcm import RATE_HZ
from unitd.call.voice.speech import SpeechError, plain, ready

WORDS = (
    b"RIFF",
    b"WAVE",
    b"fmt ",
    b"data",
    b"LIST",
    b"\x01\x00",
    b"\xfe\xff",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
)
SITE = PLACE / "recordings"
FILE = SITE / "warnings" / "en" / "site_warning.wav"


def site_recording(data: bytes) -> None:
    """Played, or told of; never an exception, and no minute becomes an hour."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_bytes(data)
    library = Library(("en",), str(SITE))
    samples = library.warning("site_warning")
    assert (samples is None) == bool(library.problems)
    assert samples is None or 0 < len(samples) <= 61 * RATE_HZ


def speech(data: bytes) -> None:
    """What came of the engine is sound, or said to be none."""
    plain(data.decode("utf-8", "replace"))
    try:
        samples = ready(data, RATE_HZ)
    except SpeechError as error:
        assert str(error)
    else:
        assert len(samples) <= 6 * len(data) + RATE_HZ


TARGETS = registry(
    Target("site-recording", site_recording, WORDS, share=0.3),
    Target("speech", speech, WORDS, share=0.3),
)
