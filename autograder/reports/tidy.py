"""What `autograder tidy` did to a file, for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autograder.records.tidied import TidiedFile
from autograder.text_safety import clean_line

MAX_LINE = 300


def tidy_report(tidied: TidiedFile) -> Group:
    """Changes, what is left, whether outputs agree, and what the scorer says."""
    before, after = tidied.nodes
    parts: list[RenderableType] = [Text(f"{before:,} nodes before, {after:,} after")]
    if tidied.changes:
        parts.append(_changes(tidied))
    parts += [Text(f"left as it is: {clean_line(line, MAX_LINE)}") for line in tidied.left]
    parts.append(
        Text(
            f"Outputs agree on {tidied.images} random images, within {tidied.difference:.1g} of "
            "the largest."
        )
    )
    if tidied.scorer:
        parts.append(
            Text(f"The scorer would refuse it: {clean_line(tidied.scorer, MAX_LINE)}", "bold red")
        )
    else:
        parts.append(Text("The scorer accepts it.", "green"))
    return Group(*parts)


def _changes(tidied: TidiedFile) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for what, count in tidied.changes:
        table.add_row(f"{count:,}", Text(clean_line(what, MAX_LINE)))
    return table
