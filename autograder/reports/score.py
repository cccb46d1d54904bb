"""One score of the final project as terminal tables and as Markdown, from its record."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from autograder.records import Report
from autograder.records.measurement import Answers, MeasuredLayer, Measurement, Score
from autograder.text_safety import clean_line

NAME = 60
REVISION = 13  # characters of a commit, enough to tell it
Row = tuple[str, str, str]


def verdict(score: Score) -> str:
    """One sentence: refused, below the gate, or valid."""
    if score.refusal:
        return f"refused: {clean_line(score.refusal, 400)}"
    if score.answers is None:
        return "not run"
    text = f"{score.counted:,} of {score.answers.images:,} right answers count"
    if score.valid:
        return f"valid: {text}, the gate is {score.gate:,}"
    return f"below the gate: {text}, {score.gate:,} are needed"


def figures(score: Score) -> list[Row]:
    """(quantity, value, what it is relative to) of everything that was measured."""
    rows: list[Row] = []
    if (answers := score.answers) is not None:
        sizes = ", ".join(f"{n:,} at batch {size}" for size, n in answers.by_batch.items())
        rows += [
            ("right answers", f"{answers.correct:,} of {answers.images:,}", sizes),
            ("on perturbed images", f"{answers.correct_perturbed:,}", _draws(answers)),
            ("counted accuracy", f"{100 * score.accuracy:.2f} %", f"gate {score.gate:,}"),
        ]
    if (measured := score.measurement) is not None:
        share = {
            name: f"{100 * ratio:.2f} % of the reference" for name, ratio in score.ratios.items()
        }
        excess = f", and {measured.excess_macs:,} for other work" if measured.excess_macs else ""
        rows += [
            ("parameters", f"{measured.params:,}", ""),
            ("nonzero parameters", f"{measured.nonzeros:,}", share.get("params", "")),
            ("bytes of nonzeros", f"{measured.stored_bits / 8:,.0f}", share.get("bytes", "")),
            ("file", f"{measured.file_bytes:,} bytes", f"opset {measured.opset}"),
            ("MACs", f"{measured.macs:,}{excess}", share.get("macs", "")),
            ("other operations", f"{measured.ops:,}", ""),
        ]
    rows += [(f"cost {name}", f"{value:.5f}", "") for name, value in score.costs.items()]
    return [*rows, *claims(score)]


def _draws(answers: Answers) -> str:
    counts = ", ".join(f"{count:,}" for count in answers.perturbed)
    return f"mean of {counts} ({answers.draws} draws)"


def public_draws_note(score: Score) -> str:
    """What a student has to know of a score without the course's secret; "" for one with it."""
    if score.answers is None or score.answers.draws == "course":
        return ""
    spread = USUAL_SPREAD.get(score.dataset)
    usual = f" Two such means differ by {spread}; leave that room at the gate." if spread else ""
    return (
        "These perturbed images are drawn from a public key; the course draws others from the same "
        f"file.{usual}"
    )


def claims(score: Score) -> list[Row]:
    """What the card says beside what was measured."""
    rows: list[Row] = []
    if score.base_revision:
        shown = clean_line(score.base_revision, REVISION)
        rows.append(("base revision", shown, "as the card says"))
    if score.claim.accuracy is not None and score.answers is not None:
        gap = 100 * (score.answers.correct / score.answers.images - score.claim.accuracy)
        rows.append(
            (
                "claimed accuracy",
                f"{100 * score.claim.accuracy:.2f} %",
                f"measured {gap:+.2f} points",
            )
        )
    if score.claim.cost is not None and score.costs:
        name, cost = next(iter(score.costs.items()))
        gap = cost - score.claim.cost
        rows.append((f"claimed {name}", f"{score.claim.cost:.5f}", f"measured {gap:+.5f}"))
    return rows


def layer_rows(layers: Sequence[MeasuredLayer]) -> list[tuple[str, ...]]:
    """(position, operator, output, params, nonzeros, bits, MACs, other operations) per layer."""
    rows: list[tuple[str, ...]] = []
    for layer in layers:
        if not (layer.params or layer.macs or layer.ops):
            continue
        bits = "" if layer.bits is None else f"{layer.bits[0]} x {layer.bits[1]}"
        rows.append(
            (
                str(layer.position),
                layer.kind,
                " x ".join(map(str, layer.shape)),
                f"{layer.params:,}" if layer.params else "",
                f"{layer.nonzeros:,}" if layer.params else "",
                bits,
                f"{layer.macs:,}" if layer.macs else "",
                f"{layer.ops:,}" if layer.ops else "",
            )
        )
    return rows


USUAL_SPREAD = {
    "cifar10": "9 of 10,000 images on average, by 18 at most where it was measured",
    "digits": "1 of 360 images on average, by 3 at most where it was measured",
}
"""How far two means of three draws lie apart, by data set: measured by `benchmarks.draws`."""

NARROWEST = 8  # characters of a text that gives way to numbers
MOST = 6  # operators that are listed for their operations
OPERATION_HEADS = ("operator", "nodes", "ops", "share", "largest: #")
LAYER_HEADS = ("#", "operator", "output", "params", "nonzero", "bits w x a", "MACs", "ops")


