"""The hostile bank as a class of students: how it is read, laid out on disk and graded.

Everything lies in a `Stage`, a folder of its own: the submissions, the graders, what must stay
secret, the results, and the temporary files. Paths and secrets are written into the attacks in
place of `@NAME@`, so that each knows what an insider would know.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import secrets
import shutil
import socket
import stat
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

import autograder
import shared
from autograder.course import Course, parse_course
from autograder.engine import sandbox
from autograder.engine.job import GradingJob
from autograder.grading import batch, kinds
from autograder.grading.results import SECRET_VARIABLE, ResultsFolder
from autograder.records import Report
from autograder.records.codec import to_json
from autograder.submissions import Collected, collect
from tests.hostile.archives import ARCHIVES
from tests.support import ROOT

BANK = ROOT / "tests" / "submissions" / "hostile"
LEGITIMATE = ROOT / "tests" / "submissions" / "legitimate"
GRADERS = Path(__file__).parent / "graders"
MODULE = "work.py"
POINTS = {
    "normalise": 20,
    "top_sum": 15,
    "search": 15,
    "clip_weights": 15,
    "codec": 20,
    "network": 15,
}
INNOCENT = ("0 innocent", "k innocent", "zz innocent")  # first, in the middle and last
GITHUB = ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
WORKER_IDS = range(1_900_000_000, 1_901_000_000)  # users of workers, where root grades


# ---- the bank --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attack:
    """One entry of the bank: `attack.yaml` and what the student submits.

    `attacks` are the exercises that carry the attack, `expect` the outcomes that these may end
    in, `points` the most they may earn together; all other exercises must keep their points.
    `needs` are sandbox mechanisms without which the attack is not closed. `open` says, for a
    check that does not hold yet, why.
    """

    name: str
    title: str
    line: str
    attacks: tuple[str, ...]
    expect: frozenset[str]
    points: float
    must_be_named: bool
    needs: tuple[str, ...]
    open: Mapping[str, str]
    folder: str
    archive: str
    prelude: bool
    encoding: str
    code: str
    files: Mapping[str, str]

    def source(self) -> str:
        """The module: the right answers first, then the attack's functions."""
        shared_parts = ("honest", self.name.partition("__")[0]) if self.prelude else ()
        paths = [BANK / "_prelude" / f"{part}.py" for part in shared_parts]
        texts = [path.read_text(encoding="utf-8") for path in paths if path.exists()]
        return "\n\n".join([*texts, self.code])


def read_attack(folder: Path) -> Attack:
    """Read one folder of the bank; an unknown or missing key is an error."""
    fields = yaml.safe_load((folder / "attack.yaml").read_text(encoding="utf-8"))
    work = folder / MODULE
    attacks = fields.pop("attacks")
    return Attack(
        name=folder.name,
        attacks=tuple(POINTS) if attacks == "all" else tuple(attacks.split()),
        expect=frozenset(fields.pop("expect")),
        needs=tuple(fields.pop("needs", ())),
        open=fields.pop("open", {}),
        folder=fields.pop("folder", folder.name),
        archive=fields.pop("archive", ""),
        prelude=fields.pop("prelude", True),
        encoding=fields.pop("encoding", "utf-8"),
        code=work.read_text(encoding="utf-8") if work.exists() else "",
        files=fields.pop("files", {}),
        **fields,
    )


@cache
def attacks() -> Sequence[Attack]:
    """The whole bank by name."""
    return tuple(read_attack(path.parent) for path in sorted(BANK.glob("*/attack.yaml")))


@cache
def mechanisms() -> Mapping[str, sandbox.Mechanism]:
    """What this machine has, by name."""
    return {each.name: each for each in sandbox.probe()}


def lacking(attack: Attack) -> str:
    """Why this machine cannot close the attack; empty if it can."""
    known = mechanisms()
    missing = [known[name] for name in attack.needs if not known[name].available]
    return "; ".join(f"needs {each.name}: {each.detail}" for each in missing)


def honest() -> str:
    """The right answers."""
    return (BANK / "_prelude" / "honest.py").read_text(encoding="utf-8")


def legitimate() -> dict[str, bytes]:
    """Source of each legitimate submission by name; `whole.py` stands alone."""
    sources = {}
    for folder in sorted(path for path in LEGITIMATE.iterdir() if path.is_dir()):
        whole = folder / "whole.py"
        part = folder / MODULE
        sources[folder.name] = (
            whole.read_bytes() if whole.exists() else f"{honest()}\n\n{part.read_text()}".encode()
        )
    return sources


