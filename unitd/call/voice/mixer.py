"""What the horn plays, frame by frame: prompts under the operator's voice under warnings.

Pure but for its inputs: `frame()` runs on the sound card's callback thread and never blocks for long; everything else
may be called from the loop. The sums are in C (native/sound.c).
"""

import ctypes
import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from unitd.call.voice.pcm import FRAME_SAMPLES, RATE_HZ, SILENCE
from unitd.call.voice.playout import Playout
from unitd.call.voice.samples import Samples, SoundSums

I16 = npt.NDArray[np.int16]

PROMPT_PERIOD_S = 8.0
"""A prompt is said again this long after it began."""
PROMPT_UNDER_VOICE = 0.1
VOICE_UNDER_WARNING = 0.2
VOICE_HEARD_LEVEL = 300
"""Peak from which the far end counts as speaking: well above comfort noise, well below speech."""
VOICE_HOLD_FRAMES = 40
RAMP_PER_FRAME = 0.15
"""Gains move by at most this in 20 ms: no clicks, and ducked within about 120 ms."""


class Mixer:
    """Takes levels (which prompt, whether voices are open) and gives frames. See the module for threads."""

    def __init__(self, clip: Callable[[str], I16 | None], on_warning_played: Callable[[int, str], None]) -> None:
        self._clip = clip
        self._on_warning_played = on_warning_played
        self._lock = threading.Lock()
        self._voices: dict[str, Playout] = {}
        self._voices_open = False
        self._prompt_name: str | None = None
        self._prompt: I16 | None = None
        self._prompt_at = 0
        self._warning: tuple[int, str, I16] | None = None
        self._warning_at = 0
        self._voice_hold = 0
        self._prompt_gain = 1.0
        self._voice_gain = 1.0
        self._sums = SoundSums()
        self._mix = Samples(FRAME_SAMPLES)
        self._mixed = ctypes.create_string_buffer(len(SILENCE))
        self._mixed_at = ctypes.addressof(self._mixed)
        self.clipped_frames = 0

    # --- levels -----------------------------------------------------------------------------------------------------

    def set_prompt(self, name: str | None) -> None:
        """Say `name` now and again and again, or (None, or a name that has no clip) nothing."""
        with self._lock:
            if name == self._prompt_name:
                return
            self._prompt_name = name
            self._prompt = self._clip(name) if name is not None else None
            self._prompt_at = 0

    def play_warning(self, number: int, name: str, samples: I16) -> None:
        """Play a warning once, over everything else; it replaces one that is playing."""
        with self._lock:
            self._warning = (number, name, samples)
            self._warning_at = 0

    @property
    def warns(self) -> bool:
        """Whether a warning is playing."""
        return self._warning is not None

    def open_voices(self, is_open: bool) -> None:
        """Let the operators' voices reach the horn, or not: while shut, what arrives is thrown away."""
        with self._lock:
            self._voices_open = is_open
            for playout in self._voices.values():
                playout.gate(is_open)

    def voice_of(self, peer: str) -> Playout:
        """Where a peer's sound goes; thread-safe. Ended by `forget`."""
        with self._lock:
            playout = self._voices[peer] = Playout(is_open=self._voices_open)
        return playout

    def forget(self, peer: str, voice: object = None) -> None:
        """End a peer's sound; with `voice` only when it is still this one, and no newer session's."""
        with self._lock:
            if voice is None or self._voices.get(peer) is voice:
                self._voices.pop(peer, None)

    def voice_facts(self) -> dict[str, int]:
        """What is in hand of the operators' voices (the most, ms), and how often one ran dry in this call."""
        with self._lock:
            voices = list(self._voices.values())
        in_hand_s = max((each.delay_s for each in voices), default=0.0)
        return {"voice.in_hand_ms": round(1000 * in_hand_s), "voice.gaps": sum(each.gaps for each in voices)}

    # --- sound ------------------------------------------------------------------------------------------------------

    def frame(self) -> bytes:
        """The next 20 ms for the horn."""
        with self._lock:
            voices = self._voice_frames()
            warning = self._warning_frame()
            prompt = self._prompt_frame()
            self._prompt_gain = _towards(self._prompt_gain, self._wanted_prompt_gain(warning is not None))
            self._voice_gain = _towards(self._voice_gain, VOICE_UNDER_WARNING if warning is not None else 1.0)
        parts = [(voice, self._voice_gain) for voice in voices]
        if prompt is not None:
            parts.append((prompt, self._prompt_gain))
        if warning is not None:
            parts.append((warning, 1.0))
        if not parts:
            return SILENCE
        if len(parts) == 1 and parts[0][1] == 1.0 and len(parts[0][0]) == len(SILENCE):
            return parts[0][0]
        self._mix.all.fill(0)
        for pcm, gain in parts:
            self._sums.add(self._mix.at, pcm, len(pcm) // 2, gain)
        self.clipped_frames += self._sums.mixed(self._mix.at, self._mixed_at, FRAME_SAMPLES)
        return self._mixed.raw

    def _wanted_prompt_gain(self, warns: bool) -> float:
        if warns:
            return 0.0
        return PROMPT_UNDER_VOICE if self._voice_hold > 0 else 1.0

    def _voice_frames(self) -> list[bytes]:
        self._voice_hold = max(0, self._voice_hold - 1)
        frames = []
        for playout in self._voices.values():
            pcm = playout.take()
            if pcm is None or not self._voices_open:
                continue
            if self._sums.peak(pcm, len(pcm) // 2) > VOICE_HEARD_LEVEL:
                self._voice_hold = VOICE_HOLD_FRAMES
            frames.append(pcm)
        return frames

    def _warning_frame(self) -> bytes | None:
        if self._warning is None:
            return None
        number, name, samples = self._warning
        piece = samples[self._warning_at : self._warning_at + FRAME_SAMPLES]
        self._warning_at += FRAME_SAMPLES
        if self._warning_at >= len(samples):
            self._warning = None
            self._on_warning_played(number, name)
        return piece.astype(np.int16, copy=False).tobytes()

    def _prompt_frame(self) -> bytes | None:
        if self._prompt is None:
            return None
        piece = self._prompt[self._prompt_at : self._prompt_at + FRAME_SAMPLES]
        self._prompt_at += FRAME_SAMPLES
        if self._prompt_at >= max(len(self._prompt), int(PROMPT_PERIOD_S * RATE_HZ)):
            self._prompt_at = 0
        return piece.astype(np.int16, copy=False).tobytes()


def _towards(now: float, wanted: float) -> float:
    return min(wanted, now + RAMP_PER_FRAME) if wanted > now else max(wanted, now - RAMP_PER_FRAME)
