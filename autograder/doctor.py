"""What this machine can run and enforce: facts first, tables from them."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from rich.table import Table
from rich.text import Text

from autograder.engine import sandbox
from autograder.engine.host import pool
from shared.datasets import DATA_FOLDER

PACKAGES = ("torch", "numpy", "pytest", "onnx", "onnxruntime", "torchvision", "nbgrader")
OPTIONAL = frozenset({"onnx", "onnxruntime", "torchvision", "nbgrader"})


@dataclass(frozen=True)
class Fact:
    """One thing about the machine: does it hold, and what follows."""

    name: str
    good: bool
    detail: str
    meaning: str = ""


@dataclass(frozen=True)
class Examination:
    """All facts, in two groups."""

    software: tuple[Fact, ...]
    isolation: tuple[Fact, ...]


def examine() -> Examination:
    """Look at this machine; changes nothing and imports no torch."""
    software = [
        Fact("Python", sys.version_info >= (3, 11), platform.python_version()),
        Fact("system", True, f"{platform.system()} {platform.release()} {platform.machine()}"),
        Fact("processors", True, str(os.cpu_count() or 1), "submissions graded at a time"),
        *(_package(name) for name in PACKAGES),
        _data(),
        Fact(
            "fork",
            pool.can_fork(),
            "workers start in tens of milliseconds" if pool.can_fork() else "workers are spawned",
            "speed of grading",
        ),
    ]
    isolation = [
        Fact(mechanism.name, mechanism.available, mechanism.detail, mechanism.protects)
        for mechanism in sandbox.probe()
    ]
    return Examination(tuple(software), tuple(isolation))


def tables(examination: Examination) -> list[Table]:
    """Tables for a terminal."""
    return [
        _table("What is installed", examination.software, "what it is for"),
        _table("What confines student code here", examination.isolation, "what it protects"),
    ]


def _package(name: str) -> Fact:
    optional = name in OPTIONAL
    try:
        return Fact(name, True, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Fact(name, optional, "not installed", "optional" if optional else "needed")


def _data() -> Fact:
    usual = Path(DATA_FOLDER).expanduser()
    root = os.environ.get("COURSE_DATA", "") or (str(usual) if usual.is_dir() else "")
    detail = root or f"only the embedded digits: COURSE_DATA is not set, {usual} is not there"
    return Fact("data", True, detail, "MNIST and CIFAR-10")


def _table(title: str, facts: tuple[Fact, ...], last: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    table.add_column(last, overflow="fold", style="dim")
    for fact in facts:
        mark = Text("✓", "green") if fact.good else Text("✗", "red")
        table.add_row(mark, fact.name, fact.detail, fact.meaning)
    return table
