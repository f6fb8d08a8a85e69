"""The table for docs/benchmarks.md and a page with a graph for each case. Pure."""

from __future__ import annotations

import html
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

WIDTH, HEIGHT, LEFT = 900, 64, 70
STEP_SHADES = {"main": "#2c7a3f", "sub": "#7ab648", "low": "#e0a800", "stills": "#e06c00", "voice": "#b3261e"}
LATE_MS = 1000
HEADINGS = (
    "link", "shown", "freezes (s)", "longest gap", "p50 / p95 ms", "first", "voice out / in STOI", "gaps out / in s",
    "over capacity", "back: picture / voice", "CPU s a minute, MB", "machine stalled", "steps",
)  # fmt: skip

Results = Mapping[str, Mapping[str, Any]]


def markdown(results: Results) -> str:
    """One line a case; figures in the order of HEADINGS."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    lines += ["| " + " | ".join(_cells(key, result)) + " |" for key, result in results.items()]
    return "\n".join(lines) + "\n"


def _cells(key: str, r: Mapping[str, Any]) -> list[str]:
    if r.get("error"):
        return [_title(key, r), f"could not be played: {r['error']}"] + [""] * (len(HEADINGS) - 2)
    stills = f" + {r['stills']} stills" if r["stills"] else ""
    forgiven = f", {r['counted_frozen_s']:.1f} counted" if r["counted_frozen_s"] < r["frozen_s"] - 0.05 else ""
    back = ""
    if r["voice_back_s"] is not None:
        back = f"{_number(r['picture_back_s'], 1)} / {_number(r['voice_back_s'], 1)} s"
    return [
        _title(key, r),
        f"{r['shown']}{stills}",
        f"{r['freezes']} ({r['frozen_s']:.1f}{forgiven})",
        f"{r['longest_gap_s']:.1f} s",
        f"{_number(r['p50_ms'])} / {_number(r['p95_ms'])}",
        f"{_number(r['first_picture_s'], 2)} s",
        f"{_number(r['out_stoi'], 2)} / {_number(r['in_stoi'], 2)}",
        f"{r['out_gap_s']:.1f} / {r['in_gap_s']:.1f}",
        "" if r["over_capacity"] is None else f"{100 * max(0.0, r['over_capacity']):.0f} %",
        back,
        f"{r['cpu_s_a_minute']:.1f}, {r['peak_mb']:.0f}",
        f"{r['stalled_s']:.1f} s",
        _ladder(r["steps"]),
    ]


def _title(key: str, r: Mapping[str, Any]) -> str:
    return str(r.get("title", key)) + (", controller off" if key.endswith("/off") else "")


def _number(value: float | None, digits: int = 0) -> str:
    return "none" if value is None else f"{value:.{digits}f}"


def _ladder(steps: list[tuple[float, str]]) -> str:
    shown = [f"{step} {at:.0f}" if at > 0.5 else step for at, step in steps]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")


# --- the page --------------------------------------------------------------------------------------------------------

STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 1000px; color: #1b1b1b }
h2 { margin: 2em 0 .2em; font-size: 1.15em } .miss { color: #b3261e } .ok { color: #2c7a3f }
svg { display: block; background: #fafafa; border-bottom: 1px solid #ddd } text { font-size: 11px; fill: #555 }
dl { display: flex; flex-wrap: wrap; gap: .2em 1.6em; margin: .3em 0 } dl div { display: flex }
dt { color: #666 } dd { margin: 0 1em 0 .4em; font-weight: 600 }
.key span { display: inline-block; width: .9em; height: .9em; margin: 0 .3em 0 1em; vertical-align: -1px }
"""


def page(results: Results, machine: str) -> str:
    """The whole report as one file of HTML without any other."""
    key = "".join(f'<span style="background:{shade}"></span>{step}' for step, shade in STEP_SHADES.items())
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Live calls on bad links</title>",
        f"<style>{STYLE}</style><h1>Live calls on bad links</h1><p>{html.escape(machine)}</p>",
        f"<p class=key>The ladder: {key}; red bands are freezes and gaps in a voice.</p>",
    ]
    parts += [_section(name, result) for name, result in results.items()]
    return "\n".join(parts) + "\n"


