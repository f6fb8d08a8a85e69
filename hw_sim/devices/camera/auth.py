"""Who may look: HTTP Basic and Digest (RFC 2617, MD5, without qop as cameras of this kind do)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets

REALM = "hw_sim camera"
_PARAMETER = re.compile(r'(\w+)="?([^",]*)"?')


class Gate:
    """Checks Authorization headers; lets everybody in when made without credentials."""

    def __init__(self, user: str | None, password: str = "") -> None:
        self._user, self._password = user, password
        self._nonce = secrets.token_hex(16)

    def challenges(self) -> str:
        """The WWW-Authenticate header."""
        return f'Digest realm="{REALM}", nonce="{self._nonce}"'

    def admits(self, method: str, header: str | None) -> bool:
        """Whether a request with this Authorization header may go on."""
        if self._user is None:
            return True
        kind, _, rest = (header or "").partition(" ")
        if kind.lower() == "basic":
            try:
                given = base64.b64decode(rest, validate=True)
            except binascii.Error:
                return False
            return hmac.compare_digest(given, f"{self._user}:{self._password}".encode())
        if kind.lower() == "digest":
            return self._digest_right(method, rest)
        return False

    def _digest_right(self, method: str, rest: str) -> bool:
        values = {name.lower(): value for name, value in _PARAMETER.findall(rest)}
        if values.get("nonce") != self._nonce or values.get("username") != self._user:
            return False
        ha1 = _md5(f"{self._user}:{REALM}:{self._password}")
        ha2 = _md5(f"{method}:{values.get('uri', '')}")
        expected = _md5(f"{ha1}:{self._nonce}:{ha2}")
        return hmac.compare_digest(expected, values.get("response", "").lower())


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
