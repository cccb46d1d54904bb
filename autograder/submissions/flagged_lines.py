"""Names in a student's source that honest solutions rarely need, shown to teaching assistants.

They are notes, no incidents: nothing has happened because a word stands somewhere. No points depend
on them. Comments are skipped, and other spellings are missed.
"""

from __future__ import annotations

import re
from functools import cache

MAX_LINES = 5  # per file

_MODULES = (
    *("subprocess", "multiprocessing", "socket", "ctypes", "cffi", "urllib", "requests", "ftplib"),
    *("autograder", "pytest", "_pytest", "conftest", "solutions", "gradescope_utils"),
)
# A text that a file must hold for its pattern to match: almost all files hold none of them, and
# looking for a text takes a hundredth of the time of all patterns at once.
_PATTERNS = {
    "/proc/": r"/proc/",
    "/autograder/": r"/autograder/",
    "gc.get_": r"gc\.get_(?:objects|referrers|referents)",
    "_getframe": r"(?:sys\.)?_getframe",
    ".f_": r"[\w.]+\.f_(?:back|globals|locals)\b",
    "inspect.": r"inspect\.(?:stack|currentframe|trace|getouterframes)",
    "__subclasses__": r"__subclasses__",
    "os.": r"os\.(?:fork|forkpty|exec\w+|spawn\w+|posix_spawn\w*|system|popen)"
    r"|os\.(?:_exit|kill|killpg|abort)",
    "sys.": r"sys\.(?:modules|meta_path|settrace|setprofile)",
    "call_judge": r"[\w.]*\bcall_judge",
    "_worker._": r"[\w.]*\b_worker\._\w+",
    "results.json": r"results\.json",
    "GITHUB_": r"GITHUB_\w+",
    "AUTOGRADER_": r"AUTOGRADER_\w+",
    "signal.": r"signal\.(?:pthread_kill|raise_signal|pidfd_send_signal)",
    **{name: rf"(?:import|from) {name}" for name in _MODULES},
}


@cache
def _pattern(hints: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?<![\w.])(?:{_PATTERNS[hint]})" for hint in hints))


def mentions(name: str, text: str) -> tuple[str, ...]:
    """Lines of `text` that hold one of the names: `work.py line 3 mentions gc.get_objects`."""
    hints = tuple(hint for hint in _PATTERNS if hint in text)
    if not hints:
        return ()
    pattern = _pattern(hints)
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        match = pattern.search(line.partition("#")[0])
        if match:
            lines.append(f"{name} line {number} mentions {match.group().strip()}")
    if len(lines) <= MAX_LINES:
        return tuple(lines)
    return (*lines[:MAX_LINES], f"{name}: and {len(lines) - MAX_LINES} more such lines")
