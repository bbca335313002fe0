"""The chart of `handrail.ui.gantt` as an SVG picture that stands alone.

It follows the reader's light or dark scheme and says its content in a title, a description and one tooltip a bar, so
that it is read without seeing it, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from handrail.ui.gantt import Chart, Lane, nice_step

WIDTH = 960
_ROW = 22
_BAR = 14
_RIGHT = 24
_LETTER = 6.8
# Neighbours differ in lightness as well as in hue; each stands out from white and from near-black.
_COLOURS = {
    "connect": "#0072b2", "preflight": "#9aa5b1", "lock": "#6b7280", "upload": "#d97706", "prepare": "#8b5cf6",
    "migrate": "#b45309", "activate": "#10a37f", "verify": "#56b4e9", "switch": "#c026d3", "commit": "#15803d",
    "return": "#e11d48",
}  # fmt: skip
_OTHERS = ("#7c8aa0", "#a16207", "#0e7490")
_STYLE = """
  .page { fill: #ffffff } .ink { fill: #1f2933 } .quiet { fill: #5a6672 } .grid { stroke: #e1e6eb }
  .row { fill: #f5f7f9 } .mark { stroke: #111827 } .halo { stroke: #ffffff } .failed { stroke: #e11d48 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #14181d } .ink { fill: #e6eaee } .quiet { fill: #9aa5b1 } .grid { stroke: #2a313a }
    .row { fill: #1a2027 } .mark { stroke: #f9fafb } .halo { stroke: #14181d } .failed { stroke: #fb7185 }
  }
  text { font: 12px ui-sans-serif, system-ui, "DejaVu Sans", sans-serif } .title { font-size: 16px; font-weight: 600 }
  .end { text-anchor: end } .middle { text-anchor: middle } .number { font-variant-numeric: tabular-nums }
"""


def svg(chart: Chart, sentences: Sequence[str]) -> str:
    """Return the picture; ``sentences`` stand below the chart and are its description."""
    left = 24 + max(90, min(260, int(_LETTER * max([len(lane.name) for lane in chart.lanes] + [0])) + 14))
    notes = max([len(lane.note) for lane in chart.lanes] + [0])
    right = _RIGHT + (int(notes * _LETTER) + 8 if notes else 0)
    legend = _legend(chart, WIDTH - 48)
    top = 52 + 20 * len(legend) + 14
    bottom = top + _ROW * len(chart.lanes)
    height = bottom + 40 + 18 * len(sentences) + 10
    body = [
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="8"/>',
        f'<text class="ink title" x="24" y="34">{escape(chart.title)}</text>',
        *_legend_rows(chart, legend),
        *_axis(chart, left, WIDTH - right, top, bottom),
    ]
    for number, lane in enumerate(chart.lanes):
        body += _lane(chart, lane, number, left, WIDTH - right, top + _ROW * number)
    body += [
        f'<text class="quiet" x="24" y="{bottom + 50 + 18 * number}">{escape(line)}</text>'
        for number, line in enumerate(sentences)
    ]
    said = " ".join(f"{line}." for line in [*sentences, *_said(chart)])
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc"',
            f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
            f'<title id="title">{escape(chart.title)}</title>',
            f'<desc id="desc">{escape(said)}</desc>',
            f"<style>{_STYLE}</style>",
            *body,
            "</svg>\n",
        ]
    )


def _said(chart: Chart) -> Iterator[str]:
    for lane in chart.lanes:
        spans = ", ".join(
            f"{span.phase} {span.seconds:.2f} s{' (failed)' if span.is_failed else ''}" for span in lane.spans
        )
        yield f"{lane.name}: {spans or 'nothing recorded'}{', ' + lane.note if lane.note else ''}"


def _colour(chart: Chart, phase: str) -> str:
    unknown = [name for name, _ in chart.phases if name not in _COLOURS]
    return _COLOURS.get(phase) or _OTHERS[unknown.index(phase) % len(_OTHERS)]


def _legend(chart: Chart, width: float) -> list[list[tuple[str, str, float]]]:
    """Return rows of (phase or "", text, x): what fits on each."""
    entries = [(phase, f"{phase} {longest:.2f} s") for phase, longest in chart.phases]
    if any(lane.mark is not None for lane in chart.lanes):
        entries.append(("", chart.mark_name))
    rows: list[list[tuple[str, str, float]]] = [[]]
    x = 0.0
    for phase, text in entries:
        needed = 18 + len(text) * _LETTER + 16
        if rows[-1] and x + needed > width:
            rows.append([])
            x = 0.0
        rows[-1].append((phase, text, x))
        x += needed
    return rows


def _legend_rows(chart: Chart, rows: Sequence[Sequence[tuple[str, str, float]]]) -> Iterator[str]:
    for number, row in enumerate(rows):
        y = 58 + 20 * number
        for phase, text, x in row:
            if phase:
                colour = _colour(chart, phase)
                yield f'<rect x="{24 + x:.1f}" y="{y - 10}" width="12" height="12" rx="2" fill="{colour}"/>'
            else:
                at = f'x1="{30 + x:.1f}" x2="{30 + x:.1f}"'
                yield f'<line class="mark" {at} y1="{y - 12}" y2="{y + 4}" stroke-width="2"/>'
            yield f'<text class="quiet number" x="{42 + x:.1f}" y="{y}">{escape(text)}</text>'


def _axis(chart: Chart, left: int, right: int, top: int, bottom: int) -> Iterator[str]:
    seconds = max(chart.seconds, 1e-3)
    for number in range(1, len(chart.lanes), 2):
        yield f'<rect class="row" x="16" y="{top + _ROW * number}" width="{WIDTH - 32}" height="{_ROW}"/>'
    step = nice_step(seconds, 10)
    for number in range(int(seconds / step + 1e-9) + 1):
        x = left + number * step / seconds * (right - left)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 4}" y2="{bottom + 4}"/>'
        yield f'<text class="quiet middle number" x="{x:.1f}" y="{bottom + 20}">{number * step:g} s</text>'


def _lane(chart: Chart, lane: Lane, number: int, left: int, right: int, y: int) -> Iterator[str]:
    scale = (right - left) / max(chart.seconds, 1e-3)
    name = lane.name if len(lane.name) <= 36 else f"{lane.name[:17]}…{lane.name[-18:]}"
    yield f'<text class="ink end" x="{left - 10}" y="{y + 15}">{escape(name)}</text>'
    for span in lane.spans:
        x, width = left + span.start * scale, max(1.5, span.seconds * scale - 1)
        said = f"{lane.name}: {span.phase} {span.seconds:.3f} s, from {span.start:.3f} s"
        yield (
            f'<rect x="{x:.1f}" y="{y + (_ROW - _BAR) / 2:g}" width="{width:.1f}" height="{_BAR}" rx="2" '
            f'fill="{_colour(chart, span.phase)}"{_FAILED if span.is_failed else ""}>'
            f"<title>{escape(said)}{': failed' if span.is_failed else ''}</title></rect>"
        )
    if lane.mark is not None:
        x = left + lane.mark * scale
        said = escape(f"{lane.name}: {chart.mark_name} after {lane.mark:.3f} s")
        at = f'x1="{x:.1f}" x2="{x:.1f}" y1="{y + 1}" y2="{y + _ROW - 1}"'
        for kind, width in (("halo", 4), ("mark", 2)):
            yield f'<line class="{kind}" {at} stroke-width="{width}"><title>{said}</title></line>'
    if lane.note:
        yield f'<text class="quiet" x="{right + 8}" y="{y + 15}">{escape(lane.note)}</text>'


_FAILED = ' class="failed" stroke-width="2.5" stroke-dasharray="4 2"'