def course(**limits: float) -> Course:
    """One session with one module; what each exercise is worth stands in POINTS."""
    caps = {"test_seconds": 2, "exercise_seconds": 10, "submission_seconds": 60, **limits}
    lines = ["kit_version: 1", "id: hostile", "title: Hostile", "term: now", "sessions:"]
    lines += ["  - {id: s1, folder: s1_test, title: Test, withhold: [profiling], modules: ["]
    lines += [f"      {{file: {MODULE}, exercises: ["]
    lines += [f"        {{id: s1.{n}, title: {n}, points: {p}}}," for n, p in POINTS.items()]
    lines += ["      ]}]}", "limits:", *(f"  {key}: {value}" for key, value in caps.items())]
    return parse_course("\n".join(lines))


# ---- the stage -------------------------------------------------------------------------------


@dataclass
class Stage:
    """A folder in which a class is graded, and what is hidden in it."""

    root: Path
    canaries: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    reached: list[str] = field(default_factory=list)  # what listeners on this machine received

    def __post_init__(self) -> None:
        self.prefix = f"quail-{secrets.token_hex(4)}-"
        places = ["GRADER", "SOLUTION", "OTHER", "RESULTS", "HOME", "ENVIRONMENT", "SECRET"]
        self.canaries = {place: self.prefix + secrets.token_hex(8) for place in places}
        self.escaped = f"escaped-{secrets.token_hex(8)}"
        for name in ("submissions", "graders", "solutions", "home", "results", "outside", "github"):
            (self.root / name).mkdir()
        (self.root / "tmp").mkdir(mode=0o711)
        (self.root / "tmp").chmod(0o711)
        self.journal = self.root / "journal.txt"
        self.journal.touch()
        self.names = {
            "CANARY": self.prefix,
            # in two halves: the source line in a traceback must not look like an escape
            "ESCAPED": f'{self.escaped[:12]}" "{self.escaped[12:]}',
            "GRADERS": str(self.root / "graders" / "test_work.py"),
            "SOLUTIONS": str(self.root / "solutions"),
            "OTHER": str(self.root / "submissions" / INNOCENT[0] / MODULE),
            "RESULTS": str(self.root / "results"),
            "HOME": str(self.root / "home"),
            "OUTSIDE": str(self.root / "outside"),
            "GITHUB_ENV": str(self.root / "github" / "GITHUB_ENV"),
            "SHARED": str(Path(shared.__file__).parent),
            "KIT": str(Path(autograder.__file__).parent),
            "LIBRARY": str(Path(yaml.__file__).parent.parent),
            "JOURNAL": str(self.journal),
            "CANARY_GRADER": self.canaries["GRADER"],
        }
        self._plant()

    def _plant(self) -> None:
        for path in GRADERS.glob("test_*.py"):
            text = self.fill(path.read_text(encoding="utf-8"))
            (self.root / "graders" / path.name).write_text(text, encoding="utf-8")
        answers = f"{honest()}\n# {self.canaries['SOLUTION']}\n"
        (self.root / "solutions" / "answers.py").write_text(answers, encoding="utf-8")
        (self.root / "home" / "notes.txt").write_text(self.canaries["HOME"], encoding="utf-8")
        for name in GITHUB:
            (self.root / "github" / name).touch()

    def fill(self, text: str) -> str:
        """`text` with every `@NAME@` replaced."""
        for name, value in self.names.items():
            text = text.replace(f"@{name}@", value)
        return text

    def submit(self, attack: Attack) -> None:
        """Lay out one attack's submission, as a folder or an archive."""
        folder = self.root / "submissions" / attack.folder
        if attack.archive:
            suffix, build = ARCHIVES[attack.archive]
            path = folder.with_name(f"{folder.name}{suffix}")
            path.write_bytes(build(self.fill(attack.source()).encode()))
            return
        folder.mkdir()
        if attack.code or attack.prelude:
            text = self.fill(attack.source())
            (folder / MODULE).write_bytes(text.encode(attack.encoding))
        for name, text in attack.files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(self.fill(text), encoding="utf-8")

    def submit_source(self, name: str, source: bytes) -> None:
        """Lay out one plain submission."""
        folder = self.root / "submissions" / name
        folder.mkdir()
        (folder / MODULE).write_bytes(source)

    def submit_innocents(self) -> None:
        """Lay out the right submissions between which the attacks are graded."""
        for name in INNOCENT:
            secret = f"# {self.canaries['OTHER']}\n" if name == INNOCENT[0] else ""
            self.submit_source(name, f"{honest()}\n{secret}".encode())

    def environment(self) -> dict[str, str]:
        """The environment of whoever grades."""
        return {
            "TMPDIR": str(self.root / "tmp"),
            "HOME": str(self.root / "home"),
            "COURSE_CANARY": self.canaries["ENVIRONMENT"],
            SECRET_VARIABLE: self.canaries["SECRET"],
            **{name: str(self.root / "github" / name) for name in GITHUB},
        }

    def grade(
        self, results: str = "results", jobs: int = 2, without: Sequence[str] = (), **limits: float
    ) -> dict[str, Report]:
        """Grade every submission the way `autograder grade` does; reports by student.

        `without` are mechanisms of the sandbox that are switched off.
        """
        rules = course(**limits)
        session = rules.sessions[0]
        collected: Collected = collect(self.root / "submissions", session, rules.limits.archive)
        with (
            mock.patch.dict(os.environ, self.environment()),
            mock.patch.object(tempfile, "tempdir", None),
            mock.patch.object(kinds, "graders_of", return_value=self.root / "graders"),
            mock.patch.object(
                kinds, "GradingJob", partial(GradingJob, disabled_mechanisms=tuple(without))
            ),
        ):
            graded = batch.grade(
                rules,
                session,
                self.root,
                collected.submissions,
                ResultsFolder(self.root / results),
                batch.Options(jobs=jobs),
                batch.Callbacks(stage=self._hide_among_results),
            )
        return {report.student: report for report in graded.reports}

    def _hide_among_results(self, *_: object) -> None:
        """Plant a secret where results are written, once the run has begun."""
        (self.root / "results" / "notes.txt").write_text(self.canaries["RESULTS"])

    def texts(self, report: Report) -> str:
        """Everything that any page or record says about a student."""
        folder = self.root / "results"
        pages = [folder / "reports" / f"{report.slug}.json"]
        pages += [folder / "feedback" / f"{report.slug}.{kind}" for kind in ("txt", "html")]
        pages.append(folder / "staff" / f"{report.slug}.html")
        return "\n".join([repr(report), *(page.read_text("utf-8") for page in pages)])

    def snapshot(self) -> dict[str, str]:
        """Path -> digest of what nobody may change while a class is graded."""
        kept = ("graders", "github", "submissions", "home", "outside", "solutions")
        found = {}
        for path in (each for name in kept for each in (self.root / name).rglob("*")):
            if "__pycache__" in path.parts:  # the judge's own
                continue
            mode = path.lstat().st_mode
            data = path.read_bytes() if stat.S_ISREG(mode) else b""
            found[str(path)] = f"{mode:o} {hashlib.sha256(data).hexdigest()}"
        return found


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """A stage that any user can reach; only the kernel's rules keep workers from it."""
    root = Path(tempfile.mkdtemp(prefix="attacked-class-"))
    root.chmod(0o755)
    try:
        yield Stage(root)
    finally:
        shutil.rmtree(root)


