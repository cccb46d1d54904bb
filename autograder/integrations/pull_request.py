"""A final-project entry that comes as a pull request: what it may change, and the answer to it.

Stage one has neither secrets nor rights: `github/collect.sh` copies the two files of the entry out
of the pull request's commit, as data. Stage two trusts only the default branch: `verify` compares
what stage one handed over with the commit itself, and scores that. Nothing of a pull request is
checked out or run in stage two; git is only asked for the bytes of two files.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.course import Course, DatasetName
from autograder.engine.job import Level, Progress
from autograder.errors import AutograderError, SubmissionError
from autograder.grading.checking import score
from autograder.grading.kinds import project_of
from autograder.grading.scores import keep, load, scores_of
from autograder.project.card import MAX_CARD_BYTES, TEAM, parse_card
from autograder.project.context import CARD, MODEL, dataset_of
from autograder.records import Report
from autograder.records.measurement import Score
from autograder.reports.score import escape_markdown, markdown, verdict
from autograder.text_safety import clean_line

ENTRIES = "entries"
FILES = (CARD, MODEL)
MARKER = "<!-- compression-course: entry -->"
MAX_COMMENT = 60_000  # characters; GitHub takes 65,536
MAX_SUMMARY = 140  # characters of a commit status
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
PLAIN_FILES = ("100644", "100755")  # some file systems mark every file as executable
GIT_SECONDS = 120


@dataclass(frozen=True)
class Blob:
    """One file of a commit: its path, mode and the hash of its content."""

    path: str
    mode: str
    sha: str


@dataclass(frozen=True)
class Entry:
    """The entry of a pull request: the team that its folder names, and its two files."""

    team: str
    model: Blob
    card: Blob


class Repository:
    """A git repository that is only ever asked what it holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def changed(self, base: str, head: str) -> list[str]:
        """Paths that `head` changes since it left `base`; renames count as both."""
        fork = self._run("merge-base", _commit(base), _commit(head)).decode().strip()
        listed = self._run("diff-tree", "-r", "-z", "--no-renames", "--name-only", fork, head)
        return [path.decode("utf-8", "replace") for path in listed.split(b"\0") if path]

    def blob(self, commit: str, path: str) -> Blob | None:
        """A file of a commit, or None; links and submodules have another mode."""
        line = self._run("ls-tree", "-z", _commit(commit), "--", path).rstrip(b"\0").decode()
        if not line:
            return None
        mode, _, rest = line.partition(" ")
        return Blob(path, mode, rest.split()[1])

    def size(self, blob: Blob) -> int:
        """Bytes of a file, before it is read."""
        return int(self._run("cat-file", "-s", blob.sha))

    def read(self, blob: Blob) -> bytes:
        """The bytes of a file, without filters, hooks or checkout."""
        return self._run("cat-file", "blob", blob.sha)

    def _run(self, *arguments: str) -> bytes:
        environment = {"PATH": os.environ.get("PATH", ""), "GIT_CONFIG_NOSYSTEM": "1"}
        safe = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
        trusted = ("-c", f"safe.directory={self._folder.resolve()}")
        command = ["git", *safe, *trusted, "-C", str(self._folder), *arguments]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, timeout=GIT_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AutograderError(f"git cannot be run: {type(error).__name__}") from None
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason"]
            raise AutograderError(f"git {arguments[0]}: {clean_line(lines[-1], 200)}")
        return done.stdout


def _commit(text: str) -> str:
    if not _COMMIT.fullmatch(text):
        raise AutograderError(f"not a full commit id: {clean_line(text, 60)!r}")
    return text


def entry_of(repository: Repository, base: str, head: str, max_bytes: int) -> Entry:
    """The entry of a pull request; SubmissionError in one line if it is none.

    It may change `entries/TEAM/model.onnx` and `entries/TEAM/card.yaml` of one team, nothing else.
    """
    paths = repository.changed(base, head)
    if not paths:
        raise SubmissionError("the pull request changes nothing")
    teams = set()
    for path in paths:
        parts = path.split("/")
        if len(parts) != 3 or parts[0] != ENTRIES or parts[2] not in FILES:
            text = f"{clean_line(path, 100)}: a pull request may only change"
            raise SubmissionError(f"{text} {ENTRIES}/TEAM/{MODEL} and {ENTRIES}/TEAM/{CARD}")
        teams.add(parts[1])
    if len(teams) > 1:
        names = ", ".join(clean_line(team, 40) for team in sorted(teams))
        raise SubmissionError(f"a pull request may only change one team's folder, not {names}")
    (team,) = teams
    if not TEAM.fullmatch(team):
        raise SubmissionError(f"{clean_line(team, 60)!r} is not a team name: a-z, 0-9, - and _")
    card, model = (_plain_file(repository, head, f"{ENTRIES}/{team}/{name}") for name in FILES)
    if repository.size(model) > max_bytes:
        raise SubmissionError(f"{model.path}: more than {max_bytes:,} bytes")
    if repository.size(card) > MAX_CARD_BYTES:
        raise SubmissionError(f"{card.path}: more than {MAX_CARD_BYTES:,} bytes")
    return Entry(team, model, card)


