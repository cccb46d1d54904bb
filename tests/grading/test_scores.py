"""Final projects kept by time: names of files, what is loaded, and which lines say why not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.course import FinalProject
from autograder.errors import AutograderError
from autograder.grading import scores
from autograder.project.costs import revalidate
from autograder.records import Identity, Report
from autograder.records.codec import from_json, to_json
from autograder.records.measurement import Score
from autograder.reports.score import markdown
from tests import bank
from tests.project.reports import report_of
from tests.records.test_measurement import SCORE


def project() -> FinalProject:
    made = bank.course().final_project
    assert made is not None
    return made


def at(day: int, team: str = "team-1") -> Score:
    return replace(SCORE, team=team, scored_at=f"2027-04-{day:02}T10:20:30+02:00")


def test_a_record_is_named_by_team_time_and_file(tmp_path: Path) -> None:
    path = scores.keep(report_of(at(5)), tmp_path / "new" / "scores")
    assert path == tmp_path / "new" / "scores" / "team-1-20270405102030-abababab.json"
    assert from_json(path.read_text("utf-8")) == report_of(at(5))
    assert path.with_suffix(".md").read_text("utf-8") == markdown(report_of(at(5)))


def test_the_record_outlives_a_power_failure_and_its_page_need_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, bool]] = []

    def write(path: Path, _: str, durable: bool = False) -> None:
        written.append((path.suffix, durable))

    monkeypatch.setattr(scores, "write_output", write)
    scores.keep(report_of(SCORE), tmp_path)
    assert written == [(".md", False), (".json", True)]  # a record never without its page


def test_a_record_without_a_score_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(AutograderError, match="nothing was measured of team-1"):
        scores.keep(replace(report_of(SCORE), score=None), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_loaded_in_the_order_of_its_names(tmp_path: Path) -> None:
    for score in (at(9), at(5), at(7, "a-team")):
        scores.keep(report_of(score), tmp_path)
    loaded = scores.load(tmp_path, project())
    assert loaded.errors == ()
    assert [(s.team, s.scored_at[8:10]) for s in scores.scores_of(loaded.reports)] == [
        ("a-team", "07"),
        ("team-1", "05"),
        ("team-1", "09"),
    ]


def test_scores_are_those_of_the_present_rules(tmp_path: Path) -> None:
    scores.keep(report_of(replace(SCORE, gate=1, counted=360, costs={})), tmp_path)
    (report,) = scores.load(tmp_path, project()).reports
    assert report.score == revalidate(SCORE, project())


def test_a_results_folder_is_known_by_its_run(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "ada.json").write_text(to_json(report_of(SCORE)))
    (tmp_path / "run.json").write_text("{}")
    assert len(scores.load(tmp_path, project()).reports) == 1
    (tmp_path / "run.json").rename(tmp_path / "other.json")
    assert scores.load(tmp_path, project()).reports == ()


def results_folder(folder: Path, *reports: Report) -> Path:
    (folder / "reports").mkdir()
    (folder / "run.json").write_text("{}")
    for report in reports:
        (folder / "reports" / f"{report.slug}.json").write_text(to_json(report))
    return folder


def test_in_a_results_folder_a_group_is_one_team_with_its_work_once(tmp_path: Path) -> None:
    shared = [
        replace(report_of(at(5, "ada")), student=name, slug=name, identity=Identity(group="Team 1"))
        for name in ("ada", "bob", "carl")
    ]
    left = replace(shared[2], slug="carl-2", submission_sha256="c" * 64)  # before he joined
    alone = replace(report_of(at(5, "dora")), student="dora", slug="dora")
    loaded = scores.load(results_folder(tmp_path, *shared, left, alone), project())
    teams = [score.team for score in scores.scores_of(loaded.reports)]
    assert (teams, loaded.errors) == (["Team 1", "Team 1", "dora"], ())
    assert [report.slug for report in loaded.reports] == ["ada", "carl-2", "dora"]


def test_who_may_enter_by_a_card_does_not_bar_who_submitted(tmp_path: Path) -> None:
    closed = project().model_copy(update={"teams": ("red",)})
    report = replace(report_of(at(5, "ada")), student="ada", slug="ada")
    assert len(scores.load(results_folder(tmp_path, report), closed).reports) == 1
    scores.keep(report, tmp_path / "scores")
    loaded = scores.load(tmp_path / "scores", closed)
    assert (loaded.reports, len(loaded.errors)) == ((), 1)
    assert "its team is not in course.yaml" in loaded.errors[0]


def test_a_report_without_a_score_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "ada.json").write_text(to_json(replace(report_of(SCORE), score=None)))
    scores.keep(report_of(SCORE), tmp_path)
    loaded = scores.load(tmp_path, project())
    assert (len(loaded.reports), loaded.errors) == (1, ())
    bare = replace(report_of(SCORE), score=None)
    assert scores.scores_of((bare, report_of(SCORE), bare)) == [SCORE]


def test_a_record_that_may_not_count_is_a_line_and_the_others_load(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text(to_json(report_of(replace(SCORE, team="../b"))))
    forged = json.loads(to_json(report_of(SCORE)))
    forged["score"]["counted"] = -1
    (tmp_path / "c.json").write_text(json.dumps(forged))
    scores.keep(report_of(SCORE), tmp_path)
    loaded = scores.load(tmp_path, project())
    assert [report.score for report in loaded.reports] == [revalidate(SCORE, project())]
    assert len(loaded.errors) == 3
    for name, line in zip("abc", loaded.errors, strict=True):
        assert line.startswith(f"{tmp_path / name}.json")
        assert len(line.splitlines()) == 1
    assert "its team is not in course.yaml" in loaded.errors[1]
