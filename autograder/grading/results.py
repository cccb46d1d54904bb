"""The results folder: its files, the session it belongs to, and how it survives being killed.

    results/
        run.json                  course, session, kit, environment, fingerprints of exercises
        secret.key                keys the random draws; keep it for regrades (mode 600)
        marks.csv                 points by hand, if there are any
        roster.csv                who is in the course, if that was given
        reports/SLUG.json         one record per submission, written whole the moment it is graded
        reports/former/SLUG.N.json   what a record said before it was graded again
        feedback/SLUG.html        what the student reads; also SLUG.txt
        staff/SLUG.html           the same with tracebacks, output and cost
        grades.csv                points of the class
        index.html                the class at a glance
        run.lock                  held by the command that writes here

Records are what counts; pages and tables are made from them and can be made again.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from autograder import KIT
from autograder.course import Course, Session
from autograder.errors import AutograderError
from autograder.files import remove_unfinished, write
from autograder.grading.disclosure import shown_now
from autograder.records import Report
from autograder.records.codec import MAX_BYTES, from_json, rebuild, to_json
from autograder.reports.csv_report import grades_csv
from autograder.reports.html import class_page, student_page, with_neighbors
from autograder.reports.text import student_text
from autograder.reports.view import Neighbors, neighbors

SECRET_VARIABLE = "AUTOGRADER_SECRET"
SECRET_FILE = "secret.key"
SECRET_BYTES = 32
PACKAGES = (KIT, "torch", "numpy", "onnx", "onnxruntime", "pytest")
# A run that could not begin leaves these; a folder without other files counts as empty.
_LEFT_BEHIND = frozenset({"run.lock", SECRET_FILE, ".DS_Store"})


@dataclass(frozen=True)
class Run:
    """What a results folder holds and under what it was graded last (`run.json`).

    `versions` are those of Python and of the packages that decide results, `fingerprints` those
    of the session's exercises without any submission.
    """

    course: str
    session: str
    graded_at: str
    system: str
    versions: Mapping[str, str] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)


def given_secret() -> str:
    """The key that the environment gives, as it would be read from a file: without blanks around.

    Empty without one.
    """
    return os.environ.get(SECRET_VARIABLE, "").strip()


def new_secret() -> str:
    """The key of something that keeps its own: the environment's, else a new one."""
    return given_secret() or secrets.token_hex(SECRET_BYTES)


def read_secret(path: Path) -> bytes:
    """The key in a file; AutograderError if it cannot be read, or holds none."""
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise AutograderError(f"{path} cannot be read: {error.strerror}") from None
    if not secret:
        raise AutograderError(f"{path} is empty: put its key back, or remove it for another one")
    return secret


