"""Ignored files whose names would have taken over a grader that runs beside them.

None of them is ever loaded; they are named for the teaching assistant, who decides what they
mean.
"""

from __future__ import annotations

import sys

from autograder.submissions.identity import quoted
from autograder.submissions.members import Member

_LOADED_ANYWHERE = {
    "conftest.py": "pytest would load it",
    "pytest.ini": "it configures pytest",
    "sitecustomize.py": "Python would load it at start",
    "usercustomize.py": "Python would load it at start",
}
_LOADED_BESIDE = dict.fromkeys(("pyproject.toml", "setup.cfg", "tox.ini"), "it configures pytest")
_COMPILED = (".dll", ".dylib", ".pyc", ".pyd", ".so")
_SHADOWED = frozenset(sys.stdlib_module_names) | {
    *("autograder", "matplotlib", "numpy", "onnx", "pluggy", "pytest", "shared", "sklearn"),
    *("torch", "torchvision"),
}
# A path configuration file of Python is a few lines; PyTorch checkpoints of that name are larger.
_PTH_BYTES = 1000


def flag(member: Member, folder: str) -> str:
    """Why an unused member gets named, as one line; empty for a harmless one.

    `folder` is the folder of the session's files.
    """
    if member.reason:
        return f"{quoted(member.path)} was ignored: it {member.reason}"
    reason = _LOADED_ANYWHERE.get(member.name) or _reason_beside(member, folder)
    return f"{quoted(member.path)} was ignored: {reason}" if reason else ""


def _reason_beside(member: Member, folder: str) -> str:
    """The reason that only holds beside the session's files."""
    relative = member.path.removeprefix(f"{folder}/") if folder else member.path
    if folder and relative == member.path:
        return ""
    first, *below = relative.split("/")
    if below:
        in_package = first in _SHADOWED and member.name.endswith(".py")
        return f"its folder has the name of the module {first}" if in_package else ""
    if first in _LOADED_BESIDE:
        return _LOADED_BESIDE[first]
    if first.endswith(_COMPILED):
        return "it is compiled code"
    if first.endswith(".pth") and member.size < _PTH_BYTES:
        return "it could be a path configuration file of Python"
    stem = first.removesuffix(".py")
    return f"it has the name of the module {stem}" if stem != first and stem in _SHADOWED else ""
