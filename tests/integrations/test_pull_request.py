"""A pull request from the fork's branch to status, comment, record and leaderboard."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autograder.cli.app import app
from autograder.grading import scores
from autograder.integrations import pull_request as pulls
from autograder.project.card import parse_card
from autograder.project.context import dataset_of
from autograder.records import Report
from autograder.records.measurement import Answers, Score
from tests import bank
from tests.integrations import actions
from tests.project import build
from tests.project.reports import report_of
from tests.support import ROOT

PROJECT = bank.course().final_project
assert PROJECT is not None
GITHUB = ROOT / "autograder" / "integrations" / "github"


def card(team: str) -> bytes:
    return f"team: {team}\nmethod: 4 bits\n".encode()


class Course:
    """A course repository with a default branch, and forks' branches beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q", "-b", "main")
        (folder / "README.md").write_text("a course\n")
        self.base = self.commit()

    def git(self, *arguments: str) -> str:
        identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
        environment = {**os.environ, **identity, "GIT_COMMITTER_EMAIL": "a@b"}
        command = ["git", "-C", str(self.folder), *arguments]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x", "--allow-empty")
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str, files: Mapping[str, bytes], mode: int = 0o644) -> str:
        """A pull request's branch with these files; the default branch is checked out again."""
        self.git("checkout", "-q", "-b", name, "main")
        for path, content in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(content)
            (self.folder / path).chmod(mode)
        head = self.commit()
        self.git("checkout", "-q", "main")
        return head

    def collect(self, head: str, output: Path) -> Path:
        """Stage one, by the script that the workflow runs."""
        script = ["bash", str(GITHUB / "collect.sh"), self.base, head, str(output)]
        subprocess.run(script, cwd=self.folder, check=True)
        return output


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return Course(tmp_path / "course")


def entry(team: str = "ada", model: bytes = b"a model") -> dict[str, bytes]:
    return {f"entries/{team}/model.onnx": model, f"entries/{team}/card.yaml": card(team)}


def run(course: Course, head: str, folder: Path) -> tuple[int, str, str, str]:
    """Both stages; (exit code, state, summary, comment)."""
    artefact = course.collect(head, folder / f"artefact-{head[:8]}")
    return score(course, head, artefact, folder)


def invoke(
    course: Course, head: str, artefact: Path, folder: Path, dataset: str | None
) -> tuple[int, Path]:
    """Stage two; (exit code, folder of the answer)."""
    answer = folder / f"answer-{head[:8]}"
    arguments = ["pull-request", course.base, head, "--artefact", str(artefact)]
    arguments += ["--records", str(folder / "scores"), "--answer", str(answer)]
    arguments += ["--repository", str(course.folder), "--course", str(ROOT / "course.yaml")]
    arguments += [] if dataset is None else ["--dataset", dataset]
    return CliRunner().invoke(app, arguments).exit_code, answer


def score(course: Course, head: str, artefact: Path, folder: Path) -> tuple[int, str, str, str]:
    code, answer = invoke(course, head, artefact, folder, "digits")
    said = [(answer / name).read_text() for name in ("state", "summary", "comment.md")]
    return code, said[0], said[1], said[2]


