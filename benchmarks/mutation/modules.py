"""Mutants of the kit's own modules, under the small direct tests that belong to each."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from benchmarks.common import ROOT
from benchmarks.mutation.mutants import Mutant, mutants, normalized
from benchmarks.mutation.records import Verdict, Verdicts, fingerprint

TESTS: dict[str, tuple[str, ...]] = {
    "autograder/records/points.py": ("tests/records/test_points.py",),
    "autograder/records/report.py": ("tests/records/test_report.py",),
    "autograder/records/measurement.py": ("tests/records/test_measured_sums.py",),
    "autograder/grading/lateness.py": ("tests/grading/test_lateness.py",),
    "autograder/grading/assembly.py": ("tests/grading/test_assembly.py",),
    "autograder/grading/scores.py": ("tests/grading/test_scores.py",),
    "autograder/grading/fingerprints.py": ("tests/grading/test_fingerprints.py",),
    "autograder/project/credit.py": ("tests/project/test_credit.py",),
    "autograder/project/costs.py": (
        "tests/project/test_costs_rules.py",
        "tests/project/test_gate.py",
    ),
    "autograder/project/counting.py": (
        "tests/project/test_counted_layers.py",
        "tests/project/test_counting.py",
        "tests/project/test_operators.py",
    ),
    "autograder/project/rules.py": ("tests/project/test_rules.py",),
    "autograder/project/scorer.py": ("tests/project/test_scorer.py",),
    "autograder/project/perturb.py": (
        "tests/project/test_gate.py",
        "tests/project/test_perturb_reference.py",
    ),
    "autograder/engine/sandbox/seccomp.py": (
        "tests/engine/test_sandbox_seccomp_exhaustive.py",
        "tests/engine/test_sandbox_seccomp.py",
    ),
}
"""Module -> its direct tests: the arithmetic of verdicts, and what confines a worker."""

_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "build", "results", "*.egg-info")
# Everything that takes long to import and is not under test.
_PRELOAD = ["numpy", "onnx", "onnxruntime", "torch", "pydantic", "pytest", "hypothesis", "yaml"]
BASELINE_SECONDS = 300.0
FACTOR, EXTRA_SECONDS = 4.0, 20.0  # a mutant that takes that much longer hangs: caught


def module_mutants(module: str) -> list[Mutant]:
    """Every mutant of a module, given by its path below the root."""
    return mutants((ROOT / module).read_text("utf-8"), module)


def judge(
    module: str,
    tests: Sequence[str],
    chosen: Sequence[Mutant],
    verdicts: Verdicts,
    jobs: int,
) -> Iterator[tuple[Mutant, Verdict]]:
    """Run the tests on each mutant, in processes of their own; RuntimeError if they are red anyway.

    Each job works on a copy of the tree, where one file is another.
    """
    names = {mutant: _fingerprint(mutant.source(), module, tests) for mutant in chosen}
    open_ones = []
    for mutant, name in names.items():
        if (known := verdicts.get(name)) is not None:
            yield mutant, known
        else:
            open_ones.append(mutant)
    if not open_ones:
        return
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        runner = _Runner(module, tests, Path(folder))
        runner.check_baseline()
        runner.make_copies(jobs)
        with ThreadPoolExecutor(jobs) as threads:
            sources = [mutant.source() for mutant in open_ones]
            for mutant, passes in zip(open_ones, threads.map(runner.passes, sources), strict=True):
                verdict: Verdict = "survived" if passes else "caught"
                verdicts.add(names[mutant], verdict)
                yield mutant, verdict


def _fingerprint(source: str, module: str, tests: Sequence[str]) -> str:
    texts = (path.read_text("utf-8") for test in tests for path in _files(ROOT / test))
    return fingerprint(source, module, *tests, *texts)


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


class _Runner:
    """Runs the tests of one module with other texts of it, each in one of several copies."""

    def __init__(self, module: str, tests: Sequence[str], folder: Path) -> None:
        self._module, self._tests, self._folder = module, tests, folder
        self._free: SimpleQueue[Path] = SimpleQueue()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOAD)
        self._limit = BASELINE_SECONDS
        self._output = ""

    def check_baseline(self) -> None:
        """The unchanged module must pass; says how long that takes, and compiles all the others."""
        shutil.copytree(ROOT, self._folder / "0", ignore=_LEFT_OUT)
        self._free.put(self._folder / "0")
        text = normalized((ROOT / self._module).read_text("utf-8"))
        started = time.monotonic()
        if not self.passes(text, compiles=True):
            tests = " ".join(self._tests)
            raise RuntimeError(f"{tests} on the unchanged {self._module}: {self._output}")
        self._limit = FACTOR * (time.monotonic() - started) + EXTRA_SECONDS
        # A compiled file is known by its time and size, which a mutant may share.
        module = self._folder / "0" / self._module
        for compiled in (module.parent / "__pycache__").glob(f"{module.stem}.*"):
            compiled.unlink()

    def make_copies(self, jobs: int) -> None:
        """As many copies as tests may run at a time, with what was compiled."""
        for number in range(1, jobs):
            shutil.copytree(self._folder / "0", self._folder / str(number))
            self._free.put(self._folder / str(number))

    def passes(self, text: str, compiles: bool = False) -> bool:
        """Whether all tests pass with this text of the module; False too if they hang."""
        copy = self._free.get()
        try:
            (copy / self._module).write_text(text, "utf-8")
            (copy / "output.txt").unlink(missing_ok=True)
            process = self._context.Process(
                target=run_tests, args=(str(copy), list(self._tests), compiles)
            )
            process.start()
            process.join(self._limit)
            if process.exitcode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid or 0, signal.SIGKILL)
                process.join()
            if not (copy / "output.txt").exists():  # no verdict: pytest never ran
                raise RuntimeError(f"the process of the tests ended with {process.exitcode}")
            lines = (copy / "output.txt").read_text("utf-8", "replace").splitlines()
            self._output = " ".join(lines[-1:]) or f"exit status {process.exitcode}"
            return process.exitcode == 0
        finally:
            self._free.put(copy)


def run_tests(copy: str, tests: list[str], compiles: bool) -> None:
    """In a process of its own: run tests in a copy of the tree, and end with pytest's status.

    `compiles` says whether to keep what is compiled.
    """
    os.setsid()
    os.chdir(copy)
    os.environ["PYTHONPATH"] = copy
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.dont_write_bytecode = not compiles
    sys.path.insert(0, copy)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    import pytest

    options = ["-x", "-q", "-p", "_hypothesis_pytestplugin", "--hypothesis-seed=0"]
    options += [
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]  # it was imported before the fork
    status = pytest.main([*options, "-m", "not slow", *tests])
    os._exit(int(status))
