"""From what was seen, heard and sent in one case to its figures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from hw_sim.world.timecode import age_ms
from tests.bench.figures import percentile
from tests.live.cases import Case
from tests.live.forwarder import BIN_S
from tests.live.voice import Heard

FREEZE_S = 0.5
OVER_WINDOW_S = 10.0
LIVE_MS = 2000
"""A picture no older than this shows that the picture is back; the group in hand may come first."""
BACKLOG_S = 1.0
"""What is shown within this time of the first picture is the group that was in hand, old on purpose: no latency."""

Span = tuple[float, float]


@dataclass
class Figures:
    """Seconds are of the case (0 = the first picture). None: could not be measured, or there was nothing to measure."""

    case: str
    title: str
    seconds: float
    first_picture_s: float | None = None
    shown: int = 0
    stills: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    freezes: int = 0
    frozen_s: float = 0.0
    counted_frozen_s: float = 0.0
    """Without what the case forgives."""
    longest_gap_s: float = 0.0
    """Without any picture, stills included."""
    out_stoi: float | None = None
    out_gap_s: float = 0.0
    out_longest_gap_s: float = 0.0
    in_stoi: float | None = None
    in_gap_s: float = 0.0
    in_longest_gap_s: float = 0.0
    picture_back_s: float | None = None
    voice_back_s: float | None = None
    over_capacity: float | None = None
    sent_kbit_s: float = 0.0
    cpu_s_a_minute: float = 0.0
    peak_mb: float = 0.0
    steps: list[tuple[float, str]] = field(default_factory=list)
    browser: dict[str, float] = field(default_factory=dict)
    misses: list[str] = field(default_factory=list)
    series: dict[str, list[Any]] = field(default_factory=dict)
    stalled_s: float = 0.0
    """For so long the machine itself stood still: what this adds is not the call's."""


def figures(case: Case, raw: dict[str, Any], caller: Heard, operator: Heard) -> Figures:
    """`caller`: the caller's voice as the operator heard it; `operator`: the other way."""
    from_s, seconds = float(raw["from_s"]), float(raw["seconds"])
    made = Figures(case.name, case.title, seconds)
    frames = _distinct(raw["frames"], from_s, seconds)
    stills = [(at_s - from_s, code) for at_s, code, _ in raw["stills"] if 0 <= at_s - from_s <= seconds]
    if raw["frames"] or raw["stills"]:
        made.first_picture_s = from_s - float(raw["press_s"])
    made.shown, made.stills = len(frames), len(stills)
    ages = [_age(at_s + from_s, code) for at_s, code in frames if code is not None and at_s >= BACKLOG_S]
    if ages:
        made.p50_ms, made.p95_ms = percentile(ages, 50), percentile(ages, 95)
    gaps = _gaps([at_s for at_s, _ in frames], seconds)
    made.freezes, made.frozen_s = len(gaps), sum(end - begin for begin, end in gaps)
    made.counted_frozen_s = made.frozen_s - sum(_overlap(gap, case.forgiven_s) for gap in gaps)
    any_picture = _gaps(sorted([at_s for at_s, _ in frames] + [at_s for at_s, _ in stills]), seconds, 0.0)
    made.longest_gap_s = max((end - begin for begin, end in any_picture), default=seconds)
    out_gaps = _shift(caller.gaps, raw["heard_from_s"], from_s, seconds)
    in_gaps = _shift(operator.gaps, raw["horn_from_s"], from_s, seconds)
    made.out_stoi, made.in_stoi = caller.stoi, operator.stoi
    made.out_gap_s, made.out_longest_gap_s = _sum(out_gaps), _longest(out_gaps)
    made.in_gap_s, made.in_longest_gap_s = _sum(in_gaps), _longest(in_gaps)
    _back(case, made, frames, from_s, out_gaps + in_gaps)
    _bytes(case, made, raw)
    made.cpu_s_a_minute = float(raw["cpu_s"]) * 60 / seconds
    made.peak_mb = float(raw["peak_mb"])
    made.stalled_s = float(raw["link"]["stalled_s"])
    made.steps = _steps(raw, from_s)
    made.browser = _browser(raw["stats"])
    made.series = {
        "frames": [
            [round(at_s, 3), None if code is None else round(_age(at_s + from_s, code))] for at_s, code in frames
        ],
        "stills": [round(at_s, 2) for at_s, _ in stills],
        "freezes": [[round(begin, 2), round(end, 2)] for begin, end in gaps],
        "out_stoi": _points(caller, raw["heard_from_s"], from_s, seconds),
        "in_stoi": _points(operator, raw["horn_from_s"], from_s, seconds),
        "out_gaps": out_gaps,
        "in_gaps": in_gaps,
        **_rates(case, raw),
    }  # fmt: skip
    made.misses = _misses(case, made)
    return made


