"""What the panel's display says of each stage, in the language that the daemon names: the prompts' own words, where the
product has them, so that nobody reads something else than the horn says."""

import tomllib
from functools import cache
from importlib import resources

PROMPTS = {
    "raised": "calling",
    "sent": "calling",
    "received": "received",
    "accepted": "received",
    "answered": "received",
    "closing": "ended",
    "closed": "ended",
}
CONNECTED = {
    "answered": {
        "cy": "Mae gweithredwr gyda chi. Siaradwch, neu teipiwch yma.",
        "de": "Die Leitstelle ist für Sie da. Sprechen Sie, oder schreiben Sie hier.",
        "en": "An operator is with you. Talk, or type here.",
        "es": "Un operador está con usted. Hable o escriba aquí.",
        "fr": "Un opérateur est avec vous. Parlez ou écrivez ici.",
        "pl": "Operator jest z Tobą. Mów albo pisz tutaj.",
        "ro": "Un operator este cu dumneavoastră. Vorbiți sau scrieți aici.",
        "ur": "آپریٹر آپ کے ساتھ ہے۔ بات کریں، یا یہاں لکھیں۔",
    }
}
"""There is no prompt of an answered call: the operator speaks. Not yet read by native speakers, as all words."""


def stage_words(stage: str, language: str) -> str:
    """One or two short sentences; English where the language has none, "" for no stage. Blocks the first time."""
    own = CONNECTED.get(stage, {}).get(language)
    return own or _prompts(language).get(PROMPTS.get(stage, ""), "") or _prompts("en").get(PROMPTS.get(stage, ""), "")


@cache
def _prompts(language: str) -> dict[str, str]:
    if not (len(language) == 2 and language.isascii() and language.isalpha()):
        return {}
    file = resources.files("unitd") / "call" / "words" / f"{language}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8")).get("prompts", {}) if file.is_file() else {}
