"""The leaderboard as a terminal table, as Markdown, and as a page that needs nothing else.

Charts are drawn as SVG from numbers alone; names come last and are escaped by the template.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.table import Table
from rich.text import Text

from autograder.project.leaderboard import AXES, Board, Number, Standing, front
from autograder.records.measurement import Score
from autograder.reports.html import environment
from autograder.reports.score import add_columns, escape_markdown, narrow_table, verdict
from autograder.reports.view import moment
from autograder.text_safety import clean_line

NAME = 40
METHOD = 200
DATE = 10  # characters of a day
LABEL = 26  # half the width of a chart
HEADS = ("#", "team", "cost", "accuracy", "nonzeros", "MACs", "file", "scored")

# the drawing area of a chart, in its own units
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 230, 46, 14, 14, 40
TICKS = 4


# ---- rows --------------------------------------------------------------------------------------


def _cells(rank: int, score: Score, cost: str) -> tuple[str, ...]:
    measured = score.measurement
    return (
        str(rank),
        clean_line(score.team, NAME),
        f"{score.costs[cost]:.5f}",
        f"{100 * score.accuracy:.2f} %",
        f"{measured.nonzeros:,}" if measured else "",
        f"{measured.macs + measured.excess_macs:,}" if measured else "",
        f"{score.file_bytes:,}",
        moment(score.scored_at),
    )


def leaderboard_table(board: Board) -> Table:
    """For the command line."""
    table = narrow_table(f"{board.dataset}, ranked by {board.cost}")
    # The bytes of the file and the time of day are on the page; here all numbers have to be whole.
    shown = [index for index, head in enumerate(HEADS) if head != "file"]
    rows = [_cells(rank, score, board.cost) for rank, score in enumerate(board.ranked, start=1)]
    ranked = [(*(row[index] for index in shown[:-1]), row[-1][:DATE]) for row in rows]
    heads = [HEADS[index] for index in shown]
    add_columns(table, heads, ranked, left=("team", "scored"), folded=("team",))
    for row in ranked:
        table.add_row(*map(Text, row))
    for standing in board.standings:
        if standing.best is None:
            name = f"{clean_line(standing.team, NAME)}: no valid entry"
            table.add_row("", Text(name), style="dim")
    return table


def leaderboard_markdown(boards: Sequence[Board], title: str) -> str:
    """For a job summary or the repository's front page."""
    lines = [f"# {escape_markdown(clean_line(title, METHOD))}: leaderboard", ""]
    for board in boards:
        lines += [f"## {board.dataset}", "", f"Ranked by {board.cost}; lower is better.", ""]
        lines += [f"| {' | '.join(HEADS)} |", "|---:|---|---:|---:|---:|---:|---:|---|"]
        for rank, score in enumerate(board.ranked, start=1):
            cells = map(escape_markdown, _cells(rank, score, board.cost))
            lines.append(f"| {' | '.join(cells)} |")
        without = [
            escape_markdown(clean_line(s.team, NAME)) for s in board.standings if s.best is None
        ]
        if without:
            lines += ["", f"Without a valid entry: {', '.join(without)}."]
        for name, number in axes(board):
            best = [board.ranked[i].team for i in front(board.ranked, number)]
            teams = ", ".join(escape_markdown(clean_line(team, NAME)) for team in best)
            lines += ["", f"Pareto front of accuracy against {name}: {teams}."]
        lines.append("")
    return "\n".join(lines)


def axes(board: Board) -> list[tuple[str, Number]]:
    """What accuracy is compared with: the ranking cost, then sizes."""
    return [(f"cost {board.cost}", lambda score: score.costs[board.cost]), *AXES.items()]


# ---- the page ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dot:
    """One entry in a chart; `label` is written beside it, for all of the front at its position."""

    x: float
    y: float
    name: str
    on_front: bool
    title: str
    label: str = ""


@dataclass(frozen=True)
class Chart:
    """Accuracy against one number: dots, the front's staircase, and ticks (position, text)."""

    title: str
    dots: tuple[Dot, ...]
    stairs: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]

    @property
    def front(self) -> tuple[str, ...]:
        """The teams on the front, from small to large."""
        ordered = sorted(self.dots, key=lambda dot: (dot.x, -dot.y))
        return tuple(dot.name for dot in ordered if dot.on_front)


