"""Ranking, fronts, and the pages that are made of score records alone."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from autograder.cli.app import app
from autograder.errors import AutograderError
from autograder.grading import scores as kept_scores
from autograder.project.costs import revalidate
from autograder.project.leaderboard import AXES, boards, front
from autograder.records.measurement import (
    Answers,
    MeasuredLayer,
    Measurement,
    Products,
    Score,
    Stored,
)
from autograder.reports.leaderboard import (
    LABEL,
    LEFT,
    WIDTH,
    chart,
    leaderboard_markdown,
    leaderboard_page,
    leaderboard_table,
)
from tests.project import build
from tests.project.reports import report_of
from tests.records.test_measurement import PROJECT, SCORE
from tests.support import ROOT

COST = "imt-2025"
COURSE = str(ROOT / "course.yaml")


def entry(team: str, cost: float, counted: int = 349, day: int = 1, **fields: object) -> Score:
    when = f"2027-04-{day:02}T10:00:00+00:00"
    digest = f"{abs(hash((team, cost, counted, day))):064x}"[-64:]
    measured = fields.pop("measurement", SCORE.measurement)
    if isinstance(measured, Measurement):
        fields["measurement"] = replace(measured, sha256=digest, file_bytes=SCORE.file_bytes)
    changed = {"costs": {COST: cost}, "counted": counted, "scored_at": when, "sha256": digest}
    return replace(SCORE, team=team, **changed, **fields)  # type: ignore[arg-type]


def consistent(team: str, cost: float, day: int = 1) -> Score:
    """A record whose measurement costs that much on the digits."""
    return entry(team, cost, day=day, measurement=build.costing(cost))


ANSWERS = Answers(360, {1: 350}, (347,), "course", 1.5)
FORGED: tuple[dict[str, Any], ...] = (
    {"measurement": None},
    {"answers": None},
    {"answers": replace(ANSWERS, images=0)},
    {"answers": replace(ANSWERS, by_batch={})},
    {"answers": replace(ANSWERS, by_batch={1: 361})},
    {"answers": replace(ANSWERS, perturbed=(361,))},
    {"answers": replace(ANSWERS, perturbed=())},
    {"dataset": "<script>"},
    {"scored_at": "yesterday"},
    {"file_bytes": 10**400},
    {"file_bytes": 7},
    {"sha256": "cd" * 32},
    {"team": "../../etc"},
    {"team": "zed\n# heading"},
    {"scored_at": "2027-04-01"},
    *(
        {
            "measurement": replace(
                build.costing(0.4), layers=(MeasuredLayer(0, "Conv", (1,), *forged),)
            )
        }
        for forged in (
            ((Stored("w", 3, 4, 32),), ()),
            ((), (Products(10**15, 1, 0, 0, 32, 32),)),
            ((), (Products(5, 2, 11, 0, 32, 32),)),
            ((), (Products(5, 2, 3, 6, 32, 32),)),
        )
    ),
)


def ranking(*entries: Score) -> list[tuple[str, float]]:
    (board,) = boards(entries, [COST])
    return [(score.team, score.costs[COST]) for score in board.ranked]


def test_the_best_valid_entry_of_a_team_counts() -> None:
    actual = ranking(
        entry("ada", 0.5),
        entry("ada", 0.3, day=2),
        entry("ada", 0.1, counted=341, day=3),  # below the gate
        entry("ada", 0.05, day=4, refusal="it is a table"),
        entry("blaise", 0.4),
    )
    assert actual == [("ada", 0.3), ("blaise", 0.4)]


def test_ties_go_to_accuracy_then_to_the_earlier_one() -> None:
    entries = [
        entry("late", 0.3, day=9),
        entry("early", 0.3, day=2),
        entry("accurate", 0.3, counted=355, day=12),
    ]
    expected = [("accurate", 0.3), ("early", 0.3), ("late", 0.3)]
    for order in itertools.permutations(entries):
        assert ranking(*order) == expected


def test_a_team_without_a_valid_entry_stands_below_with_its_history() -> None:
    (board,) = boards([entry("ada", 0.3), entry("zoe", 0.1, counted=3)], [COST])
    assert [standing.team for standing in board.standings] == ["ada", "zoe"]
    assert board.standings[1].best is None
    assert len(board.standings[1].history) == 1


def test_each_data_set_has_its_own_board() -> None:
    ranked = boards([entry("ada", 0.3), entry("ada", 0.2, dataset="cifar10")], [COST])
    assert [board.dataset for board in ranked] == ["cifar10", "digits"]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(342, 346)), min_size=1, max_size=9))
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    scores = [entry(f"t{i}", cost, right) for i, (cost, right) in enumerate(points)]
    kept = front(scores, lambda score: score.costs[COST])
    for i, (cost, right) in enumerate(points):
        beaten = any((c <= cost and r >= right) and (c, r) != (cost, right) for c, r in points)
        assert (i in kept) == (not beaten)


def test_a_chart_places_every_entry_inside() -> None:
    scores = [entry("ada", 0.3), entry("blaise", 0.003, 345), entry("carl", 0.4, 343)]
    drawn = chart(scores, "cost", lambda score: score.costs[COST])
    assert [dot.on_front for dot in drawn.dots] == [True, True, False]
    assert drawn.front == ("blaise", "ada")  # from small to large
    assert all(0 < dot.x < 360 and 0 < dot.y < 230 for dot in drawn.dots)
    assert drawn.dots[1].x < drawn.dots[0].x < drawn.dots[2].x
    assert drawn.dots[0].y < drawn.dots[1].y < drawn.dots[2].y  # more accurate is higher
    single = chart(scores[:1], "MACs", AXES["MACs"])
    assert len(single.x_ticks) == 4


def test_equal_entries_share_a_label_and_ticks_tell_values_apart() -> None:
    scores = [entry("ada", 0.3), entry("blaise", 0.3), entry("carl", 0.4)]
    drawn = chart(scores, "cost", lambda score: score.costs[COST])
    assert [dot.label for dot in drawn.dots] == ["ada, blaise", "", ""]
    texts = [text for _, text in drawn.y_ticks]
    assert len(set(texts)) == len(texts) == 4


def test_labels_stay_inside_the_drawing() -> None:
    """A label to the right of the middle ends at its dot; it is never wider than half a chart."""
    scores = [entry(f"w{i}".ljust(40, "w"), 0.01 * 4**i, 343 + i) for i in range(4)]
    page = leaderboard_page(boards(scores[:1], [COST]) + boards(scores, [COST]), "A course")
    drawn = re.findall(r'<text x="([\d.]+)" y="[-\d.]+" class="(end|name)">(w[^<]*)<', page)
    assert len({float(x) for x, *_ in drawn}) >= 4
    for x, side, text in drawn:
        room = float(x) if side == "end" else WIDTH - float(x)
        assert len(text) <= LABEL
        assert room >= WIDTH / 2 - LEFT


HOSTILE = "</svg><script>alert(1)</script>\x1b[31m"


def test_pages_are_closed_and_hostile_texts_inert() -> None:
    scores = [entry("ada", 0.3, method=HOSTILE), entry("bo", 0.2, refusal=HOSTILE)]
    ranked = boards(scores, [COST])
    page = leaderboard_page(ranked, f"A course {HOSTILE}")
    assert "<script" not in page
    assert "\x1b" not in page
    assert "default-src 'none'" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    for piece in page.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + piece.split("</svg>")[0] + "</svg>")
    text = leaderboard_markdown(ranked, HOSTILE)
    assert "<script" not in text
    assert "\x1b" not in text
    forged = entry("zed\n\n# [free](http://evil.example) @staff <b>", 0.1)
    text = leaderboard_markdown(boards([forged], [COST]), "A course")
    assert "\n# [" not in text
    assert "[free](" not in text
    assert "<b>" not in text


def forged_record(score: Score) -> str:
    """The text of a record that says anything, also what no writer of ours would."""
    return json.dumps(dataclasses.asdict(report_of(score)) | {"totals": TOTALS})


TOTALS = dict.fromkeys(("points", "raw_points", "automatic_points", "maximum"), 0.0)


def test_the_command_ranks_records_and_names_what_is_none(tmp_path: Path) -> None:
    scores = [consistent("ada", 0.25), consistent("blaise", 0.125), consistent("ada", 0.5, day=2)]
    for score in scores:
        kept_scores.keep(report_of(score), tmp_path)
    (tmp_path / "forged.json").write_text('{"schema_version": 2, "team": "eve", "counted": 360}')
    (tmp_path / "junk.json").write_bytes(b"\xff\xfe")
    forged = consistent("mallory", 0.4)
    for number, change in enumerate(FORGED):
        (tmp_path / f"m{number}.json").write_text(forged_record(replace(forged, **change)))
    declared = replace(consistent("oscar", 0.75), costs={COST: 1e-9}, counted=360, gate=0)
    kept_scores.keep(report_of(declared), tmp_path)
    result = CliRunner().invoke(app, ["leaderboard", str(tmp_path), "--course", COURSE])
    assert result.exit_code == 0
    assert "forged.json" in result.output
    assert "junk.json" in result.output
    text = (tmp_path / "leaderboard.md").read_text()
    assert text.index("blaise") < text.index("ada") < text.index("oscar")
    assert "0.75000" in text  # what was measured, not what the record says that it costs
    assert "eve" not in text
    assert "mallory" not in text
    assert all(f"m{number}.json" in result.output for number in range(len(FORGED)))
    assert "0.50000" in (tmp_path / "leaderboard.html").read_text()  # history


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_no_records_are_one_line_and_exit_2(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(app, ["leaderboard", str(tmp_path / name), "--course", COURSE])
    assert result.exit_code != 0
    assert name in str(result.exception)
    assert "\n" not in str(result.exception)


def test_the_table_is_whole_in_80_columns() -> None:
    (board,) = boards([consistent("the-team", 0.75), entry("zoe", 0.1, counted=3)], [COST])
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(leaderboard_table(board))
    text = console.export_text()
    assert "…" not in text
    assert "zoe: no valid entry" in text


@pytest.mark.parametrize("length", [4, 16, 25, 39])
@pytest.mark.parametrize("cost", [1e-5, 0.10442, 12345.67891])
def test_numbers_are_never_cut_however_long_a_team_s_name(length: int, cost: float) -> None:
    entries = [entry("x" * length, cost), entry("y" * length, cost * 2)]
    (board,) = boards(entries, [COST])
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(leaderboard_table(board))
    lines = console.export_text().splitlines()
    named = [line.split() for line in lines if "xx" in line or "yy" in line]
    rows = [row for row in named if len(row) > 1]
    assert [row[0] for row in rows] == ["1", "2"]
    assert [row[2] for row in rows] == [f"{cost:.5f}", f"{cost * 2:.5f}"]
    assert "…" not in "".join(lines)
    letters = "".join(cell for line in lines for cell in line.split() if set(cell) == {"x"})
    assert letters == "x" * length  # the name goes on in the next line
    assert [row[-1] for row in rows] == ["2027-04-01"] * 2


@pytest.mark.parametrize("counted", [360, 359, 340, 0])
def test_no_tick_is_beyond_all_answers(counted: int) -> None:
    entries = [entry("a", 0.1, counted=counted), entry("b", 0.2, counted=360)]
    drawn = chart(entries, "cost", lambda score: score.costs[COST])
    assert max(float(text) for _, text in drawn.y_ticks) <= 100


def test_teams_without_a_valid_entry_have_a_history_too() -> None:
    page = leaderboard_page(boards([entry("zoe", 0.1, counted=3)], [COST]), "A course")
    assert "zoe" in page.split("All entries")[1]


@pytest.mark.parametrize("name", ["file/board", "/proc/board", "x" * 300])
def test_pages_that_cannot_be_written_are_one_line(tmp_path: Path, name: str) -> None:
    kept_scores.keep(report_of(consistent("ada", 0.25)), tmp_path)
    (tmp_path / "file").write_text("")
    arguments = ["leaderboard", str(tmp_path), "--output", str(tmp_path / name)]
    result = CliRunner().invoke(app, [*arguments, "--course", COURSE])
    assert isinstance(result.exception, AutograderError)
    assert "cannot be written to" in str(result.exception)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**18 - 1), st.integers(0, 360), st.integers(0, 10**18 - 1)),
        max_size=3,
    )
)
def test_whatever_a_record_says_the_board_stands(rows: list[tuple[int, int, int]]) -> None:
    """Any numbers that a record may hold: ranked or refused in one line, never an exception."""
    accepted = []
    for number, (sums, right, ops) in enumerate(rows):
        bits = Products(sums, sums, sums * sums, 0, 32, 32)
        layers = (MeasuredLayer(0, "Conv", (1,), (), (bits,), ops),)
        score = entry(
            f"t{number}",
            1.0,
            measurement=Measurement(1, "ab" * 32, 21, layers),
            answers=Answers(360, {1: right}, (right,), "course", 1.0),
        )
        assert PROJECT is not None
        accepted.append(revalidate(score, PROJECT))
    assert leaderboard_page(boards(accepted, [COST]), "A course")
