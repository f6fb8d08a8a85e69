"""A link in plain words, for the operator."""

from unitd.messages.duplex import Step

WORDS: dict[Step, str] = {
    "main": "good",
    "sub": "fair: small picture",
    "low": "weak: small, coarse picture",
    "stills": "very weak: still pictures",
    "voice": "very weak: voice only",
}


def words_for(step: Step, is_silent: bool) -> str:
    return "no answer from the pole's link" if is_silent else WORDS[step]
