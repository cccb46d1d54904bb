"""Pages that are made from the code and the hand-outs: `python docs/generate.py` writes them.

A test compares what is there with what would be written (`tests/docs/test_site.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from autograder.cli.app import EXIT_CODES, app

ROOT = Path(__file__).resolve().parent.parent
MARKUP = re.compile(r"\[/?(?:bold|red|yellow|dim)\]")


def commands() -> str:
    """Every command with its arguments and options, as `--help` has them."""
    parts = [
        "# Commands\n\nMade from the command line itself; `autograder COMMAND --help` says the "
        "same. What files, codes and settings mean is in the [reference](reference.md).\n",
        f"{EXIT_CODES}\n",
    ]
    parts += _sections("autograder", typer.main.get_command(app))
    return "\n".join(parts)


def _sections(name: str, command: Any) -> Iterator[str]:
    """A section for each command below `command`, groups opened; hidden ones are for programs."""
    for key, each in vars(command).get("commands", {}).items():
        if each.hidden:
            continue
        if vars(each).get("commands"):
            yield from _sections(f"{name} {key}", each)
        else:
            yield _section(f"{name} {key}", each)


def _section(name: str, command: Any) -> str:
    text = " ".join(MARKUP.sub("", command.help or "").split())
    lines = [f"## {name}\n", f"{text}\n", "| argument or option | |", "|---|---|"]
    for parameter in command.params:
        lines.append(f"| {_spelling(parameter)} | {_cell(_said(parameter))} |")
    if command.epilog:
        lines.append(f"\n{MARKUP.sub('', command.epilog)}")
    return "\n".join(lines) + "\n"


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        word = (parameter.metavar or parameter.name).upper().strip("[]{}")
        return f"`{word}`" if parameter.required else f"`[{word}]`"
    return ", ".join(f"`{option}`" for option in parameter.opts)


def _said(parameter: Any) -> str:
    said = MARKUP.sub("", getattr(parameter, "help", None) or "")
    needed = parameter.required and parameter.param_type_name != "argument"
    return f"{said} Required." if needed else said


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())


def citations() -> str:
    """The references of all hand-outs, by session."""
    parts = [
        "# Citations\n\nTo cite the kit itself, use `CITATION.cff` in the repository.\n\n"
        "These are the papers that facts, formulas and methods of the course come from, gathered "
        "from the hand-outs. Where exactly each\nis used (section, equation) is said there and in "
        "the docstrings.\n"
    ]
    for path in sorted((ROOT / "solutions").glob("*/README.md")):
        text = path.read_text("utf-8")
        title = text.splitlines()[0].removeprefix("# ")
        references = re.split(r"\n#+ ", text.partition("## References\n")[2])[0].strip()
        parts.append(f"## {title}\n\n{references}\n")
    return "\n".join(parts)


PAGES = {"commands.md": commands, "citations.md": citations}


def main() -> None:
    """Write all of them."""
    for name, made in PAGES.items():
        (ROOT / "docs" / name).write_text(made(), "utf-8")


if __name__ == "__main__":
    main()
