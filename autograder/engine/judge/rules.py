"""The grader's rules in words, for honest code that runs into one.

What raised is told from the kind, the text and the traceback, all three the student's word. That
is enough: the test earns nothing either way, and only what is said about it differs.
"""

from __future__ import annotations

import re

PROCESSES = (
    "the grader runs your code in one process: use `num_workers=0` in a DataLoader, "
    "and no multiprocessing"
)
COMPILER = "the grader has no compiler: leave `torch.compile` out"
_WITHHELD = re.compile(r"(shared\.\w+) is not available while this session is graded")
_NOT_FOUND = re.compile(r"No module named '([\w.]{1,100})'")


def rule_of(kind: str, text: str, trace: str) -> str:
    """The rule that an exception of honest code is about; empty if it is about none."""
    if found := _WITHHELD.fullmatch(text) if kind == "ImportError" else None:
        return f"`{found[1]}` solves exercises of this session, so it cannot be imported here"
    if found := _NOT_FOUND.match(text) if kind == "ModuleNotFoundError" else None:
        return (
            f"`{found[1]}` is not installed where this is graded: use Python's standard library, "
            "PyTorch and what the assignments import"
        )
    if "/torch/_dynamo/" in trace or "/torch/_inductor/" in trace:
        return COMPILER
    starts = kind in ("PermissionError", "BlockingIOError", "OSError", "RuntimeError")
    if starts and ("/multiprocessing/" in trace or "/torch/utils/data/dataloader.py" in trace):
        return PROCESSES
    return ""
