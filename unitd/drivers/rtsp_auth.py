"""Basic and Digest credentials for RTSP (RFC 7617, RFC 7616, and RFC 2069 for cameras that name no qop). Pure."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass

_SCHEME = re.compile(r"(?i)(?:^|,)\s*(digest|basic)(?:\s+|$)")
_FIELD = re.compile(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))')
_ALGORITHMS = {"": "md5", "md5": "md5", "md5-sess": "md5", "sha-256": "sha256", "sha-256-sess": "sha256"}


@dataclass(frozen=True)
class Challenge:
    """One way in that a server offers."""

    scheme: str
    fields: dict[str, str]

    @property
    def nonce(self) -> str:
        return self.fields.get("nonce", "")

    @property
    def stale(self) -> bool:
        return self.fields.get("stale", "").lower() == "true"


def parse_challenges(header: str) -> list[Challenge]:
    """What we can answer, the best first: Digest (SHA-256, then MD5), then Basic. Never raises."""
    pieces = _SCHEME.split(header)[1:]
    found = []
    for scheme, rest in zip(pieces[::2], pieces[1::2], strict=False):
        fields = {name.lower(): quoted or plain for name, quoted, plain in _FIELD.findall(rest)}
        challenge = Challenge(scheme.lower(), fields)
        qop = [one.strip().lower() for one in fields.get("qop", "auth").split(",")]
        if challenge.scheme == "basic" or (
            challenge.nonce and "auth" in qop and fields.get("algorithm", "").lower() in _ALGORITHMS
        ):
            found.append(challenge)
    return sorted(found, key=_rank)


def authorization(challenge: Challenge, username: str, password: str, method: str, url: str, count: int) -> str:
    """The value of the Authorization header; `count` is how often this nonce has been used, this time included."""
    if challenge.scheme == "basic":
        return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
    fields = challenge.fields
    algorithm = fields.get("algorithm", "")

    def hashed(text: str) -> str:
        return hashlib.new(_ALGORITHMS[algorithm.lower()], text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce, mine = fields.get("realm", ""), challenge.nonce, secrets.token_hex(8)
    secret, what = hashed(f"{username}:{realm}:{password}"), hashed(f"{method}:{url}")
    if algorithm.lower().endswith("-sess"):
        secret = hashed(f"{secret}:{nonce}:{mine}")
    text = f'Digest username="{username}", realm="{realm}", nonce="{nonce}", uri="{url}"'
    if "qop" in fields:
        proof = hashed(f"{secret}:{nonce}:{count:08x}:{mine}:auth:{what}")
        text += f', qop=auth, nc={count:08x}, cnonce="{mine}"'
    else:
        proof = hashed(f"{secret}:{nonce}:{what}")
    if "opaque" in fields:
        text += f', opaque="{fields["opaque"]}"'
    return text + f', response="{proof}"' + (f", algorithm={algorithm}" if algorithm else "")


def _rank(challenge: Challenge) -> int:
    if challenge.scheme == "basic":
        return 2
    return 0 if challenge.fields.get("algorithm", "").lower().startswith("sha-256") else 1
