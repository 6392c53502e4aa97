"""
Tables as Markdown that also reads well in a terminal, and their insertion into a document. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from unicodedata import east_asian_width

from benchmarks.figures import Figures, Latency

EMIT_HEAD = (
    "tool",
    "import ms",
    "ready ms",
    "1 scalar: p50 / p99 / max µs",
    "× p50",
    "10 scalars: p50 / p99 / max µs",
    "× p50",
    "points/s to finished",
    "× fewer",
    "CPU µs/point (+ server)",
    "× CPU",
    "in training: p50 / p99 µs",
    "slowdown",
)
KILL_HEAD = ("tool", "of 2,000 in a burst", "of 300 at 100/s", "of 2,000 with finish()", "finished means")


def number(value: float) -> str:
    """Return three significant digits without an exponent, thousands separated: 0.412, 38.7, 5,049."""
    if value >= 99.95:
        return f"{value:,.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.9995 else f"{value:.3f}"


def ratio(value: float, ours: float) -> str:
    """Return `value` divided by ours: "12.3×"; "–" if either is 0."""
    return f"{number(value / ours)}×" if value > 0 and ours > 0 else "–"


def emit_table(measured: Sequence[Figures], missing: Mapping[str, str], ours: str) -> str:
    """Return the table of emit.py: a row per tool, ratios to `ours` next to the main figures, then missing tools."""
    us = next((figures for figures in measured if figures.name == ours), None)
    rows = [_emit_row(figures, us) for figures in measured]
    rows += [(name, "missing", why, *[""] * (len(EMIT_HEAD) - 3)) for name, why in missing.items()]
    return markdown(EMIT_HEAD, rows)


def _emit_row(figures: Figures, us: Figures | None) -> tuple[str, ...]:
    kept = figures.points_per_s > 0
    return (
        figures.name,
        number(figures.import_ms),
        number(figures.ready_ms),
        _times(figures.one),
        ratio(figures.one.p50, us.one.p50 if us else 0),
        _times(figures.ten),
        ratio(figures.ten.p50, us.ten.p50 if us else 0),
        number(figures.points_per_s) if kept else "keeps none",
        ratio(us.points_per_s if us else 0, figures.points_per_s),
        _cpu(figures) if kept else "–",
        ratio(figures.cpu_us, us.cpu_us if us else 0),
        f"{number(figures.in_training.p50)} / {number(figures.in_training.p99)}",
        f"{figures.slowdown:.3f}",
    )


def _times(one: Latency) -> str:
    return " / ".join(map(number, one))


def _cpu(figures: Figures) -> str:
    server = f" + {number(figures.server_cpu_us)}" if figures.server_cpu_us else ""
    return number(figures.cpu_us) + server


def kill_table(rows: Iterable[Sequence[str]]) -> str:
    """Return the table of kill.py."""
    return markdown(KILL_HEAD, rows)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with padded columns; the first is aligned left, the others right."""
    lines = [[_cell(cell) for cell in row] for row in (head, *rows)]
    widths = [max(3, *(_width(line[at]) for line in lines)) for at in range(len(head))]
    out = [_line(line, widths) for line in lines]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([out[0], f"| {' | '.join(rule)} |", *out[1:]])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (" " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True))
    padded = [cells[0] + first, *(pad + cell for pad, cell in zip(others, cells[1:], strict=True))]
    return f"| {' | '.join(padded)} |"


def _width(text: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def replaced(document: str, name: str, content: str) -> str:
    """Return the document with the text between the markers of `name` replaced. Raises ValueError without markers."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the document lacks the markers {begin} and {end}")
    return f"{before}{begin}\n\n{content.strip()}\n\n{end}{after}"
