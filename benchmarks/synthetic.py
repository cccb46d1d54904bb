"""A class that nobody taught: right, wrong, hostile and endless submissions of session 1."""

from __future__ import annotations

from pathlib import Path

from benchmarks.common import ROOT

SOLUTION = ROOT / "solutions" / "s1_intro"
MODULES = ("metrics.py", "evaluation.py", "training.py")
EXERCISE = "linear_macs"
"""The exercise that differs; all others are the solution's."""

RIGHT = ""
WRONG = """

def linear_macs(in_features: int, out_features: int, tokens: int = 1) -> int:
    return in_features + out_features
"""
ENDLESS = """

def linear_macs(in_features: int, out_features: int, tokens: int = 1) -> int:
    while True:
        pass
"""
HOSTILE = (
    """

def linear_macs(in_features: int, out_features: int, tokens: int = 1) -> int:
    import os, signal
    os.kill(os.getppid(), signal.SIGKILL)
    return in_features * out_features
""",
    """

def linear_macs(in_features: int, out_features: int, tokens: int = 1) -> int:
    import pathlib
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        path.read_bytes()
    return in_features + out_features
""",
    """

def linear_macs(in_features: int, out_features: int, tokens: int = 1) -> int:
    import os
    os._exit(0)
""",
    """

def linear_macs(in_features: int, out_features: int, tokens: int = 1) -> int:
    hoard = []
    while True:
        hoard.append(bytearray(1 << 26))
""",
)


def kind(number: int) -> str:
    """Of fifty: 35 right, ten wrong, four hostile, one endless; in the first eight one of each."""
    place = number % 50
    if place == 7:
        return "endless"
    if place in (3, 13, 23, 33):
        return "hostile"
    return "wrong" if place % 5 == 1 else "right"


def module(number: int) -> str:
    """The text of `metrics.py` of a submission; all of a class are different."""
    texts = {
        "right": RIGHT,
        "wrong": WRONG,
        "endless": ENDLESS,
        "hostile": HOSTILE[number // 10 % len(HOSTILE)],
    }
    text = (SOLUTION / "metrics.py").read_text("utf-8")
    return f"{text}{texts[kind(number)]}\n# {number}\n"


def write_class(folder: Path, count: int) -> Path:
    """Write a class of `count` submissions, one folder each."""
    for number in range(count):
        target = folder / f"{kind(number)}{number:06}"
        target.mkdir(parents=True)
        for name in MODULES[1:]:
            (target / name).write_bytes((SOLUTION / name).read_bytes())
        (target / "metrics.py").write_text(module(number), "utf-8")
    return folder