def terminal(score: Score, brief: bool = False) -> Group:
    """Tables for the command line; names are cleaned, markup in them is inert."""
    head = Text(f"{clean_line(score.team, NAME)} on {score.dataset}: ")
    style = "green" if score.valid else "bold red" if score.refusal else "yellow"
    head.append(verdict(score), style=style)
    if brief:
        return Group(head)
    table = Table(show_header=False, box=None, pad_edge=False, show_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    for row in figures(score):
        table.add_row(*map(Text, row))
    note = Text(public_draws_note(score), style="dim")
    if score.measurement is None:
        return Group(head, table)
    title = "Products, for one image (the .md file has every operator)"
    layers = narrow_table(title)
    rows = layer_rows([layer for layer in score.measurement.layers if layer.products])
    texts = ("operator", "output")
    add_columns(layers, LAYER_HEADS, rows, left=texts, folded=texts)
    for cells in rows:
        layers.add_row(*cells)
    other = _other_operations(score.measurement)
    return Group(head, "", table, *([note] if note.plain else []), "", layers, "", other)


def costly_operations(measured: Measurement) -> list[tuple[str, ...]]:
    """(operator, how many, operations, share, position of the largest), the most first.

    Beyond the products: an operator of a product counts with its bias and scale.
    """
    groups: dict[str, list[MeasuredLayer]] = {}
    for layer in measured.layers:
        if layer.ops:
            groups.setdefault(layer.kind, []).append(layer)
    rows = []
    for kind, layers in groups.items():
        total = sum(layer.ops for layer in layers)
        largest = max(layers, key=lambda layer: layer.ops)
        share = f"{100 * total / measured.ops:.1f} %"
        rows.append((total, (kind, str(len(layers)), f"{total:,}", share, str(largest.position))))
    return [row for _, row in sorted(rows, key=lambda pair: -pair[0])[:MOST]]


def _other_operations(measured: Measurement) -> Table:
    free = measured.ops - measured.excess_macs
    title = f"Other operations: {measured.ops:,}, of which {free:,} are free"
    table = narrow_table(title)
    rows = costly_operations(measured)
    add_columns(table, OPERATION_HEADS, rows, left=OPERATION_HEADS[:1], folded=())
    for row in rows:
        table.add_row(*row)
    return table


def narrow_table(title: str) -> Table:
    """A table of many columns that are still whole in 80 characters."""
    table = Table(
        title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False
    )
    table.title_justify = "left"
    return table


def add_columns(
    table: Table,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: Sequence[str],
    folded: Sequence[str],
) -> None:
    """Columns with room for every number; those in `folded` give way and go on in the next line."""
    for index, head in enumerate(heads):
        width = max(len(row[index]) for row in (heads, *rows))
        is_folded = head in folded
        table.add_column(
            head,
            justify="left" if head in left else "right",
            no_wrap=not is_folded,
            overflow="fold",
            min_width=min(width, NARROWEST) if is_folded else width,
        )


def markdown(report: Report) -> str:
    """The score of a report, for a pull request's comment or a job summary; "" without one."""
    score = report.score
    if score is None:
        return ""
    team = escape_markdown(clean_line(score.team, NAME))
    lines = [f"### {team} on {score.dataset}", "", escape_markdown(verdict(score)), ""]
    lines += ["| | | |", "|---|---:|---|"]
    lines += [f"| {' | '.join(map(escape_markdown, row))} |" for row in figures(score)]
    if note := public_draws_note(score):
        lines += ["", escape_markdown(note)]
    if score.measurement is not None:
        lines += ["", f"| {' | '.join(OPERATION_HEADS)} |", "|---|---:|---:|---:|---:|"]
        lines += [f"| {' | '.join(cells)} |" for cells in costly_operations(score.measurement)]
        lines += ["", "<details><summary>Operator by operator, for one image</summary>", ""]
        lines += [f"| {' | '.join(LAYER_HEADS)} |", "|---:|---|---|---:|---:|---:|---:|---:|"]
        lines += [f"| {' | '.join(cells)} |" for cells in layer_rows(score.measurement.layers)]
        lines += ["", "</details>"]
    kit = escape_markdown(report.kit_version)
    lines += ["", f"Isolation: {report.isolation.level}. Kit {kit}."]
    return "\n".join(lines) + "\n"


_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\`*_[]<>|!~&$"})
_BREAK = "&#8203;"  # no width; what is escaped is still a link or a mention to GitHub
_LINKS = re.compile(r"@|#|://|www(?=\.)|GH(?=-)", re.IGNORECASE)


def escape_markdown(text: str) -> str:
    """Text in which no character means anything to Markdown or HTML, nor names anybody."""
    escaped = text.translate(_SPECIAL).replace("\\<", "&lt;").replace("\\>", "&gt;")
    return _LINKS.sub(lambda match: f"{match[0][:1]}{_BREAK}{match[0][1:]}", escaped)