@pytest.fixture
def fake_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scorer that reads the cost off the file: `b"cost 0.5"`."""

    def fake(_: object, team: str, content: bytes, text: bytes, **options: Any) -> Report:
        assert PROJECT is not None
        refusal = "" if content.startswith(b"cost ") else "this is not an ONNX file"
        cost = 0.0 if refusal else float(content.split()[1])
        digest = f"{hash(content) & 0xFFFFFFFF:064x}"
        measured = replace(build.costing(cost), sha256=digest, file_bytes=len(content))
        answers = Answers(360, {1: 350}, (350,), "course", 1.0)
        score = Score(
            team,
            dataset_of(PROJECT, options["dataset"], parse_card(text)),
            f"2027-01-01T00:00:{len(content):02}+00:00",
            digest,
            len(content),
            refusal=refusal,
            measurement=None if refusal else measured,
            answers=None if refusal else answers,
            counted=350,
            gate=342,
            costs={} if refusal else {"imt-2025": cost, "micronet-2019": 1.0},
        )
        return report_of(score)

    monkeypatch.setattr(pulls, "score", fake)


@pytest.mark.usefixtures("fake_scores")
def test_a_good_entry_then_a_worse_one_then_a_better_one(course: Course, tmp_path: Path) -> None:
    first = course.branch("one", entry(model=b"cost 0.5"))
    code, state, summary, comment = run(course, first, tmp_path)
    assert (code, state) == (0, "success")
    assert "first entry" in summary
    assert comment.startswith(pulls.MARKER)
    other_card = {"entries/ada/card.yaml": card("ada") + b"# one word more\n"}
    again = course.branch("again", entry(model=b"cost 0.5") | other_card)
    assert "first entry" in run(course, again, tmp_path)[2], "the same file, checked once more"
    worse = course.branch("two", entry(model=b"cost 0.75"))
    code, state, summary, _ = run(course, worse, tmp_path)
    assert (code, state) == (0, "success")
    assert "does not beat" in summary
    better = course.branch("three", entry(model=b"cost 0.3125"))
    assert "better than 0.50000" in run(course, better, tmp_path)[2]
    result = CliRunner().invoke(
        app, ["leaderboard", str(tmp_path / "scores"), "--course", str(ROOT / "course.yaml")]
    )
    assert result.exit_code == 0
    page = (tmp_path / "scores" / "leaderboard.html").read_text()
    assert "0.31250" in page
    assert page.count("0.75000") == 1  # in the history only


@pytest.mark.usefixtures("fake_scores")
def test_a_broken_file_is_refused_by_name(course: Course, tmp_path: Path) -> None:
    head = course.branch("one", entry(model=b"junk"))
    code, state, summary, _ = run(course, head, tmp_path)
    assert (code, state) == (1, "failure")
    assert "not an ONNX file" in summary


@pytest.mark.usefixtures("fake_scores")
@pytest.mark.parametrize(
    "extra",
    [
        "README.md",
        "scores/ada-1.json",
        ".github/workflows/score.yml",
        "entries/ada/more.txt",
        "entries/ada/deeper/model.onnx",
        "entries/model.onnx",
        "course.yaml",
    ],
)
def test_a_change_elsewhere_is_refused(course: Course, tmp_path: Path, extra: str) -> None:
    head = course.branch("one", {**entry(model=b"cost 0.5"), extra: b"{}"})
    code, state, summary, _ = run(course, head, tmp_path)
    assert (code, state) == (1, "failure")
    assert extra in summary
    assert not (tmp_path / "scores").exists()


@pytest.mark.usefixtures("fake_scores")
def test_another_team_s_folder_beside_one_s_own_is_refused(course: Course, tmp_path: Path) -> None:
    head = course.branch("one", {**entry(model=b"cost 0.5"), **entry("blaise", b"cost 0.4")})
    code, _, summary, _ = run(course, head, tmp_path)
    assert code == 1
    assert "only change one team's folder" in summary


@pytest.mark.usefixtures("fake_scores")
def test_a_card_of_another_team_is_refused(course: Course, tmp_path: Path) -> None:
    files = {"entries/ada/model.onnx": b"cost 0.5", "entries/ada/card.yaml": card("blaise")}
    code, _, summary, _ = run(course, course.branch("one", files), tmp_path)
    assert code == 1
    assert "team is 'blaise', not 'ada'" in summary


@pytest.mark.usefixtures("fake_scores")
def test_an_artefact_that_is_not_the_commit_is_refused(course: Course, tmp_path: Path) -> None:
    head = course.branch("one", entry(model=b"cost 0.5"))
    artefact = course.collect(head, tmp_path / "artefact")
    (artefact / "model.onnx").write_bytes(b"cost 0.1")
    code, _, summary, _ = score(course, head, artefact, tmp_path)
    assert code == 1
    assert "not the file of the pull request" in summary
    (artefact / "model.onnx").write_bytes(b"cost 0.5")
    (artefact / "ada-forged.json").write_text("{}")
    assert "does not hold exactly" in score(course, head, artefact, tmp_path)[2]


@pytest.mark.usefixtures("fake_scores")
def test_an_executable_bit_is_no_reason(course: Course, tmp_path: Path) -> None:
    head = course.branch("one", entry(model=b"cost 0.5"), mode=0o755)
    assert course.git("ls-tree", "-r", head).count("100755") == 2
    assert run(course, head, tmp_path)[0] == 0


@pytest.mark.usefixtures("fake_scores")
def test_the_card_names_the_data_set_and_boards_do_not_mix(course: Course, tmp_path: Path) -> None:
    for name, dataset in (("one", b"digits"), ("two", b"cifar10")):
        files = entry(model=b"cost 0.5")
        files["entries/ada/card.yaml"] += b"dataset: " + dataset + b"\n"
        head = course.branch(name, files)
        artefact = course.collect(head, tmp_path / name)
        result, answer = invoke(course, head, artefact, tmp_path, None)
        assert result == 0
        assert "first entry" in (answer / "summary").read_text()


@pytest.mark.usefixtures("fake_scores")
def test_a_link_is_no_entry(course: Course, tmp_path: Path) -> None:
    course.git("checkout", "-q", "-b", "one", "main")
    folder = course.folder / "entries" / "ada"
    folder.mkdir(parents=True)
    (folder / "card.yaml").write_bytes(card("ada"))
    (folder / "model.onnx").symlink_to("/etc/passwd")
    head = course.commit()
    course.git("checkout", "-q", "main")
    code, _, summary, comment = run(course, head, tmp_path)
    assert code == 1
    assert "not a plain file" in summary
    assert "root:" not in comment


@pytest.mark.usefixtures("fake_scores")
def test_two_teams_at_once_both_stand(course: Course, tmp_path: Path) -> None:
    heads = [
        course.branch(team, entry(team, model=f"cost 0.{number}".encode()))
        for number, team in enumerate(("ada", "blaise"), start=3)
    ]
    for head in heads:
        assert run(course, head, tmp_path)[0] == 0
    assert PROJECT is not None
    loaded = scores.load(tmp_path / "scores", PROJECT)
    assert sorted(score.team for score in scores.scores_of(loaded.reports)) == ["ada", "blaise"]


def test_a_record_survives_a_push_that_comes_too_late(tmp_path: Path) -> None:
    """Both runs start from one commit, and ada's is pushed while blaise's is about to be."""
    origin = Course(tmp_path / "origin")
    origin.git("checkout", "-q", "--detach")  # so that its branch can be pushed to
    tools = tmp_path / "tools"
    tools.mkdir()
    fake = tools / "autograder"  # leaderboard SCORES --output FOLDER
    fake.write_text('#!/bin/sh\nmkdir -p "$4" && ls "$2" > "$4/leaderboard.md"\n')
    fake.chmod(0o755)
    commands = {}
    for team in ("ada", "blaise"):
        folder = tmp_path / team
        origin.git("clone", "-q", "-b", "main", str(origin.folder), str(folder))
        (folder / "scores").mkdir()
        (folder / "scores" / f"{team}.json").write_text("{}")
        commands[team] = f"bash {GITHUB / 'record.sh'} main 'score: {team}'"
    hook = tmp_path / "blaise" / ".git" / "hooks" / "pre-push"
    hook.write_text(
        f"#!/bin/sh\nmkdir {tmp_path}/once || exit 0\n"
        f"unset $(git rev-parse --local-env-vars); cd {tmp_path}/ada && {commands['ada']}\n"
    )
    hook.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PAUSE": "0"}
    subprocess.run(
        commands["blaise"], shell=True, cwd=tmp_path / "blaise", env=environment, check=True
    )
    kept = origin.git("ls-tree", "-r", "--name-only", "main", "scores/").splitlines()
    assert kept == ["scores/ada.json", "scores/blaise.json"]
    assert origin.git("show", "main:leaderboard/leaderboard.md") == "ada.json\nblaise.json"
    messages = origin.git("log", "--format=%s", "main").splitlines()
    assert messages == ["score: blaise", "score: ada", "x"]


@pytest.mark.slow
def test_the_real_scorer_from_the_branches_to_the_leaderboard(
    course: Course, tmp_path: Path
) -> None:
    said = {}
    for team in ("ada", "carl"):
        folder = ROOT / "tests" / "submissions" / "s7_final_project" / "samples" / team
        files = {f"entries/{team}/{path.name}": path.read_bytes() for path in folder.iterdir()}
        said[team] = run(course, course.branch(team, files), tmp_path)
    assert {team: answer[:2] for team, answer in said.items()} == {
        "ada": (0, "success"),
        "carl": (1, "failure"),
    }
    assert PROJECT is not None
    loaded = scores.load(tmp_path / "scores", PROJECT)
    (record,) = [score for score in scores.scores_of(loaded.reports) if score.team == "ada"]
    assert record.answers is not None
    assert f"{record.answers.correct} of 360" in said["ada"][3]
    assert f"{record.costs['imt-2025']:.5f}" in said["ada"][2]


GH = """#!/bin/sh
printf '%s\\n' "$*" >> "$GH_LOG"
case "$*" in *"/pulls?state=open"*) echo 7;; esac
"""


@pytest.mark.slow
def test_both_workflows_step_by_step(course: Course, tmp_path: Path) -> None:
    """Every script of entry.yml, then of score.yml, as GitHub's runner runs them."""
    kit = course.folder / "autograder" / "integrations" / "github"
    shutil.copytree(GITHUB, kit, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "shared", course.folder / "shared")
    shutil.copy(ROOT / "course.yaml", course.folder)
    course.base = course.commit()
    sample = ROOT / "tests" / "submissions" / "s7_final_project" / "samples" / "ada"
    files = {f"entries/ada/{path.name}": path.read_bytes() for path in sample.iterdir()}
    text = files["entries/ada/card.yaml"].decode()
    files["entries/ada/card.yaml"] = (
        text if "dataset:" in text else f"{text}dataset: digits\n"
    ).encode()
    head = course.branch("entry", files)
    course.git("update-ref", "refs/pull/7/head", head)
    course.git("checkout", "-q", "--detach")  # so that its branch can be pushed to
    checkout, tools = tmp_path / "checkout", tmp_path / "tools"
    course.git("clone", "-q", "-b", "main", str(course.folder), str(checkout))
    tools.mkdir()
    (tools / "gh").write_text(GH)
    (tools / "gh").chmod(0o755)
    contexts = {
        "github.event.pull_request.number": "7",
        "github.event.pull_request.base.sha": course.base,
        "github.event.pull_request.head.sha": head,
        "github.event.workflow_run.head_sha": head,
        "github.event.repository.default_branch": "main",
        "github.token": "TOKEN",
        "runner.temp": str(tmp_path),
        "secrets.AUTOGRADER_SECRET": "secret",
    }
    environment = {
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GITHUB_REPOSITORY": "org/course",
        "GH_LOG": str(tmp_path / "gh.log"),
        "PAUSE": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{course.folder}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://x-access-token:TOKEN@github.com/org/course",
    }
    first, second = (
        actions.Runner(GITHUB / name, checkout, tmp_path / name, contexts, environment)
        for name in ("entry.yml", "score.yml")
    )
    for step in first.steps:
        if "run" in step:
            first.run(step)
    (checkout / "artefact").rename(tmp_path / "entry")  # what the two actions on artefacts do
    installs = ("Install the kit", "CIFAR-10, the first time")
    for step in second.steps:
        if "run" in step and step["name"] not in installs:
            second.run(step)
    assert "ada on digits" in second.summary
    kept = course.git("ls-tree", "-r", "--name-only", "main").splitlines()
    assert [name for name in kept if name.startswith("scores/")]
    assert "leaderboard/leaderboard.md" in kept
    said = (tmp_path / "gh.log").read_text()
    assert f"repos/org/course/statuses/{head} -f context=score -f state=success" in said
    assert f"issues/7/comments -F body=@{tmp_path}/answer/comment.md" in said
    assert "TOKEN" not in first.output + second.output