def as_json(made: Figures) -> dict[str, Any]:
    return asdict(made)


# --- the picture -----------------------------------------------------------------------------------------------------


def _distinct(frames: Sequence[Sequence[Any]], from_s: float, seconds: float) -> list[tuple[float, int | None]]:
    """Pictures shown within the case; the same picture painted twice is one."""
    kept: list[tuple[float, int | None]] = []
    for at_s, code, _ in frames:
        at = at_s - from_s
        if -0.001 <= at <= seconds and not (kept and code is not None and kept[-1][1] == code):
            kept.append((max(0.0, at), code))
    return kept


def _age(mono_s: float, code: int) -> float:
    return float(age_ms(code, int(mono_s * 1e9)))


def _gaps(times: Sequence[float], seconds: float, over_s: float = FREEZE_S) -> list[Span]:
    """Stretches without a picture that are longer than `over_s`, the last one to the end of the case."""
    ends = [0.0, *times, seconds]
    return [(a, b) for a, b in pairwise(ends) if b - a > over_s]


def _overlap(gap: Span, forgiven: Span | None) -> float:
    return 0.0 if forgiven is None else max(0.0, min(gap[1], forgiven[1]) - max(gap[0], forgiven[0]))


# --- the voice -------------------------------------------------------------------------------------------------------


def _shift(gaps: Sequence[Span], recorded_from_s: float | None, from_s: float, seconds: float) -> list[Span]:
    """Gaps of a recording in seconds of the case, within it; the first second is the voice's own start."""
    if recorded_from_s is None:
        return []
    by_s = recorded_from_s - from_s
    moved = [(begin + by_s, end + by_s) for begin, end in gaps]
    return [
        (round(max(begin, 1.0), 2), round(min(end, seconds), 2))
        for begin, end in moved
        if end > 1.0 and begin < seconds
    ]


def _points(heard: Heard, recorded_from_s: float | None, from_s: float, seconds: float) -> list[list[float]]:
    if recorded_from_s is None:
        return []
    by_s = recorded_from_s - from_s
    return [[round(at + by_s, 1), round(value, 3)] for at, value in heard.series if 0 <= at + by_s < seconds]


def _sum(gaps: Sequence[Span]) -> float:
    return sum(end - begin for begin, end in gaps)


def _longest(gaps: Sequence[Span]) -> float:
    return max((end - begin for begin, end in gaps), default=0.0)


def _back(
    case: Case, made: Figures, frames: Sequence[tuple[float, int | None]], from_s: float, gaps: Sequence[Span]
) -> None:
    """After the link came back, or moved: until a live picture, and until both voices."""
    if case.goal.picture_back_s is None:
        return
    restored_s = case.moments[-1].at_s
    live = [at_s for at_s, code in frames if code is not None and _age(at_s + from_s, code) < LIVE_MS]
    if live and live[-1] > restored_s:
        gone = [
            end - restored_s for begin, end in _gaps(live, made.seconds) if begin < restored_s + 1 and end > restored_s
        ]
        made.picture_back_s = max(gone, default=0.0)
    made.voice_back_s = max(
        (end - restored_s for begin, end in gaps if begin < restored_s + 1 and end > restored_s), default=0.0
    )


# --- the link --------------------------------------------------------------------------------------------------------


def _capacity(case: Case, at_s: float) -> float | None:
    """Bytes that the link up can carry in a bin at that second of the case; None: no limit."""
    shape = case.moments[0].up
    for moment in case.moments:
        if moment.at_s <= at_s:
            shape = moment.up
    if shape.kbit_s is None:
        return None
    return 0.0 if shape.cut else shape.kbit_s * 125 * BIN_S


def _own(raw: dict[str, Any]) -> list[int]:
    """Bytes that the unit offered in each bin, without a competing flow."""
    up = raw["link"]["up"]
    foreign = up["foreign"] + [0] * (len(up["offered"]) - len(up["foreign"]))
    return [offered - other for offered, other in zip(up["offered"], foreign, strict=True)]


def _case_bins(raw: dict[str, Any], series: list[int]) -> list[int]:
    first = int((float(raw["from_s"]) - float(raw["link"]["mono_s"])) / BIN_S)
    count = int(float(raw["seconds"]) / BIN_S)
    kept = series[first : first + count]
    return kept + [0] * (count - len(kept))