@contextlib.contextmanager
def listening(on: Stage) -> Iterator[None]:
    """Listen on this machine in every way that an attack tries; note what arrives."""
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        path = stack.enter_context(socket.socket(socket.AF_UNIX))
        path.bind(str(on.root / "socket"))
        (on.root / "socket").chmod(0o777)
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0{on.prefix}")
        path.listen()
        abstract.listen()
        on.names |= {
            "TCP": str(tcp.getsockname()[1]),
            "UDP": str(udp.getsockname()[1]),
            "SOCKET": str(on.root / "socket"),
            "ABSTRACT": on.prefix,
        }
        done = threading.Event()
        sockets = {"tcp": tcp, "udp": udp, "path": path, "abstract": abstract}
        for each in sockets.values():
            each.settimeout(0.2)
        threads = [
            threading.Thread(target=_note, args=(name, each, on.reached, done))
            for name, each in sockets.items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            done.set()
            for thread in threads:
                thread.join()


def _note(name: str, sock: socket.socket, reached: list[str], done: threading.Event) -> None:
    while not done.is_set():
        with contextlib.suppress(TimeoutError):
            if sock.type == socket.SOCK_DGRAM:
                sock.recvfrom(100)
            else:
                sock.accept()[0].close()
            reached.append(name)


# ---- what is left behind -----------------------------------------------------------------------


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """Become the parent of every orphan, so that a survivor can be seen."""
    if sys.platform != "linux":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    try:
        yield
    finally:
        libc.prctl(36, 0, 0, 0, 0)


def survivors(marker: str) -> list[str]:
    """Processes of a finished run: those with `marker` in their environment or arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) == os.getpid():
                continue
            told = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
            if marker.encode() in told:
                found.append(f"{folder.name}: {(folder / 'cmdline').read_bytes()[:200]!r}")
    return found


def files_of_workers(places: Iterable[Path]) -> list[str]:
    """Files that belong to a worker's user, in folders that everybody may write."""
    found = []
    for place in places:
        for path in place.iterdir() if place.is_dir() else ():
            with contextlib.suppress(OSError):
                if path.lstat().st_uid in WORKER_IDS:
                    found.append(str(path))
    return found


def plain(report: Report) -> dict[str, Any]:
    """A report without what differs from one run to the next: times, memory, user numbers."""

    def stripped(value: Any) -> Any:
        if isinstance(value, Mapping):
            volatile = ("seconds", "student_seconds", "graded_at", "usage", "isolation")
            volatile += ("fingerprint",)  # canaries differ between graders
            return {key: stripped(item) for key, item in value.items() if key not in volatile}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [stripped(item) for item in value]
        return value

    result: dict[str, Any] = stripped(json.loads(to_json(report)))
    return result