def test_a_hostile_text_is_inert_in_the_comment() -> None:
    said = pulls.refusal(ValueError("<script>@everyone</script>\n::set-output name=x::1"))
    assert "<script>" not in said.comment
    assert "@everyone" not in said.comment
    assert "\n::" not in said.comment
    links = pulls.refusal(ValueError("see https://evil.example or www.evil.example, #12, GH-12"))
    for text in ("https://", "www.", "#12", "GH-12"):
        assert text not in links.comment
    assert len(said.summary) <= pulls.MAX_SUMMARY


@pytest.mark.parametrize("text", ["main", "--upload-pack=x", "0" * 39, "HEAD~1"])
def test_only_full_commit_ids_reach_git(course: Course, text: str) -> None:
    with pytest.raises(Exception, match="not a full commit id"):
        pulls.entry_of(pulls.Repository(course.folder), course.base, text, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["entry.yml", "score.yml"])
def test_workflows_follow_the_published_schema(name: str) -> None:
    command = ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", GITHUB / name]
    binary = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run([binary, *command[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["entry.yml", "score.yml"])
def test_workflows_pin_actions_and_start_without_rights(name: str) -> None:
    text = (GITHUB / name).read_text()
    assert "\npermissions: {}\n" in text
    used = [line.split("uses:")[1].split()[0] for line in text.splitlines() if "- uses:" in line]
    assert used
    assert all(len(action.partition("@")[2]) == 40 for action in used)


def test_the_trusted_stage_never_checks_out_the_pull_request() -> None:
    text = (GITHUB / "score.yml").read_text()
    assert "workflow_run" in text
    assert "ref:" not in text
    for name in ("entry.yml", "score.yml"):
        assert "persist-credentials: false" in (GITHUB / name).read_text()
    assert "secrets" not in (GITHUB / "entry.yml").read_text().replace("no secrets", "")
