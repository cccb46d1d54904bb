"""Links lead somewhere, generated pages are fresh, and the site builds without a warning."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.guides import blocks
from tests.support import ROOT

SKIPPED = {".venv", ".git", ".cache", "build", "node_modules", "results"}
DOCUMENTS = sorted(
    path for path in ROOT.rglob("*.md") if not SKIPPED & set(path.relative_to(ROOT).parts)
)
# [text](target) and ![text](target "title"); a target with a scheme is somebody else's page.
LINK = re.compile(r"\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
CODE = re.compile(r"^(`{3,}|~{3,}).*?^\1|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def links(text: str) -> list[str]:
    """Targets inside the repository of all links of a Markdown text."""
    found = LINK.findall(CODE.sub("", text))
    return [target for target in found if not ELSEWHERE.match(target)]


@cache
def anchors(document: Path) -> frozenset[str]:
    """What `#…` may name there: its headings, as GitHub and MkDocs spell them."""
    text = re.sub(r"^(`{3,}).*?^\1", "", document.read_text("utf-8"), flags=re.M | re.S)
    found: list[str] = []
    for heading in re.findall(r"^#{1,6} (.+?)(?: #+)?$", text, re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
    return frozenset([*found, *re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text)])


def broken(document: Path) -> list[str]:
    """Links of a document that lead nowhere."""
    found = []
    for target in links(document.read_text("utf-8")):
        path, _, anchor = unquote(target).partition("#")
        place = (document.parent / path).resolve() if path else document
        if not (place.exists() and place.is_relative_to(ROOT)) or (
            anchor and not (place.suffix == ".md" and anchor in anchors(place))
        ):
            found.append(target)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    assert broken(document) == []


def test_a_broken_link_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "b.md").write_text("# One, `two`\n")
    page = tmp_path / "a.md"
    page.write_text(
        "[a](b.md) [b](b.md#one-two) ![c](no.png) [d](b.md#three) [e](#here) `[f](code.md)`\n"
        "```\n[g](block.md)\n```\n[h](https://example.org/x) [i](../outside.md)\n"
    )
    assert broken(page) == ["no.png", "b.md#three", "#here", "../outside.md"]


GENERATED = runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"]


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_fresh(name: str) -> None:
    there = (ROOT / "docs" / name).read_text("utf-8")
    assert there == GENERATED[name](), "run `make docs` (or python docs/generate.py) and commit"


def test_the_toolkit_page_shows_the_toolkit() -> None:
    """Everything that graders import is documented, and so on the page that is made of it."""
    from autograder.graders import toolkit

    page = (ROOT / "docs" / "toolkit.md").read_text("utf-8")
    assert "::: autograder.graders.toolkit\n" in page
    undocumented = [
        name
        for name in toolkit.__all__
        if callable(getattr(toolkit, name)) and not getattr(toolkit, name).__doc__
    ]
    assert undocumented == []


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f": {page.name}\n" in navigation, page.name


def test_the_picture_is_small() -> None:
    assert (ROOT / "docs" / "images" / "class-page.png").stat().st_size < 150_000


def test_the_citation_file_is_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_constraints_name_no_index_and_no_host() -> None:
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+", line), line


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    toolkit = (tmp_path / "toolkit" / "index.html").read_text("utf-8")
    assert all(f"autograder.graders.toolkit.{name}" in toolkit for name in ("case", "RandomInputs"))
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]* src=\"https?:|<link[^>]*stylesheet[^>]*https?:"
    )
    for page in tmp_path.rglob("*.html"):
        assert not loaded.search(page.read_text("utf-8")), page


def test_blocks_are_found() -> None:
    assert [language for language, _ in blocks("```sh\na\n```\n\n```\nb\n```\n")] == ["sh", ""]
