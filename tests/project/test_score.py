"""`autograder score` end to end: through the sandbox, as a person types it."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml

from autograder import cli
from autograder.engine.sandbox import paths
from autograder.errors import ExitCode
from autograder.grading import kinds
from autograder.project import scorer
from autograder.project.card import Card
from autograder.project.runner import Caps
from autograder.records.codec import from_json
from autograder.records.measurement import Score
from tests import bank
from tests.project import build
from tests.project.build import floats, ints, node
from tests.project.cheats import RUNNING, between, honest

pytestmark = pytest.mark.slow

ROOT = build.ROOT
NOBODY = 65534
MAIN = "from autograder.cli import main; main()"
CARD = "team: team-1\nmethod: none\nclaimed_accuracy: 0.5\nclaimed_cost: 0.1\n"


def scored(content: bytes, caps: Caps | None = None) -> Score:
    project = bank.course().final_project
    assert project is not None
    return scorer.score(content, Card(team="team-1"), "digits", project, caps=caps)[0]


# ---- cheats that have to run ---------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNNING)
def test_refused_when_it_runs(name: str) -> None:
    cheat = RUNNING[name]
    score = scored(cheat.content())
    assert not score.valid
    assert score.answers is None
    assert re.search(cheat.refused, score.refusal), score.refusal


def test_time_is_bounded() -> None:
    """Legal work that takes far longer than the limit is refused after a few images."""
    nodes = [node("Slice", ["x", "a", "b", "ax"], ["s"]), node("Expand", ["s", "to"], ["e"])]
    nodes += [
        node("Conv", ["e", "w"], ["c"], pads=[3] * 4),
        node("ReduceMax", ["c", "rows"], ["y"]),
    ]
    constants = {"a": ints(0, 0), "b": ints(1, 1), "ax": ints(2, 3), "to": ints(1, 32, 128, 128)}
    model = between(nodes, {**constants, "w": floats(64, 32, 7, 7)[:8], "rows": ints(2, 3)})
    score = scored(model.SerializeToString(), Caps(seconds=8))
    assert "would take" in score.refusal


# ---- the command ---------------------------------------------------------------------------------


class Ran:
    """A finished command."""

    def __init__(self, *arguments: object, user: int | None = None, cwd: Path = ROOT) -> None:
        change = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "score", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**os.environ, "COLUMNS": "200", "HOME": "/nonexistent", "OMP_NUM_THREADS": "1"},
            timeout=300,
            check=False,
            **change,  # type: ignore[call-overload]
        )
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """An honest model and its card."""
    (tmp_path / "card.yaml").write_text(CARD)
    path = tmp_path / "model.onnx"
    path.write_bytes(honest().SerializeToString())
    return path


Bad = Callable[..., None]


@pytest.fixture
def bad(entry: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bad:
    """The command, in this process: one clear line on standard error, nothing written."""
    monkeypatch.setenv("COLUMNS", "200")
    scores = entry.parent / "scores"

    def run(
        *arguments: object,
        words: str,
        model: Path = entry,
        dataset: str | None = "digits",
        code: ExitCode = ExitCode.USAGE,
    ) -> None:
        named = () if dataset is None else ("--dataset", dataset)
        options = (model, *named, "-o", scores, *arguments)
        monkeypatch.setattr("sys.argv", ["autograder", "score", *map(str, options)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == code
        lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
        assert [line[:7] for line in lines] == ["error: "], lines
        assert words in lines[0]
        assert not scores.exists()

    return run


def test_without_a_card_nothing_is_kept(entry: Path, bad: Bad) -> None:
    (entry.parent / "card.yaml").unlink()
    bad(words="--output keeps entries, and without a card this is no entry")
    bad("--card", entry.with_name("other.yaml"), words="other.yaml: there is no such file")


def test_without_a_card_the_file_is_measured_and_is_no_entry(entry: Path) -> None:
    (entry.parent / "card.yaml").unlink()
    ran = Ran(entry, "--dataset", "digits")
    assert ran.code == ExitCode.PROBLEMS, ran.err  # far below the gate
    assert "below the gate" in ran.out
    assert re.search(r"\b650\b", ran.out)
    assert "without a card this is no entry: write card.yaml beside the model" in ran.err


def test_bad_card(entry: Path, bad: Bad) -> None:
    (entry.parent / "card.yaml").write_text("team: Team One\n")
    bad(words="card.yaml: team: ")


def test_no_model(entry: Path, bad: Bad) -> None:
    bad(model=entry.with_name("other.onnx"), words="there is no such file")


def test_a_model_that_is_too_large(entry: Path, bad: Bad) -> None:
    with entry.open("wb") as file:
        file.truncate(50_000_001)
    bad(words="more than 50,000,000 bytes")


def test_unknown_data_set(bad: Bad) -> None:
    bad(dataset="imagenet", words="expected one of cifar10, digits")


def test_a_data_set_of_the_card_that_the_course_lacks(
    tmp_path: Path, entry: Path, bad: Bad
) -> None:
    course = tmp_path / "course.yaml"
    full = yaml.safe_load((ROOT / "course.yaml").read_text("utf-8"))
    del full["final_project"]["datasets"]["cifar10"]
    course.write_text(yaml.safe_dump(full))
    with (entry.parent / "card.yaml").open("a") as card:
        card.write("dataset: cifar10\n")
    words = "card.yaml: dataset: expected one of digits, got cifar10"
    bad("--course", course, words=words, dataset=None)


def test_unknown_team(tmp_path: Path, bad: Bad) -> None:
    text = (ROOT / "course.yaml").read_text("utf-8")
    course = tmp_path / "course.yaml"
    course.write_text(text.replace("  costs: [", "  teams: [a]\n  costs: ["))
    bad("--course", course, words="team 'team-1' is not in course.yaml")


def test_missing_data_set(tmp_path: Path, bad: Bad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "nowhere"))
    bad(dataset="cifar10", words="COURSE_DATA")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not a model", "refused: this is not an ONNX file"),
        (
            build.assemble(
                honest().graph.node, {"w": floats(64, 10), "b": floats(10)}, shape=(3, 32, 32)
            ).SerializeToString(),
            "refused: the input must be uint8 (N, 1, 8, 8)",
        ),
    ],
)
def test_a_refused_file_is_reported_and_recorded(entry: Path, content: bytes, words: str) -> None:
    entry.write_bytes(content)
    ran = Ran(entry, "--dataset", "digits", "-o", entry.parent / "scores")
    assert ran.code == ExitCode.PROBLEMS, ran.err
    assert words in ran.out
    assert "Traceback" not in ran.out + ran.err
    (record,) = (entry.parent / "scores").glob("*.json")
    score = from_json(record.read_text("utf-8")).score
    assert score is not None
    assert (score.valid, score.measurement, score.answers) == (False, None, None)


def test_too_little_isolation_stops_the_scorer(bad: Bad, monkeypatch: pytest.MonkeyPatch) -> None:
    bad("--require-isolation", "total", words="expected one of process, partial, strict")
    weak = partial(kinds.GradingJob, disabled_mechanisms=("landlock",))
    monkeypatch.setattr(kinds, "GradingJob", weak)
    words = "isolation 'strict' is required, this machine gives"
    bad("--require-isolation", "strict", words=words, code=ExitCode.ENGINE)


def unreadable() -> str:
    """Why an ordinary user could not run this test's interpreter; empty if one can."""
    if os.geteuid() != 0:
        return "runs as an ordinary user already"
    closed = paths.closed_to_others((*paths.interpreter(), Path(sys.base_prefix, "bin"), ROOT))
    return f"{closed} is closed to other users" if closed else ""


@pytest.mark.parametrize(
    "user",
    [None, pytest.param(NOBODY, marks=pytest.mark.skipif(bool(unreadable()), reason=unreadable()))],
)
def test_a_file_is_scored(user: int | None) -> None:
    """As whoever runs the tests, and as a user who is not root."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own are closed to others
        folder = Path(name)
        folder.chmod(stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
        (folder / "card.yaml").write_text(CARD)
        (folder / "model.onnx").write_bytes(honest().SerializeToString())
        ran = Ran(folder / "model.onnx", "--dataset", "digits", "-o", folder, user=user)
        assert ran.code == ExitCode.PROBLEMS, ran.err  # far below the gate
        assert "below the gate" in ran.out
        (record,) = folder.glob("*.json")
        report = from_json(record.read_text("utf-8"))
    score = report.score
    assert score is not None
    assert score.measurement is not None
    assert (score.measurement.params, score.measurement.macs) == (650, 640)
    assert score.answers is not None
    assert (score.answers.images, score.answers.draws) == (360, "public")
    assert [exercise.id for exercise in report.exercises] == ["s7.valid", "s7.cost", "s7.report"]
    assert report.isolation.mechanisms
    assert score.claim.accuracy == 0.5
