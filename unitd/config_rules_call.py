"""Contradictions in what the configuration says of the live call: endpoints, servers, its guard, its sound. Pure."""

import itertools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unitd.config_words import seen

if TYPE_CHECKING:
    from unitd.config import Config

Finding = tuple[str, str, str]
DEFAULT_WARNING_S = 300.0
HOST = re.compile(r"^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$|^[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+$")
_ICE = re.compile(
    r"stuns?:[A-Za-z0-9._\[\]:-]+|turns?:[A-Za-z0-9._\[\]:-]+(\?transport=(udp|tcp))?", re.ASCII
)  # RFC 7064, 7065


def call_contradictions(c: "Config") -> Iterator[Finding]:
    """Yield (key, value seen, remedy) for each."""
    yield from _endpoints(c)
    yield from _servers(c)
    yield from _guard(c)
    yield from _sound(c)


def host_problem(host: str) -> bool:
    """Whether `host` is no host name or address, alone or with a port."""
    return not HOST.match(re.sub(r":\d{1,5}$", "", host) if host.count(":") == 1 else host)


def _endpoints(c: "Config") -> Iterator[Finding]:
    for index, endpoint in enumerate(c.endpoints):
        at = f"endpoints[{index}]"
        if endpoint.kind == "duplex":
            for key in ("whep_url", "token_file"):
                if (value := getattr(endpoint, key)) is not None:
                    yield f"{at}.{key}", seen(value), 'a duplex endpoint has none: write kind = "whip_whep", or "none"'
        if endpoint.token_file is not None and not endpoint.token_file.startswith("/"):
            yield f"{at}.token_file", seen(endpoint.token_file), 'write a whole path, beginning with "/"'
    for index, host in enumerate(c.call.hosts):
        if host_problem(host):
            remedy = "write a host name or an address, or host:port, without https://"
            yield f"call.hosts[{index}]", seen(host), remedy


def _servers(c: "Config") -> Iterator[Finding]:
    for index, server in enumerate(c.ice_servers):
        at = f"ice_servers[{index}]"
        if not server.urls:
            yield f"{at}.urls", "saw none", "name at least one, such as turn:host:3478?transport=udp"
        for number, url in enumerate(server.urls):
            if not _ICE.fullmatch(url):
                remedy = "write stun:host:port, turn:host:port?transport=udp, ...=tcp, or turns:host:port"
                yield f"{at}.urls[{number}]", seen(url), remedy
        if server.password_file is not None and not server.password_file.startswith("/"):
            yield f"{at}.password_file", seen(server.password_file), 'write a whole path, beginning with "/"'
        if (server.password_file is None) != (not server.username):
            yield f"{at}.username", seen(server.username), "TURN wants username and password_file, STUN neither"


def _guard(c: "Config") -> Iterator[Finding]:
    close_s = c.incident.close_after_s
    # the default beside a short limit is no contradiction: operators are then told at once
    told_s = c.call.warn_before_close_s
    if close_s is not None and told_s >= close_s and told_s != DEFAULT_WARNING_S:
        yield (
            "call.warn_before_close_s",
            f"saw {told_s:g}",
            f"it must be below incident.close_after_s ({close_s:g})",
        )
    for index, answer in enumerate(c.call.quick_answers):
        if not 0 < len(answer) <= 60 or not answer.isprintable():
            yield (
                f"call.quick_answers[{index}]",
                seen(answer),
                "write 1 to 60 printable characters: it is a key's words",
            )


def _sound(c: "Config") -> Iterator[Finding]:
    if c.sound is None:
        return
    rising = ("quiet_dba", "talk_dba", "ceiling_dba", "horn_full_dba")
    for lower, higher in itertools.pairwise(rising):
        low, high = getattr(c.sound, lower), getattr(c.sound, higher)
        if low > high:
            yield f"sound.{lower}", f"saw {low:g}", f"it must not exceed {higher} ({high:g})"
    languages = (c.sound.language, *c.sound.more_languages)
    for index, language in enumerate(c.sound.more_languages):
        if language in languages[: index + 1]:
            yield f"sound.more_languages[{index}]", seen(language), "it is there already: name each language once"
    if not c.sound.site_dir.startswith("/"):
        yield "sound.site_dir", seen(c.sound.site_dir), 'write a whole path, beginning with "/"'
