"""Every text that no student may get, taken from the sources, and where it shows in an archive."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from autograder.release import find_regions
from tests.support import ROOT

GRADERS = ROOT / "autograder" / "graders"
SHORTEST = 25  # characters of a line that could stand anywhere
LAB_REGION = re.compile(r"### BEGIN (?:SOLUTION|HIDDEN TESTS|MARK SCHEME)\n(.*?)### END", re.DOTALL)


def squeezed(text: str) -> str:
    """The words with one blank between them."""
    return " ".join(text.split())


def lines_of(text: str) -> set[str]:
    """Its lines, squeezed, that are long enough to be somebody's."""
    return {line for raw in text.splitlines() if len(line := squeezed(raw)) >= SHORTEST}


def hidden_graders() -> list[Path]:
    """All Python files of the graders that are not the toolkit."""
    return [
        path
        for path in sorted(GRADERS.rglob("*.py"))
        if path.relative_to(GRADERS).parts[0] not in ("toolkit", "__init__.py")
    ]


def _solution_modules() -> Iterator[Path]:
    for path in sorted((ROOT / "solutions").rglob("*.py")):
        if not {"tests", "reference"} & set(path.parts) and path.name != "lab.py":
            yield path


def _regions(path: Path) -> tuple[list[str], list[str]]:
    """The lines inside and outside the solution regions of a module."""
    text = path.read_text("utf-8")
    inside = {n for r in find_regions(text, path.name) for n in range(r.begin, r.end + 1)}
    lines = list(enumerate(text.splitlines(), start=1))
    return [x for n, x in lines if n in inside], [x for n, x in lines if n not in inside]


def sentences(path: Path) -> Iterator[str]:
    """First paragraphs of docstrings, and hints: strings of several words."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            first = squeezed(node.value.split("\n\n")[0])
            if len(first) >= SHORTEST and first.count(" ") >= 3:
                yield first


@cache
def hidden_lines() -> frozenset[str]:
    """Lines of graders, mistakes, solution regions and lab answers that stand nowhere public."""
    secret: set[str] = set()
    for path in hidden_graders():
        secret |= lines_of(path.read_text("utf-8"))
    for path in _solution_modules():
        secret |= lines_of("\n".join(_regions(path)[0]))
    for lab in sorted((ROOT / "solutions").glob("*/lab.py")):
        for answer in LAB_REGION.findall(_uncommented(lab.read_text("utf-8"))):
            secret |= lines_of(answer)
    return frozenset(secret - _public_lines())


@cache
def hidden_sentences() -> frozenset[str]:
    """What hidden checks and known mistakes say, unless something public says it."""
    secret = {sentence for path in hidden_graders() for sentence in sentences(path)}
    texts = [path.read_text("utf-8") for path in _public_files()]
    texts += ["\n".join(_regions(path)[1]) for path in _solution_modules()]
    public = squeezed("\n".join(texts))
    return frozenset(one for one in secret if one not in public)


def _public_files() -> list[Path]:
    hidden = set(hidden_graders())
    folders = [ROOT / "shared", ROOT / "autograder"]
    found = [path for folder in folders for path in folder.rglob("*.py") if path not in hidden]
    found += sorted((ROOT / "solutions").glob("*/tests/*.py"))
    return found + sorted((ROOT / "solutions").glob("*/README.md"))


def _public_lines() -> set[str]:
    public = {line for path in _public_files() for line in lines_of(path.read_text("utf-8"))}
    for path in _solution_modules():
        public |= lines_of("\n".join(_regions(path)[1]))
    for lab in sorted((ROOT / "solutions").glob("*/lab.py")):
        public |= lines_of(LAB_REGION.sub("", _uncommented(lab.read_text("utf-8"))))
    return public


def leaks(files: Mapping[str, bytes]) -> list[str]:
    """`file: text` for each hidden line or sentence in these files."""
    texts = {name: _plain(name, content) for name, content in files.items()}
    found = [
        f"{name}: {line}"
        for name, text in texts.items()
        for line in sorted((lines_of(text) | lines_of(_uncommented(text))) & hidden_lines())
    ]
    words = {name: squeezed(text) for name, text in texts.items()}
    everything = "\0".join(words.values())
    for sentence in sorted(one for one in hidden_sentences() if one in everything):
        found += [f"{name}: {sentence}" for name, text in words.items() if sentence in text]
    return found


def _uncommented(text: str) -> str:
    """Text cells of a lab sheet's source as they are read."""
    return re.sub(r"(?m)^# ", "", text)


def _plain(name: str, content: bytes) -> str:
    text = content.decode("utf-8", "replace")
    if not name.endswith(".ipynb"):
        return text
    cells = json.loads(text)["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells)
