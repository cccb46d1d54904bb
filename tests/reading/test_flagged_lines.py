"""What the assistant is told about a student's source, and what is none of anybody's business."""

from __future__ import annotations

import pytest

from autograder.submissions.flagged_lines import MAX_LINES, mentions


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("x = open('/proc/self/environ').read()", "/proc/"),
        ("for o in gc.get_objects(): pass", "gc.get_objects"),
        ("frame = sys._getframe(1)", "sys._getframe"),
        ("caller = frame.f_back", "frame.f_back"),
        ("    os._exit(0)", "os._exit"),
        ("import socket", "import socket"),
        ("from ctypes import CDLL", "from ctypes"),
        ("import autograder.graders", "import autograder"),
        ("sys.modules['torch'] = None", "sys.modules"),
    ],
)
def test_a_telling_name_is_reported_with_its_line(line: str, word: str) -> None:
    assert mentions("work.py", f"import torch\n{line}\n") == (f"work.py line 2 mentions {word}",)


@pytest.mark.parametrize(
    "line",
    [
        "import torch, math, os, sys",
        "path = os.path.join('a', 'b')",
        "# import socket; os._exit(0)",
        "process = model.process(x)",
        "signal = torch.randn(3)",
        "frames = video.frames",
        "sockets = 3",
        "self.f_backbone = None",
    ],
)
def test_ordinary_code_is_not(line: str) -> None:
    assert mentions("work.py", line) == ()


def test_many_lines_are_summed_up() -> None:
    lines = mentions("work.py", "os.kill(1, 9)\n" * 20)
    assert len(lines) == MAX_LINES + 1
    assert lines[-1] == f"work.py: and {20 - MAX_LINES} more such lines"
