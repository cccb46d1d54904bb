"""Source text as every part of a release reads it, and refusals that name file and line."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autograder.errors import ReleaseError

COMMAND = "autograder release"


def refuse(where: str, line: int, message: str) -> ReleaseError:
    """The error for a fault in line `line` of the file `where`."""
    return ReleaseError(f"{where}:{line}: {message}")


def notice(where: str) -> str:
    """What a generated file says about itself; `where` is a path that starts with solutions/."""
    parts = PurePosixPath(where).parts
    source = "/".join(("solutions", *(parts[1:] or parts)))
    return f"Generated from {source} by `{COMMAND}`: change it there."


def read(path: Path, where: str) -> bytes:
    """The bytes of a file; ReleaseError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise refuse(where, 1, error.strerror or type(error).__name__) from None


def decode(data: bytes, where: str) -> str:
    """The normalized text of UTF-8 bytes; ReleaseError with the line that is none."""
    try:
        return normalize(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise refuse(where, line, "not UTF-8") from None


def normalize(text: str) -> str:
    """Drop a byte-order mark and make every line, the last one too, end with LF."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") or not text else text + "\n"


def parse(text: str, where: str) -> ast.Module:
    """The syntax tree of a module or of a notebook's cells; ReleaseError if it is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape is not the stripper's business
            tree = compile(
                text, where, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True
            )
    except SyntaxError as error:
        raise refuse(where, error.lineno or 1, f"not Python: {error.msg}") from None
    except ValueError as error:
        raise refuse(where, 1, f"not Python: {error}") from None
    assert isinstance(tree, ast.Module)
    return tree


@dataclass(frozen=True)
class Comment:
    """A comment token; `alone` on its line behind `indent`, or inside an open bracket."""

    line: int
    text: str
    indent: str
    alone: bool
    bracketed: bool


def comments(text: str, where: str) -> list[Comment]:
    """All comment tokens, in order; ReleaseError if the text cannot be split into tokens."""
    lines = text.split("\n")
    tokens, depth = [], 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.OP:
                depth += (token.string in "([{") - (token.string in ")]}")
            elif token.type == tokenize.COMMENT:
                row, column = token.start
                before = lines[row - 1][:column]
                comment = token.string.rstrip()
                tokens.append(Comment(row, comment, before, not before.strip(), depth > 0))
    except (tokenize.TokenError, SyntaxError) as error:
        line = error.args[1][0] if isinstance(error, tokenize.TokenError) else error.lineno
        raise refuse(where, line or 1, f"not Python: {error.args[0]}") from None
    return tokens
