"""The commands together, and how every error that a person is meant to read becomes a line."""

from __future__ import annotations

import codecs
import sys

import typer
from rich.markup import escape

from autograder.cli import export, lecturer, platforms, project, staff, student
from autograder.cli.common import err
from autograder.errors import AutograderError, ExitCode, InputErrors
from autograder.reports.plain import PLAIN, plain_signs

EXIT_CODES = (
    "Exit codes: 0 fine, 1 problems reported (failed checks, files out of sync), "
    "2 bad arguments or input, 3 graded with tool errors, 4 the engine failed, 130 interrupted."
)

app = typer.Typer(
    name="autograder",
    help="Check, submit and grade the assignments of a course on compressing neural networks.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for commands in (student, staff, lecturer, project, export, platforms):
    commands.register(app)


def main() -> None:
    """Entry point: turns every error that a person is meant to read into one line."""
    _degrade_output()
    try:
        code = app(standalone_mode=False)
    except AutograderError as error:
        err.print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        for line in error.lines if isinstance(error, InputErrors) else ():
            err.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:
        show = getattr(error, "show", None)  # click's own usage errors
        if show is None:
            raise
        show()
        sys.exit(ExitCode.USAGE)
    sys.exit(code or 0)


def _degrade_output() -> None:
    """A terminal of another encoding gets the nearest sign that it can show, never an exception."""
    codecs.register_error(PLAIN, plain_signs)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=PLAIN)