def leaderboard_page(boards: Sequence[Board], title: str) -> str:
    """One file without scripts; nothing is loaded from elsewhere."""
    sections = [
        {
            "board": board,
            "charts": [chart(board.ranked, *axis) for axis in axes(board)] if board.ranked else [],
            "rows": [_row(rank, s, board) for rank, s in enumerate(_with_entry(board), start=1)],
            "histories": [_history(s, board.cost) for s in board.standings],
            "others": [_other(s) for s in board.standings if s.best is None],
        }
        for board in boards
    ]
    area = {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "bottom": HEIGHT - BOTTOM,
        "right": WIDTH - RIGHT,
        "middle": (LEFT + WIDTH - RIGHT) / 2,
    }
    template = environment().get_template("leaderboard.html.j2")
    return template.render(title=clean_line(title, METHOD), sections=sections, area=area)


def _with_entry(board: Board) -> list[Standing]:
    return [standing for standing in board.standings if standing.best is not None]


def _row(rank: int, standing: Standing, board: Board) -> dict[str, object]:
    assert standing.best is not None
    return {
        "cells": _cells(rank, standing.best, board.cost),
        "method": clean_line(standing.best.method, METHOD),
    }


def _history(standing: Standing, cost: str) -> dict[str, object]:
    lines = [_past(score, cost) for score in standing.history]
    return {"team": clean_line(standing.team, NAME), "lines": lines}


def _past(score: Score, cost: str) -> str:
    value = f"{cost} {score.costs[cost]:.5f}, " if cost in score.costs else ""
    return f"{moment(score.scored_at)}: {value}{verdict(score)}"


def _other(standing: Standing) -> dict[str, str]:
    return {
        "team": clean_line(standing.team, NAME),
        "reason": verdict(standing.history[-1]),
    }


def chart(scores: Sequence[Score], title: str, number: Number) -> Chart:
    """Draw entries in the drawing area: a logarithmic x axis, accuracy in percent on y."""
    values = [max(number(score), 1e-12) for score in scores]
    percents = [100 * score.accuracy for score in scores]
    x_low, x_high = _padded(math.log10(min(values)), math.log10(max(values)), 0.08, 0.05)
    y_low, y_high = _padded(min(percents), max(percents), 0.2, 0.5)
    y_high = min(y_high, 100.0)  # no accuracy lies beyond

    def x(value: float) -> float:
        return _between(math.log10(value), x_low, x_high, LEFT, WIDTH - RIGHT)

    def y(percent: float) -> float:
        return _between(percent, y_low, y_high, HEIGHT - BOTTOM, TOP)

    best = front(scores, number)
    dots = [
        Dot(x(v), y(p), clean_line(s.team, NAME), i in best, f"{v:g}, {p:.2f} %")
        for i, (v, p, s) in enumerate(zip(values, percents, scores, strict=True))
    ]
    stairs = sorted((dots[i].x, dots[i].y) for i in best)
    points = [stairs[0]]
    for (_, before), (x_position, height) in itertools.pairwise(stairs):
        points += [(x_position, before), (x_position, height)]
    points.append((WIDTH - RIGHT, stairs[-1][1]))
    return Chart(
        title,
        tuple(_labeled(dots)),
        " ".join(f"{a:.1f},{b:.1f}" for a, b in points),
        tuple((x(10**v), _short(10**v)) for v in _spread(x_low, x_high)),
        tuple((y(v), f"{v:.1f}") for v in _spread(y_low, y_high)),
    )


def _labeled(dots: Sequence[Dot]) -> Iterator[Dot]:
    """The dots; of those of the front that cover each other, the first is labelled for all."""
    names: dict[tuple[float, float], list[str]] = defaultdict(list)
    for dot in dots:
        if dot.on_front:
            names[dot.x, dot.y].append(dot.name)
    for dot in dots:
        here = names.pop((dot.x, dot.y), []) if dot.on_front else []
        yield replace(dot, label=clean_line(", ".join(here), LABEL))


def _padded(low: float, high: float, share: float, least: float) -> tuple[float, float]:
    room = max((high - low) * share, least)
    return low - room, high + room


def _between(value: float, low: float, high: float, start: float, end: float) -> float:
    return round(start + (value - low) / (high - low) * (end - start), 1)


def _spread(low: float, high: float) -> list[float]:
    step = (high - low) / TICKS
    return [low + step * (tick + 0.5) for tick in range(TICKS)]


def _short(value: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"
