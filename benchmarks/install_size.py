"""What an install of the kit takes on the disk, distribution by distribution.

    python -m benchmarks.install_size [--extra lab] [--top 10]

Follows what pyproject.toml asks for through the environment that runs this, as pip would, and adds
up the files of each distribution found there. GPU libraries are those that torch asks for on Linux
beside itself; its CPU build comes without them, and is smaller itself.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata

from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table

from benchmarks.common import ROOT
from tests.fresh import normalized

GPU = re.compile(r"nvidia-|cuda-|triton$")

Key = tuple[str, str]
"""A distribution's normalized name, and one of its extras or nothing."""


def closure(names: Iterable[str]) -> dict[str, metadata.Distribution]:
    """These distributions and all that they need, extras that are asked for included.

    PackageNotFoundError if one is not installed here.
    """
    found: dict[str, metadata.Distribution] = {}
    seen: set[Key] = set()
    todo = [(Requirement(name), "") for name in names]
    while todo:
        one, asked_for = todo.pop()
        if one.marker and not one.marker.evaluate({"extra": asked_for}):
            continue
        name = normalized(one.name)
        for extra in ("", *one.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                found[name] = metadata.distribution(one.name)
                todo += [(Requirement(text), extra) for text in found[name].requires or ()]
    return found


def size(distribution: metadata.Distribution) -> int:
    """Bytes of the files that came with it; compiled modules, which Python adds, are left out."""
    paths = (
        distribution.locate_file(file) for file in distribution.files or () if file.suffix != ".pyc"
    )
    return sum(path.stat().st_size for path in paths if path.is_file())  # type: ignore[attr-defined]


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--extra", action="append", default=[], help="such as lab")
    parser.add_argument("--top", type=int, default=10, metavar="N")
    options = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras: Mapping[str, list[str]] = project["optional-dependencies"]
    asked = [*project["dependencies"], *(text for name in options.extra for text in extras[name])]
    needed = closure(asked)
    sizes = {name: size(each) for name, each in needed.items()}
    table = Table(title="What is installed", title_justify="left")
    table.add_column("distribution")
    table.add_column("MB", justify="right")
    largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)
    for name in largest[: options.top]:
        table.add_row(f"{name} {needed[name].version}", f"{sizes[name] / 1e6:,.0f}")
    console = Console(width=110)
    console.print(table)
    gpu = {name for name in sizes if GPU.match(name)}
    for what, names in (("all", set(sizes)), ("GPU libraries", gpu), ("rest", set(sizes) - gpu)):
        console.print(
            f"{what}: {len(names)} distributions, {sum(sizes[n] for n in names) / 1e6:,.0f} MB"
        )
    console.print("names: " + ", ".join(sorted(sizes)), soft_wrap=True)


if __name__ == "__main__":
    main()
