"""Paths of the grader's machine, which no student reads.

They come in through messages of exceptions ("... in /opt/course/lib/torch/nn/...") and through what
code prints. What a student wrote, such as `/etc/passwd`, stays.
"""

from __future__ import annotations

import contextlib
import re
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import autograder

SHOWN = "…"


@cache
def _pattern(others: tuple[str, ...]) -> re.Pattern[str]:
    roots = {
        *(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")),
        *(sys.prefix, sys.base_prefix, sys.exec_prefix),
        str(Path(autograder.__file__).resolve().parent.parent),
        tempfile.gettempdir(),
        *others,
    }
    with contextlib.suppress(RuntimeError):  # a user without a name has none
        roots.add(str(Path.home()))
    known = {path.rstrip("/") for root in roots for path in (root, str(Path(root).resolve()))}
    # A system folder is nobody's secret, and many paths begin with it.
    long = sorted(known - {"", "/", "/usr", "/root", "/home"}, key=len, reverse=True)
    return re.compile(f"(?:{'|'.join(map(re.escape, long))})(?![\\w.-])")


def without_machine_paths(text: str, others: Iterable[str] = ()) -> str:
    """`text` with an ellipsis for folders of this machine, and for `others`, absolute paths."""
    return _pattern(tuple(filter(None, others))).sub(SHOWN, text)
