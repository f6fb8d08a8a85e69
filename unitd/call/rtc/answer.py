"""A console's answer and candidates, read here before GStreamer sees a byte of them. Pure.

webrtcbin trusts what it is given: an answer with a media line too few, an unknown codec or half a fingerprint has
ended processes elsewhere. So an answer is taken apart, and what goes on is written anew from the parts that are known:
an unknown line cannot hurt, and what is left is what the unit offered.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from unitd.call.congestion.twcc import EXTENSION_ID, URI
from unitd.call.rtc import playout_delay
from unitd.errors import WireError
from unitd.messages.duplex import MAX_CANDIDATE_BYTES, MAX_SDP_BYTES

MAX_LINES = 1000
MAX_LINE_BYTES = 2048
MAX_CANDIDATES = 40
"""Of one session; a console has a handful for each network interface."""

PICTURE_PAYLOAD = 96
PIP_PAYLOAD = 98
VOICE_PAYLOAD = 97
KINDS = ("video", "audio")
CODECS = {"video": (PICTURE_PAYLOAD, "h264/90000"), "audio": (VOICE_PAYLOAD, "opus/48000/2")}
DIRECTIONS = {"video": ("recvonly", "inactive"), "audio": ("sendrecv", "sendonly", "recvonly", "inactive")}
DIGEST_BYTES = {"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}

DATA = "application"
"""The kind of the section that carries the data channels, offered after all others. A far end may do without."""
DATA_LINE = "UDP/DTLS/SCTP webrtc-datachannel"
DATA_PROTOCOLS = ("UDP/DTLS/SCTP", "DTLS/SCTP")
MAX_DATA_MESSAGE_BYTES = 65536

ICE_TEXT = re.compile(r"[A-Za-z0-9+/=_-]{4,256}")  # `=` and the like: seen from several makers
MID = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,32}")
FMTP = re.compile(r"[A-Za-z0-9=;.,:/ _+-]{1,400}")
FEEDBACK = ("nack", "nack pli", "ccm fir", "transport-cc")
MDNS_NAME = re.compile(r"[0-9A-Za-z-]{1,63}\.local")
CANDIDATE = re.compile(
    r"candidate:[A-Za-z0-9+/]{1,32} [12] (?i:udp) \d{1,10} (\S{1,64}) (\d{1,5}) typ (?:host|srflx|prflx|relay)"
    r"(?: raddr \S{1,64} rport \d{1,5})?(?: [A-Za-z0-9-]{1,32} [A-Za-z0-9+/=._-]{1,256}){0,8}"
)


@dataclass
class _Media:
    """One m-line and what stands under it."""

    kind: str
    port: int
    protocol: str
    payloads: list[int]
    lines: list[tuple[str, str]] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        return [value for found, value in self.lines if found == name]


@dataclass(frozen=True)
class ReadAnswer:
    """`sdp` is safe to hand to webrtcbin. Its `candidates` are not in it: (line, candidate), to be added one by one."""

    sdp: str
    candidates: tuple[tuple[int, str], ...]
    has_pip: bool = False
    """The second picture track was offered, and accepted."""
    has_feedback: bool = False
    """The picture's packets will be reported one by one (transport-wide feedback)."""
    shows_at_once: bool = False
    """The far end can be told not to hold pictures back."""