def _bytes(case: Case, made: Figures, raw: dict[str, Any]) -> None:
    """The worst OVER_WINDOW_S: bytes offered above the link's capacity, as a share of what the link carries when it is
    there. A shorter case is one window."""
    own = _case_bins(raw, _own(raw))
    made.sent_kbit_s = sum(own) * 8 / 1000 / made.seconds
    window = min(len(own), int(OVER_WINDOW_S / BIN_S))
    room = [_capacity(case, index * BIN_S) for index in range(len(own))]
    if window == 0 or any(each is None for each in room):
        return
    known = [each or 0.0 for each in room]
    nominal = max(known)
    worst = 0.0
    for begin in range(len(own) - window + 1):
        carried = sum(known[begin : begin + window])
        usual = carried if 0.0 not in known[begin : begin + window] else nominal * window
        worst = max(worst, (sum(own[begin : begin + window]) - carried) / usual)
    made.over_capacity = worst


def _rates(case: Case, raw: dict[str, Any]) -> dict[str, list[Any]]:
    """kbit/s in steps of half a second: what the unit offered, what the link could carry."""
    own = _case_bins(raw, _own(raw))
    together = 5
    sent = [sum(own[at : at + together]) * 8 / 1000 / (together * BIN_S) for at in range(0, len(own), together)]
    room = [_capacity(case, index * BIN_S) for index in range(0, len(own), together)]
    return {
        "sent_kbit_s": [round(each) for each in sent],
        "room_kbit_s": [None if each is None else round(each * 8 / 1000 / BIN_S) for each in room],
    }


# --- what the two ends say -------------------------------------------------------------------------------------------


def _steps(raw: dict[str, Any], from_s: float) -> list[tuple[float, str]]:
    """The ladder over time: as the console was told once a second, or as the unit logged it."""
    told = [(at_s - from_s, str(message["step"])) for at_s, message in raw["messages"] if message.get("type") == "link"]
    if not told:
        told = [(0.0, "main"), *((line["mono_ns"] / 1e9 - from_s, str(line["step"])) for line in raw["steps"])]
    kept: list[tuple[float, str]] = []
    for at_s, step in told:
        if not kept or kept[-1][1] != step:
            kept.append((round(at_s, 1), step))
    return kept


_SUMMED = {
    "video": ("freezeCount", "totalFreezesDuration", "framesDecoded", "framesDropped", "nackCount", "pliCount",
              "retransmittedPacketsReceived", "packetsLost", "packetsReceived"),
    "audio": ("concealedSamples", "silentConcealedSamples", "concealmentEvents", "totalSamplesReceived", "packetsLost",
              "jitterBufferDelay", "jitterBufferEmittedCount", "insertedSamplesForDeceleration",
              "removedSamplesForAcceleration"),
}  # fmt: skip


def _browser(stats: Sequence[Sequence[Any]]) -> dict[str, float]:
    """Chromium's own counters, summed over its sessions (a counter that falls has begun again)."""
    last: dict[str, float] = {}
    total: dict[str, float] = {}
    for _, reports in stats:
        for report in reports:
            if report["type"] != "inbound-rtp":
                continue
            for name in _SUMMED.get(str(report.get("kind")), ()):
                key = f"{report['kind']}.{name}"
                value = float(report.get(name, 0.0))
                before = last.get(key, 0.0)
                total[key] = total.get(key, 0.0) + (value - before if value >= before else value)
                last[key] = value
    return {key: round(value, 3) for key, value in total.items()}


def _misses(case: Case, made: Figures) -> list[str]:
    """Which goals were missed, in words."""
    goal, misses = case.goal, []

    def most(what: str, value: float | None, ceiling: float | None, unit: str) -> None:
        if ceiling is not None and (value is None or value > ceiling):
            misses.append(f"{what} {'none' if value is None else f'{value:.3g} {unit}'.strip()}, at most {ceiling:g}")

    most("p95", made.p95_ms, goal.p95_ms, "ms")
    most("freezes", made.freezes, goal.freezes, "")
    most("frozen", made.counted_frozen_s, goal.frozen_s, "s")
    most("longest without picture", made.longest_gap_s, goal.longest_gap_s, "s")
    most("picture back after", made.picture_back_s, goal.picture_back_s, "s")
    most("voice back after", made.voice_back_s, goal.voice_back_s, "s")
    if made.over_capacity is not None:
        most("bytes above capacity", 100 * made.over_capacity, 10.0, "%")
    if goal.voice_stoi is not None:
        for which, value in (("caller's", made.out_stoi), ("operator's", made.in_stoi)):
            if value is None or value < goal.voice_stoi:
                misses.append(
                    f"{which} voice {'none' if value is None else f'{value:.3f}'}, at least {goal.voice_stoi}"
                )
    return misses
