"""Tries the scorer and `autograder tidy` on what exporters, quantisers and simplifiers write.

python -m benchmarks.exports                 # all; the first time half an hour, files are kept
python -m benchmarks.exports swin QDQ        # rows with one of these words
python -m benchmarks.exports --markdown FILE # writes the table of docs/exporting.md

Needs the packages of the extra `exports`.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autograder.project import counting, graph, inference
from autograder.project.graph import Refusal
from autograder.project.tidy import CannotTidy, tidy
from benchmarks.exports.networks import NETWORKS, File, cached, from_network
from benchmarks.exports.roads import ROADS

CLASSES = 10
EXPORTERS = {"dynamo": True, "older": False}


@dataclass(frozen=True)
class Row:
    """One file: what the scorer says of it before and after; "" is yes."""

    group: str
    name: str
    before: str
    after: str
    nodes: tuple[int, int] = (0, 0)
    difference: float = 0.0

    @property
    def has_file(self) -> bool:
        """Whether the tool wrote one."""
        return not self.before.startswith("no file")


def refusal(content: bytes, size: int) -> str:
    """Why the scorer refuses a file; "" if it measures it and the runtime takes it."""
    try:
        counting.count(graph.read(content, (3, size, size), CLASSES))
        inference.session(content)
    except Refusal as reason:
        return str(reason)
    except Exception as error:  # the runtime's own
        return " ".join(str(error).split())
    return ""


def rows(words: list[str]) -> Iterator[Row]:
    """Every file whose name has one of the words."""
    for group, name, make in files():
        if not words or any(word.lower() in f"{name} {group}".lower() for word in words):
            yield tried(group, name, make)


def files() -> Iterator[tuple[str, str, Callable[[], File]]]:
    """(group, name, how it is made)."""
    for exporter, dynamo in EXPORTERS.items():
        for name in NETWORKS:
            key = f"{name} {'dynamo' if dynamo else 'script'}"

            def make(name: str = name, key: str = key, dynamo: bool = dynamo) -> File:
                return cached(key, lambda: from_network(name, dynamo))

            yield f"torch, {exporter} exporter", name, make
    for name, road in ROADS.items():
        yield "behind an exporter", name, road


def tried(group: str, name: str, make: Callable[[], File]) -> Row:
    """One row of the table."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other people's tools
            file = make()
    except Exception as error:  # of other people's tools
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Row(group, name, f"no file: {reason}", "no file")
    before = refusal(file.content, file.size)
    try:
        made = tidy(file.content, file.beside)
    except CannotTidy as reason:
        return Row(group, name, before, str(reason))
    after = refusal(made.content, file.size)
    return Row(group, name, before, after, made.nodes, made.difference)


def summary(found: list[Row]) -> list[str]:
    """The table of docs/exporting.md."""
    lines = [
        "| files | tried | accepted as they are | accepted after `tidy` |",
        "|---|---:|---:|---:|",
    ]
    for group in dict.fromkeys(row.group for row in found):
        some = [row for row in found if row.group == group and row.has_file]
        counts = (len(some), sum(not r.before for r in some), sum(not r.after for r in some))
        lines.append(f"| {group} | {' | '.join(map(str, counts))} |")
    lines += ["", "| not accepted | why |", "|---|---|"]
    for row in found:
        if row.after:
            why = row.before if not row.has_file else row.after
            shown = why if len(why) < 200 else f"{why[:197]}..."
            lines.append(f"| {row.name} ({row.group}) | {shown.replace('|', ' ')} |")
    return lines


def main() -> None:
    """Print a line per file, then the summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the summary there")
    options = parser.parse_args()
    found = []
    for row in rows(options.words):
        found.append(row)
        nodes = f"{row.nodes[0]:5} {row.nodes[1]:4}"
        marks = ["yes" if not text else "no " for text in (row.before, row.after)]
        print(
            f"{row.name[:36]:36} {row.group[:22]:22} {marks[0]} {marks[1]} {nodes} "
            f"{row.difference:.0e}  {(row.after or row.before)[:200]}",
            flush=True,
        )
    text = "\n".join(summary(found))
    print(f"\n{text}")
    if options.markdown:
        options.markdown.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