def read_answer(sdp: str, mids: tuple[str, ...] | None = None, hears: bool = True, pip: bool = False) -> ReadAnswer:
    """The answer in its known parts. Raises WireError, and nothing else, with the reason why it cannot be taken.

    An answer needs both media accepted, in the order offered, with the payload types of the offer. `mids` are those of
    the offer, when known. Data channels that were offered may be rejected, or not be answered at all. Without `hears`
    voice was offered one way, whatever the answer makes of it. With `pip` a second picture was offered behind them,
    which may be rejected, or not be answered at all.
    """
    session, medias = _take_apart(sdp, len(KINDS) + pip)
    data = medias.pop() if medias and medias[-1].kind == DATA else None
    offered = len(KINDS) + pip
    data_mid = mids[offered] if mids is not None and len(mids) > offered else None
    pip_mid = mids[len(KINDS)] if pip and mids is not None and len(mids) > len(KINDS) else None
    mids = mids[: len(KINDS)] if mids is not None else None
    second = medias.pop() if pip and [media.kind for media in medias] == [*KINDS, "video"] else None
    if [media.kind for media in medias] != list(KINDS):
        raise WireError(f"answer has media {[media.kind for media in medias]}, {list(KINDS)} were offered")
    for media in medias:
        _judge(media)
    found_mids = [_one(media, "mid", MID) for media in medias]
    if len(set(found_mids)) != len(found_mids) or (mids is not None and tuple(found_mids) != mids):
        raise WireError(f"answer has mids {found_mids}, {mids} were offered")
    has_data = _judge_data(data, data_mid)
    has_pip = _judge_pip(second, pip_mid)
    bundled = [value.split()[1:] for name, value in session.lines if name == "group" and value.startswith("BUNDLE ")]
    for mid, is_taken in ((pip_mid, has_pip), (data_mid, has_data)):
        if is_taken and mid is not None:
            found_mids.append(mid)
        elif mid is not None:  # some name what they have rejected
            bundled = [[each for each in group if each != mid] for group in bundled]
    if bundled != [found_mids]:
        raise WireError("answer does not bundle both media")
    out = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(found_mids)}"]
    candidates: list[tuple[int, str]] = []
    for index, (media, mid) in enumerate(zip(medias, found_mids, strict=False)):
        out += _written(session, media, mid, hears)
        candidates += [(index, text) for text in map(read_candidate, _raw_candidates(media)) if text is not None]
    if pip_mid is not None:
        # A section that was rejected has the transport of another: webrtcbin wants a fingerprint of every one.
        taken = second if has_pip and second is not None else medias[0]
        out += _written(session, taken, pip_mid, hears, PIP_PAYLOAD if has_pip else None)
    if data_mid is not None:
        out += _written_data(session, data if has_data and data is not None else medias[0], data_mid)
    return ReadAnswer(
        "\r\n".join(out) + "\r\n",
        tuple(candidates[:MAX_CANDIDATES]),
        has_pip,
        _has_feedback(medias[0]),
        takes_extension(medias[0].values("extmap"), playout_delay.EXTENSION_ID, playout_delay.URI),
    )


def read_voice_answer(sdp: str, mids: tuple[str, ...]) -> ReadAnswer:
    """The answer to an offer to hear one voice and nothing else, as `read_answer`."""
    session, medias = _take_apart(sdp)
    if [media.kind for media in medias] != ["audio"]:
        raise WireError(f"answer has media {[media.kind for media in medias]}, ['audio'] were offered")
    voice = medias[0]
    _judge(voice)
    mid = _one(voice, "mid", MID)
    if (mid,) != mids:
        raise WireError(f"answer has mid {mid!r}, {mids} were offered")
    out = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {mid}"]
    out += _written(session, voice, mid, hears=True)
    found = [text for text in map(read_candidate, _raw_candidates(voice)) if text is not None]
    return ReadAnswer("\r\n".join(out) + "\r\n", tuple((0, text) for text in found[:MAX_CANDIDATES]))


def read_candidate(text: str) -> str | None:
    """The candidate when it is one that can be used (UDP, an address or a browser's .local name); None for all else."""
    text = text.strip().removeprefix("a=")
    match = CANDIDATE.fullmatch(text) if len(text) <= MAX_CANDIDATE_BYTES and text.isascii() else None
    if match is None or not 0 < int(match[2]) < 65536:
        return None
    if MDNS_NAME.fullmatch(match[1]):
        return text
    try:
        address = ipaddress.ip_address(match[1])
    except ValueError:
        return None  # a host name: nobody makes this unit look up names
    return None if address.is_multicast or address.is_unspecified else text


def _take_apart(sdp: str, most: int = len(KINDS)) -> tuple[_Media, list[_Media]]:
    if len(sdp) > MAX_SDP_BYTES or not sdp.isascii():
        raise WireError("answer is too long or not ASCII")
    lines = sdp.replace("\r\n", "\n").rstrip("\n").split("\n")
    if len(lines) > MAX_LINES or lines[0] != "v=0":
        raise WireError("answer is no session description")
    session = _Media("", 0, "", [])
    medias: list[_Media] = []
    for line in lines:
        if len(line) > MAX_LINE_BYTES or not line.isprintable() or line[1:2] != "=":
            raise WireError(f"answer has a line that is none: {line[:40]!r}")
        if line.startswith("m="):
            medias.append(_media(line))
            if len(medias) > most + (medias[-1].kind == DATA):
                raise WireError("answer has more media than were offered")
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            (medias[-1] if medias else session).lines.append((name, value))
    return session, medias


