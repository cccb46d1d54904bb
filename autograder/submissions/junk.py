"""What systems and tools leave in folders: it is neither read, nor named, nor counted.

Hidden files, what macOS adds to archives, repositories, caches and whole environments are no work
of a student's; a submission must not be refused because such a folder is large or oddly named.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

_FOLDERS = frozenset(
    {
        *("__macosx", "__pycache__", "node_modules", "site-packages", "dist-packages"),
        *("$recycle.bin", "system volume information"),
    }
)
_FOLDER_ENDS = (".egg-info", ".dist-info")
# The last is what macOS, and synchronized folders there, keep a folder's picture in.
_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})

MARKS_OF_ENVIRONMENTS = frozenset({"pyvenv.cfg", "conda-meta"})
"""Names that lie at the root of a Python environment."""


def is_hidden(path: str) -> bool:
    """Whether any part of the path is a dot file, a dot folder, or what macOS adds to archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def is_junk_name(name: str) -> bool:
    """Whether an entry of this name, file or folder, is junk wherever it lies."""
    folded = name.casefold()
    return (
        name.startswith((".", "~$"))
        or folded in _FOLDERS
        or folded in _FILES
        or folded.endswith(_FOLDER_ENDS)
    )


def is_junk(path: str, environments: Iterable[str] = ()) -> bool:
    """Whether a file lies in a junk folder, is junk itself, or is below one of `environments`.

    A path that leaves its folder, or that is absolute, is never junk: it has to be refused.
    """
    parts = path.removeprefix("./").split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        return False
    if any(is_junk_name(part) for part in parts):
        return True
    return any(path.startswith(f"{folder}/") for folder in environments)


def environments(paths: Iterable[str], listed: Container[str]) -> frozenset[str]:
    """The folders among `paths` that are Python environments.

    The top of a submission is none, nor is a folder that holds one of the `listed` files itself:
    some people make their environment around their work.
    """
    roots: set[str] = set()
    homes: set[str] = set()
    for path in paths:
        parts = path.split("/")
        for depth, part in enumerate(parts):
            if part in MARKS_OF_ENVIRONMENTS and depth > 0:
                roots.add("/".join(parts[:depth]))
        if parts[-1] in listed:
            homes.add("/".join(parts[:-1]))
    return frozenset(roots - homes)
