"""Names in a student's source that honest solutions rarely need, for the assistant's eye.

No verdict and no points hang on this: the sandbox refuses the deed, this names the attempt, also
where the code swallows the refusal. Comments are left out; whatever is spelled in another way
is missed.
"""

from __future__ import annotations

import re

MOST = 5  # lines per file

_WORDS = (
    r"/proc/",
    r"/autograder/",
    r"gc\.get_(?:objects|referrers|referents)",
    r"(?:sys\.)?_getframe",
    r"[\w.]+\.f_(?:back|globals|locals)\b",
    r"inspect\.(?:stack|currentframe|trace|getouterframes)",
    r"__subclasses__",
    r"os\.(?:fork|forkpty|exec\w+|spawn\w+|posix_spawn\w*|system|popen|_exit|kill|killpg|abort)",
    r"(?:import|from) (?:subprocess|multiprocessing|socket|ctypes|cffi|urllib|requests|ftplib)",
    r"(?:import|from) (?:autograder|pytest|_pytest|conftest|solutions|gradescope_utils)",
    r"sys\.(?:modules|meta_path|settrace|setprofile)",
    r"[\w.]*\b(?:call_judge|_worker\._\w+)",
    r"results\.json|GITHUB_\w+|AUTOGRADER_\w+",
    r"signal\.(?:pthread_kill|raise_signal|pidfd_send_signal)",
)
_PATTERN = re.compile("|".join(rf"(?<![\w.])(?:{word})" for word in _WORDS))


def mentions(name: str, text: str) -> tuple[str, ...]:
    """Lines of `text` that hold one of the names: `work.py line 3 mentions gc.get_objects`."""
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        match = _PATTERN.search(line.partition("#")[0])
        if match:
            lines.append(f"{name} line {number} mentions {match.group().strip()}")
    if len(lines) <= MOST:
        return tuple(lines)
    return (*lines[:MOST], f"{name}: and {len(lines) - MOST} more such lines")