def _section(key: str, r: Mapping[str, Any]) -> str:
    title = html.escape(_title(key, r))
    if r.get("error"):
        return f"<h2>{title}</h2><p class=miss>Could not be played: {html.escape(str(r['error']))}</p>"
    misses = "; ".join(r["misses"])
    verdict = f"<p class=miss>Missed: {html.escape(misses)}</p>" if misses else "<p class=ok>Every goal met.</p>"
    facts = zip(HEADINGS[1:-1], _cells(key, r)[1:-1], strict=True)
    listed = "".join(f"<div><dt>{html.escape(a)}</dt><dd>{html.escape(b)}</dd></div>" for a, b in facts if b)
    return f"<h2>{title}</h2>{verdict}<dl>{listed}</dl>" + _latency(r) + _bits(r) + _voice(r)


class _Graph:
    """One strip over the seconds of a case."""

    def __init__(self, seconds: float, top: float, label: str, unit: str) -> None:
        self._seconds, self._top = seconds, max(top, 1e-9)
        self._parts = [
            f'<text x="4" y="14">{html.escape(label)}</text>',
            f'<text x="4" y="28">{top:g} {unit}</text>',
        ]
        step = 10 if seconds > 20 else 1
        for second in range(0, int(seconds) + 1, step):
            x = self.x(second)
            self._parts.append(f'<line x1="{x}" x2="{x}" y1="0" y2="{HEIGHT}" stroke="#e5e5e5"/>')
            self._parts.append(f'<text x="{x + 2}" y="{HEIGHT - 2}">{second}</text>')

    def x(self, second: float) -> float:
        return round(LEFT + (WIDTH - LEFT) * second / self._seconds, 1)

    def y(self, value: float) -> float:
        return round(HEIGHT * (1 - min(value, self._top) / self._top), 1)

    def band(
        self, begin: float, end: float, shade: str, y: float = 0, height: float = HEIGHT, opacity: float = 0.25
    ) -> None:
        wide = max(1.0, self.x(min(end, self._seconds)) - self.x(begin))
        self._parts.append(
            f'<rect x="{self.x(begin)}" y="{y}" width="{wide:.1f}" height="{height}"'
            f' fill="{shade}" opacity="{opacity}"/>'
        )

    def dots(self, points: list[tuple[float, float]], shade: str) -> None:
        marks = "".join(f"M{self.x(at)} {self.y(value)}h1.5" for at, value in points)
        self._parts.append(f'<path d="{marks}" stroke="{shade}" stroke-width="1.5" fill="none"/>')

    def line(self, points: list[tuple[float, float]], shade: str) -> None:
        joined = " ".join(f"{self.x(at)},{self.y(value)}" for at, value in points)
        self._parts.append(f'<polyline points="{joined}" stroke="{shade}" stroke-width="1.5" fill="none"/>')

    def svg(self) -> str:
        inner = "".join(self._parts)
        return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">{inner}</svg>'


def _latency(r: Mapping[str, Any]) -> str:
    """Each picture at its glass-to-glass time; the ladder as a strip along the top."""
    series = r["series"]
    graph = _Graph(r["seconds"], LATE_MS, "picture age", "ms")
    for begin, end in series["freezes"]:
        graph.band(begin, end, "#b3261e")
    steps = [*r["steps"], (r["seconds"], "")]
    for (begin, step), (end, _) in pairwise(steps):
        graph.band(max(0.0, begin), end, STEP_SHADES.get(step, "#888"), 0, 6, 1.0)
    graph.dots([(at, age) for at, age in series["frames"] if age is not None], "#1b5e9e")
    graph.dots([(at, LATE_MS * 0.5) for at in series["stills"]], "#e06c00")
    return graph.svg()


def _bits(r: Mapping[str, Any]) -> str:
    """What the unit offered, and what the link could carry."""
    series, half = r["series"], 0.5
    room = [each for each in series["room_kbit_s"] if each is not None]
    top = max([1.0, *series["sent_kbit_s"], *(each for each in room if each < 20_000)])
    graph = _Graph(r["seconds"], round(top), "sent, room", "kbit/s")
    graph.line([(half * at, each) for at, each in enumerate(series["room_kbit_s"]) if each is not None], "#b0b0b0")
    graph.line([(half * at, each) for at, each in enumerate(series["sent_kbit_s"])], "#6a3d9a")
    return graph.svg()


def _voice(r: Mapping[str, Any]) -> str:
    series = r["series"]
    graph = _Graph(r["seconds"], 1.0, "voice STOI", "")
    for gaps, y in ((series["out_gaps"], 0), (series["in_gaps"], HEIGHT / 2)):
        for begin, end in gaps:
            graph.band(begin, end, "#b3261e", y, HEIGHT / 2, 0.4)
    graph.line([(at, value) for at, value in series["out_stoi"]], "#2c7a3f")
    graph.line([(at, value) for at, value in series["in_stoi"]], "#1b5e9e")
    return graph.svg()