def _media(line: str) -> _Media:
    if line.startswith(f"m={DATA} "):
        return _data_media(line)
    match = re.fullmatch(r"m=([a-z]{1,16}) (\d{1,5}) ([A-Z/]{1,32})((?: \d{1,3}){1,64})", line)
    if match is None:
        raise WireError(f"answer has a media line that cannot be read: {line[:60]!r}")
    return _Media(match[1], int(match[2]), match[3], [int(number) for number in match[4].split()])


def _data_media(line: str) -> _Media:
    match = re.fullmatch(rf"m={DATA} (\d{{1,5}}) ([A-Z/]{{1,32}}) [a-z0-9-]{{1,32}}", line)
    if match is None:
        raise WireError(f"answer has a media line that cannot be read: {line[:60]!r}")
    is_ours = line.endswith(" webrtc-datachannel") and match[2] in DATA_PROTOCOLS
    return _Media(DATA, int(match[1]), DATA_LINE if is_ours else match[2], [])


def _judge_data(data: _Media | None, mid: str | None) -> bool:
    """Whether the data channels were accepted. Raises WireError when they were not offered, or under another name."""
    if data is None:
        return False
    if mid is None:
        raise WireError("answer has data channels, which were not offered")
    if data.values("mid")[:1] not in ([mid], []) or (data.port == 0 and "bundle-only" not in dict(data.lines)):
        return False
    return data.protocol == DATA_LINE and data.values("mid")[:1] == [mid]


def _judge_pip(second: _Media | None, mid: str | None) -> bool:
    """Whether the second picture was accepted. Raises WireError when it is another than was offered."""
    if second is None or mid is None or (second.port == 0 and "bundle-only" not in dict(second.lines)):
        return False
    _judge(second, PIP_PAYLOAD)
    if second.values("mid")[:1] != [mid]:
        raise WireError(f"answer has mid {second.values('mid')[:1]} for the second picture, {mid!r} was offered")
    return True


def _judge(media: _Media, payload: int | None = None) -> None:
    """Raises WireError unless this is what was offered, accepted."""
    usual, codec = CODECS[media.kind]
    payload = payload or usual
    if media.port == 0 and "bundle-only" not in dict(media.lines):
        raise WireError(f"answer rejects {media.kind}")
    if media.protocol not in ("UDP/TLS/RTP/SAVPF", "RTP/SAVPF"):
        raise WireError(f"answer has {media.kind} over {media.protocol}")
    maps = [value.lower().rstrip() for value in media.values("rtpmap")]
    if payload not in media.payloads or f"{payload} {codec}" not in maps:
        raise WireError(f"answer has no {codec} as payload {payload}")


def _one(media: _Media, name: str, form: re.Pattern[str], session: _Media | None = None) -> str:
    """The value of an attribute that has to be there (of the session, when the media has none)."""
    values = media.values(name) or (session.values(name) if session is not None else [])
    if not values or form.fullmatch(values[0]) is None:
        raise WireError(f"answer has no usable {name} for {media.kind}")
    return values[0]


def _fingerprint(session: _Media, media: _Media) -> str:
    for value in media.values("fingerprint") or session.values("fingerprint"):
        algorithm, _, digest = value.partition(" ")
        size = DIGEST_BYTES.get(algorithm.lower())
        if size is not None and re.fullmatch(f"[0-9A-Fa-f]{{2}}(?::[0-9A-Fa-f]{{2}}){{{size - 1}}}", digest):
            return f"{algorithm.lower()} {digest.upper()}"
    raise WireError(f"answer has no usable fingerprint for {media.kind}")