def _plain_file(repository: Repository, head: str, path: str) -> Blob:
    blob = repository.blob(head, path)
    if blob is None:
        raise SubmissionError(f"{path} is missing")
    if blob.mode not in PLAIN_FILES:
        raise SubmissionError(f"{path} is not a plain file")
    return blob


def verify(
    repository: Repository, base: str, head: str, artefact: Path, max_bytes: int
) -> tuple[Entry, bytes, bytes]:
    """Stage two: (entry, model, card), if the artefact is what the commit holds.

    Stage one runs the pull request's own workflow file, so its artefact may be anything.
    """
    entry = entry_of(repository, base, head, max_bytes)
    names = sorted(path.name for path in artefact.iterdir()) if artefact.is_dir() else []
    if names != sorted(FILES):
        raise SubmissionError(f"the artefact does not hold exactly {CARD} and {MODEL}")
    model, card = repository.read(entry.model), repository.read(entry.card)
    for name, expected in ((MODEL, model), (CARD, card)):
        path = artefact / name
        same_size = not path.is_symlink() and path.stat().st_size == len(expected)
        if not same_size or path.read_bytes() != expected:
            raise SubmissionError(f"{name} of the artefact is not the file of the pull request")
    return entry, model, card


# ---- the whole check -------------------------------------------------------------------------


@dataclass(frozen=True)
class Commits:
    """A repository with the commit of the default branch and that of the pull request."""

    repository: Repository
    base: str
    head: str


def check(
    course: Course,
    commits: Commits,
    artefact: Path,
    records: Path,
    *,
    dataset: DatasetName | None = None,
    require_isolation: Level = "process",
    progress: Progress = lambda *_: None,
) -> Answer:
    """Stage two: verify the entry, score it, keep its record among `records`, and say how it is.

    AutograderError only for what is not the entry's fault.
    """
    project = project_of(course)
    try:
        entry, model, text = verify(
            commits.repository, commits.base, commits.head, artefact, project.max_bytes
        )
        card = parse_card(text, entry.card.path)
        if card.team != entry.team:
            raise SubmissionError(f"{entry.card.path}: team is {card.team!r}, not {entry.team!r}")
        if not project.admits(card.team):
            raise SubmissionError(f"team {card.team!r} is not in course.yaml")
        name = dataset_of(project, dataset, card)
    except SubmissionError as error:
        return refusal(error)
    report = score(
        course,
        entry.team,
        model,
        text,
        dataset=dataset,
        require_isolation=require_isolation,
        progress=progress,
    )
    earlier = [
        before
        for before in scores_of(load(records, project).reports)
        if (before.team, before.dataset) == (entry.team, name) and before.valid
    ]
    keep(report, records)
    return answer(report, earlier, project.costs[0])


# ---- the answer --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What a pull request gets: a commit status and one comment, which is found by its marker."""

    state: str
    summary: str
    comment: str


def answer(report: Report, earlier: Sequence[Score], cost: str) -> Answer:
    """For an entry that was scored; `earlier` are the team's own valid entries.

    One of the same file is this entry, checked once more.
    """
    score = report.score
    if score is None:
        raise ValueError("the report of an entry has its score")
    others = (before for before in earlier if before.sha256 != score.sha256)
    best = min((before.costs[cost] for before in others if cost in before.costs), default=None)
    if not score.valid:
        line = verdict(score)
    elif best is None:
        line = f"valid: {cost} {score.costs[cost]:.5f}, the team's first entry"
    elif score.costs[cost] < best:
        line = f"valid: {cost} {score.costs[cost]:.5f}, better than {best:.5f}"
    else:
        line = f"valid, but {cost} {score.costs[cost]:.5f} does not beat the team's {best:.5f}"
    text = f"{MARKER}\n**{escape_markdown(line)}**\n\n{markdown(report)}"
    return Answer("success" if score.valid else "failure", _short(line), text[:MAX_COMMENT])


def refusal(error: Exception) -> Answer:
    """For a pull request that holds no entry."""
    line = clean_line(str(error), 400)
    return Answer("failure", _short(line), f"{MARKER}\n**Not scored:** {escape_markdown(line)}\n")


def _short(line: str) -> str:
    return clean_line(line, MAX_SUMMARY)
