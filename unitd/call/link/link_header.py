"""ICE servers in the `Link` headers of a WHIP or WHEP answer (RFC 9725, 4.6; RFC 8288). Pure."""

import re

from unitd.messages.duplex import IceServer

MOST_LINKS = 8
MOST_CHARACTERS = 2048

_LINK = re.compile(
    r'<([^<>]{1,512})>((?:\s*;\s*[!#$%&\'*+.^_`|~0-9A-Za-z-]{1,64}(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s",;]*))?)*)'
)
_PARAMETER = re.compile(r';\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]{1,64})(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*)))?')


def ice_servers_in(values: list[str]) -> tuple[IceServer, ...]:
    """The servers of relation `ice-server`, MOST_LINKS at most; whatever cannot be read is left out. Never raises."""
    found: list[IceServer] = []
    for value in values[:MOST_LINKS]:
        for link in _LINK.finditer(value[:MOST_CHARACTERS]):
            named = {match[1].lower(): _plain(match) for match in _PARAMETER.finditer(link[2])}
            if named.get("rel", "").lower().split() != ["ice-server"]:
                continue
            if named.get("credential-type", "password").lower() != "password":
                continue
            username, credential = named.get("username", ""), named.get("credential", "")
            if len(username) <= 512 and len(credential) <= 512:
                found.append(IceServer(urls=(link[1].strip(),), username=username, credential=credential))
    return tuple(found[:MOST_LINKS])


def _plain(match: re.Match[str]) -> str:
    return re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else (match[3] or "")