def _written(session: _Media, media: _Media, mid: str, hears: bool, payload: int | None = 0) -> Iterator[str]:
    """The lines of one media, anew. `payload`: its own, when it is not the usual one; None: it is rejected."""
    is_rejected = payload is None
    payload = payload or CODECS[media.kind][0]
    directions = [name for name, _ in media.lines + session.lines if name in ("sendrecv", *DIRECTIONS[media.kind])]
    direction = directions[0] if directions else "sendrecv"
    if direction not in DIRECTIONS[media.kind]:
        raise WireError(f"answer wants to send {media.kind}, which was not offered")
    if not hears and media.kind == "audio":
        direction = "recvonly" if direction in ("sendrecv", "recvonly") else "inactive"
    setup = _one(media, "setup", re.compile("active|passive"), session)
    if is_rejected:
        direction = "inactive"
    resent = [number for number in media.payloads if _resends(media, number, payload)][:1]
    yield f"m={media.kind} {0 if is_rejected else 9} UDP/TLS/RTP/SAVPF {' '.join(map(str, [payload, *resent]))}"
    yield from ("c=IN IP4 0.0.0.0", f"a=mid:{mid}", f"a={direction}", f"a=setup:{setup}", "a=rtcp-mux")
    if media.values("rtcp-rsize"):
        yield "a=rtcp-rsize"
    yield f"a=ice-ufrag:{_one(media, 'ice-ufrag', ICE_TEXT, session)}"
    yield f"a=ice-pwd:{_one(media, 'ice-pwd', ICE_TEXT, session)}"
    yield f"a=fingerprint:{_fingerprint(session, media)}"
    yield f"a=rtpmap:{payload} {'H264/90000' if media.kind == 'video' else 'OPUS/48000/2'}"
    for value in media.values("fmtp"):
        if value.startswith(f"{payload} ") and FMTP.fullmatch(value):
            yield f"a=fmtp:{value}"
            break
    for number in resent:
        yield from (f"a=rtpmap:{number} rtx/90000", f"a=fmtp:{number} apt={payload}")
    if _has_feedback(media, payload):
        yield f"a=extmap:{EXTENSION_ID} {URI}"
    asked = media.values("rtcp-fb")
    yield from (f"a=rtcp-fb:{payload} {kind}" for kind in FEEDBACK if {f"{payload} {kind}", f"* {kind}"} & set(asked))


def _written_data(session: _Media, data: _Media, mid: str) -> Iterator[str]:
    """The lines of the data channels, anew. Those that were rejected have the transport of another media: webrtcbin
    wants a fingerprint of every section."""
    port = next((value for value in data.values("sctp-port") if re.fullmatch(r"\d{1,5}", value)), "5000")
    yield f"m={DATA} {9 if data.kind == DATA else 0} {DATA_LINE}"
    yield from ("c=IN IP4 0.0.0.0", f"a=mid:{mid}", f"a=sctp-port:{port}")
    yield f"a=max-message-size:{MAX_DATA_MESSAGE_BYTES}"
    yield f"a=setup:{_one(data, 'setup', re.compile('active|passive'), session)}"
    yield f"a=ice-ufrag:{_one(data, 'ice-ufrag', ICE_TEXT, session)}"
    yield f"a=ice-pwd:{_one(data, 'ice-pwd', ICE_TEXT, session)}"
    yield f"a=fingerprint:{_fingerprint(session, data)}"


def _resends(media: _Media, number: int, payload: int) -> bool:
    maps = [value.lower() for value in media.values("rtpmap")]
    return f"{number} rtx/90000" in maps and any(
        value.replace(" ", "").startswith(f"{number}apt={payload}") for value in media.values("fmtp")
    )


def takes_extension(extmaps: list[str], number: int, uri: str) -> bool:
    """Whether the far end takes a header extension as it was offered; `extmaps` are the values of its answer's lines
    (RFC 8285, 5)."""
    named = [value.split() for value in extmaps]
    return any(each[0].split("/")[0] == str(number) and each[1] == uri for each in named if len(each) > 1)


def _has_feedback(media: _Media, payload: int = PICTURE_PAYLOAD) -> bool:
    """Whether the far end takes the packets' numbers as they were offered, and will report them."""
    is_numbered = takes_extension(media.values("extmap"), EXTENSION_ID, URI)
    return is_numbered and bool({f"{payload} transport-cc", "* transport-cc"} & set(media.values("rtcp-fb")))


def _raw_candidates(media: _Media) -> list[str]:
    return [f"candidate:{value}" for value in media.values("candidate")]