def present_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide results, in this process."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def present_run(course: Course, session: Session, fingerprints: Mapping[str, str]) -> Run:
    """The `Run` of a command that starts now on this machine."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    system = f"{sys.platform} {platform.machine()}"
    return Run(course.id, session.id, now, system, present_versions(), fingerprints)


@dataclass(frozen=True)
class Loaded:
    """The records of a folder, and a line for each file that is none."""

    reports: tuple[Report, ...]
    errors: tuple[str, ...] = ()


class ResultsFolder:
    """A folder that `grade` writes; every file appears whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reports = path / "reports"
        self.former = self.reports / "former"
        self.marks = path / "marks.csv"
        self.roster = path / "roster.csv"

    # ---- which session it belongs to -----------------------------------------------------------

    def run(self) -> Run | None:
        """What `run.json` says; None without one; AutograderError if it cannot be read."""
        path = self.path / "run.json"
        try:
            return rebuild(Run, json.loads(path.read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise AutograderError(f"{path} cannot be read: {error.strerror}") from None
        except (AutograderError, ValueError, RecursionError):
            raise AutograderError(
                f"{path} is damaged; restore it, or grade into another folder"
            ) from None

    def check(self, course: Course, session: Session, continues: bool) -> None:
        """AutograderError unless a run of this session may write here; writes nothing.

        `continues` says that the run adds to what is there (`--resume`, `--only`).
        """
        run = self.run()
        if run is None:
            self._check_empty()
            return
        if (run.course, run.session) != (course.id, session.id):
            raise AutograderError(
                f"{self.path} holds results of {run.session} of {run.course}, "
                f"not of {session.id} of {course.id}; choose another folder"
            )
        if not continues and any(self.reports.glob("*.json")):
            raise AutograderError(
                f"{self.path} already holds results; add --resume to continue, "
                "or choose another folder"
            )

    def _check_empty(self) -> None:
        try:
            next(self.path.iterdir(), None)
        except FileNotFoundError:
            return
        except OSError as error:
            raise AutograderError(f"cannot write to {self.path}: {error.strerror}") from None
        files = (path.name for path in self.path.rglob("*") if not path.is_dir())
        if any(name not in _LEFT_BEHIND for name in files):
            raise AutograderError(
                f"{self.path} is not a results folder (it has no run.json) and is not empty; "
                "choose another folder"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and keep other commands from writing to it; released when killed.

        What killed commands were writing goes.
        """
        feedback, staff = self.path / "feedback", self.path / "staff"
        try:
            for folder in (self.reports, feedback, staff):
                folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / "run.lock", timeout=0)
            lock.acquire()
            for folder in (self.path, self.reports, self.former, feedback, staff):
                remove_unfinished(folder)
        except Timeout:
            raise AutograderError(
                f"another command is writing to {self.path}; wait until it has ended"
            ) from None
        except OSError as error:
            raise AutograderError(f"cannot write to {self.path}: {error.strerror}") from None
        try:
            yield
        finally:
            lock.release()

    # ---- what is written ---------------------------------------------------------------------

    def start(self, run: Run) -> None:
        """Write `run.json`."""
        text = json.dumps(dataclasses.asdict(run), indent=1) + "\n"
        self._write(self.path / "run.json", text, durable=True)

    def secret(self) -> bytes:
        """The key of the random draws: from the environment, else made once and kept here."""
        if given := given_secret():
            return given.encode()
        path = self.path / SECRET_FILE
        if not path.exists():
            self._write(path, new_secret(), mode=0o600, durable=True)
        return read_secret(path)

    def keep_marks(self, table: bytes) -> None:
        """Keep a table of points by hand for later runs."""
        self._write(self.marks, table, durable=True)

    def keep_roster(self, table: bytes) -> None:
        """Keep a roster for later runs."""
        self._write(self.roster, table, durable=True)

    def keep(
        self,
        report: Report,
        course: Course,
        session: Session,
        around: Neighbors = (None, None),
    ) -> None:
        """Write the record of one submission, after the pages that show it.

        The staff page leads to those who come before and after it (`around`).
        """
        titles = (course.title, session.title)
        slug = report.slug
        shown = shown_now(course.feedback, report.lateness, datetime.now(UTC))
        page = student_page(report, "student", *titles, shown)
        self._write(self.path / "feedback" / f"{slug}.txt", student_text(report, shown))
        self._write(self.path / "feedback" / f"{slug}.html", page)
        staff_page = with_neighbors(student_page(report, "ta", *titles), *around)
        self._write(self.path / "staff" / f"{slug}.html", staff_page)
        self._write(self.reports / f"{slug}.json", to_json(report), durable=True)

    def set_aside(self, slug: str) -> None:
        """Keep what a record says now, before another replaces it."""
        path = self.reports / f"{slug}.json"
        taken = {path.name for path in self.former.glob(f"{slug}.*.json")}
        number = next(n for n in range(1, len(taken) + 2) if f"{slug}.{n}.json" not in taken)
        try:
            self.former.mkdir(exist_ok=True)
            content = path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unwritable(self.former, error) from None
        self._write(self.former / f"{slug}.{number}.json", content, durable=True)

    def summarize(self, reports: Iterable[Report], course: Course, session: Session) -> None:
        """Write what shows all submissions together."""
        reports = list(reports)
        self._write(self.path / "grades.csv", grades_csv(reports))
        page = class_page(reports, course.title, session.title)
        self._write(self.path / "index.html", page)
        self._link_neighbors(reports)

    def _link_neighbors(self, reports: Sequence[Report]) -> None:
        """Let staff pages that were there before lead to the present neighbors."""
        for slug, around in neighbors(reports).items():
            path = self.path / "staff" / f"{slug}.html"
            try:
                old = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError):  # made anew by `report`
                continue
            if (new := with_neighbors(old, *around)) != old:
                self._write(path, new)

    def load(self) -> Loaded:
        """Every record of the folder; what cannot be read is one line, and costs nobody else."""
        reports, errors = [], []
        # macOS writes hidden files beside those on other file systems
        for path in sorted(self.reports.glob("[!.]*.json")):
            try:
                report = read_report(path)
            except AutograderError as error:
                errors.append(f"{error}; grade this student again with --resume")
                continue
            if path.stem == report.slug:
                reports.append(report)
            else:
                errors.append(
                    f"{path} is a copy of {report.slug}.json and does not count; remove it"
                )
        return Loaded(tuple(reports), tuple(errors))

    def _write(
        self, path: Path, content: str | bytes, mode: int = 0o644, durable: bool = False
    ) -> None:
        try:
            write(path, content, mode, durable=durable)
        except OSError as error:
            raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> AutograderError:
    return AutograderError(
        f"{path} cannot be written ({error.strerror}); what is graded is kept, "
        "continue with --resume"
    )


def read_report(path: Path) -> Report:
    """Read one written report; AutograderError in one line names the file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise AutograderError(f"more than {MAX_BYTES:,} bytes")
        return from_json(data.decode("utf-8"))
    except OSError as error:
        raise AutograderError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AutograderError(f"{path} is not a record: not UTF-8") from None
    except AutograderError as error:
        raise AutograderError(f"{path} is not a record: {error}") from None
