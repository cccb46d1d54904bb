"""Solution regions: nothing leaks, nothing else changes, faults have a line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.errors import ReleaseError
from autograder.release import exercise_ids_in, find_regions, strip_source
from tests.release.samples import BEGIN, BLANK, END, MODULE, assert_nothing_leaks, body
from tests.support import ROOT


def test_regions_become_blanks_and_the_rest_stays() -> None:
    assert strip_source(MODULE) == BLANK


def test_stripping_again_changes_nothing() -> None:
    assert strip_source(BLANK) == BLANK


def test_regions_know_their_lines() -> None:
    lines = MODULE.split("\n")
    for region in find_regions(MODULE):
        assert lines[region.begin - 1].strip() == f"# BEGIN SOLUTION {region.id}"
        assert lines[region.end - 1].strip() == "# END SOLUTION"
    assert [region.id for region in find_regions(MODULE)] == ["s1.area", "s1.grow"]


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_do_not_matter(ending: str, mark: str) -> None:
    assert strip_source(mark + MODULE.replace("\n", ending)) == BLANK


def test_tabs_and_a_missing_last_line_end_are_kept_in_order() -> None:
    text = "def f():\n\t# BEGIN SOLUTION s1.f\n\treturn 1\n\t# END SOLUTION"
    assert strip_source(text).split("\n")[2] == '\traise NotImplementedError("s1.f")'


def test_async_functions_decorators_and_nested_blocks_are_supported() -> None:
    text = (
        "async def f(xs):\n"
        "    async for x in xs:\n"
        "        # BEGIN SOLUTION s1.f\n"
        "        @staticmethod\n"
        "        def g():\n"
        "            return [\n"
        "                x]\n"
        "        try:\n"
        "            yield g\n"
        "        except ValueError:\n"
        "            pass\n"
        "        else:\n"
        "            pass\n"
        "        # END SOLUTION\n"
    )
    assert strip_source(text).splitlines()[2:] == [
        "        # TODO(s1.f): your code; the docstring says what it must do",
        '        raise NotImplementedError("s1.f")',
    ]


REFUSED = {
    "begin without end": (body(BEGIN, "return 1"), 2, "without its END"),
    "stray end": (body("return 1", END), 3, "END SOLUTION without its BEGIN"),
    "second end": (body(BEGIN, "return 1", END, END), 5, "without its BEGIN"),
    "nested": (body(BEGIN, BEGIN, "return 1", END, END), 3, "inside the region of line 2"),
    "empty": (body("pass", BEGIN, END), 3, "is empty"),
    "blank lines only": (body("pass", BEGIN, "", "# think", END), 3, "is empty"),
    "module level": (f"{BEGIN}\nx = 1\n{END}\n", 1, "not inside a function body"),
    "class body": (f"class A:\n    {BEGIN}\n    x = 1\n    {END}\n", 2, "not inside a function"),
    "whole function": (f"{BEGIN}\ndef f():\n    pass\n{END}\n", 1, "not inside a function body"),
    "class in a function": (
        f"def f():\n    class A:\n        {BEGIN}\n        x = 1\n        {END}\n",
        3,
        "not inside a function body",
    ),
    "end deeper": (body("if x:", f"    {BEGIN}", "    x = 1", END), 5, "not indented as its BEGIN"),
    "marker not as its code": (body("if x:", BEGIN, "    x = 1", END), 3, "indented as its first"),
    "docstring inside": (body(BEGIN, '"""Doc."""', "return 1", END), 2, "holds the docstring"),
    "two branches": (
        body("if x:", f"    {BEGIN}", "    x = 1", "else:", "    x = 2", f"    {END}"),
        3,
        "whole statements of one block",
    ),
    "the else line": (
        body("if x:", "    x = 1", f"    {BEGIN}", "else:", "    x = 2", f"    {END}"),
        4,
        "whole statements of one block",
    ),
    "the finally line": (
        body("try:", f"    {BEGIN}", "    x = 1", "finally:", f"    {END}", "    x = 2"),
        3,
        "whole statements of one block",
    ),
    "end of an outer block": (
        body("if x:", "    x = 1", f"    {BEGIN}", "    x = 2", "x = 3", f"    {END}"),
        4,
        "whole statements of one block",
    ),
    "half a statement": (
        body(BEGIN, "if x:", "    x = 1", END, "    x = 2"),
        2,
        "whole statements of one block",
    ),
    "decorator outside": (
        body("@x", BEGIN, "def g():", "    return 1", END, "return g"),
        3,
        "whole statements of one block",
    ),
    "in brackets": (body("return (", BEGIN, "x", END, ")"), 3, "inside an open bracket"),
    "after code": (body(f"x = 1  {BEGIN}", "return x", END), 2, "must stand alone"),
    "end after code": (body(BEGIN, f"return x  {END}"), 3, "must stand alone"),
    "not python": ("def f(:\n", 1, "not Python"),
    "null byte": ("x = 1\0\n", 1, "not Python"),
    "binding of nonlocal goes": (
        body(BEGIN, "y = 1", END, "def g():", "    nonlocal y", "    y = x", "return g"),
        6,
        "does not compile once stripped",
    ),
}


@pytest.mark.parametrize(("text", "line", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_faulty_region_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ReleaseError) as caught:
        strip_source(text, "solutions/s1_x/m.py")
    assert str(caught.value).startswith(f"solutions/s1_x/m.py:{line}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "comment",
    [
        "#begin solution",
        "#BEGIN SOLUTION s1.f",
        "# Begin Solution s1.f",
        "# BEGIN  SOLUTION s1.f",
        "# BEGIN SOLUTION",
        "# BEGIN SOLUTION s1.f extra",
        "# BEGIN_SOLUTION s1.f",
        "# BEGIN SOLUTION: s1.f",
        "### BEGIN SOLUTION s1.f",
        "# END SOLUTION s1.f",
        "#END SOLUTION",
        "# end solution",
        "# ENDSOLUTION",
        "# SOLUTION BEGIN s1.f",
        "# solution end",
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_an_unusual_spelling_is_refused(comment: str, alone: bool) -> None:
    text = body("x = 1", comment) if alone else body("", f"x = 1  {comment}")
    with pytest.raises(ReleaseError, match=r"^m\.py:3: write '# BEGIN SOLUTION"):
        strip_source(text, "m.py")


@pytest.mark.parametrize(
    "line",
    [
        's = "# BEGIN SOLUTION s1.f"',
        "s = '''# begin solution'''",
        "begin_solution = 1",
        "x = 1  # append solutions, the weekend solution",
        "x = 1  # the solution ends here",
    ],
)
def test_what_is_no_marker_is_left_alone(line: str) -> None:
    assert strip_source(body(line)) == body(line)


def test_trailing_blanks_after_a_marker_do_no_harm() -> None:
    assert "return 1" not in strip_source(body(f"{BEGIN} \t", "return 1", f"{END}  "))


NAMES = st.sampled_from(["alpha", "beta", "gamma", "delta"])
SIMPLE = st.one_of(
    st.builds("{} = {}".format, NAMES, st.integers(0, 99)),
    st.builds("{} = '# END SOLUTION {}'".format, NAMES, st.integers(0, 99)),
    st.builds("{} = [\n    {},\n]".format, NAMES, st.integers(0, 99)),
    st.just("# a comment"),
    st.just(""),
    st.just('text = """\n# BEGIN SOLUTION s1.no\n  odd\n"""'),
)


def indented(text: str, by: str) -> str:
    return "\n".join(by + line if line else line for line in text.split("\n"))


@st.composite
def modules(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Draw a module with regions at several depths, and the secret names used inside them."""
    parts, secrets = ["import os"], []
    for number in range(draw(st.integers(1, 4))):
        secret = f"secret_{number}"
        depth = draw(st.integers(1, 3))
        pad = draw(st.sampled_from(["    ", "  ", "\t"]))
        lines = [f"def f{number}(x):"]
        lines += [pad * level + "while x:" for level in range(1, depth)]
        inner = pad * depth
        before = draw(st.lists(SIMPLE, max_size=2))
        inside = [f"{secret} = x", *draw(st.lists(SIMPLE, max_size=3)), f"del {secret}"]
        after = draw(st.lists(SIMPLE, max_size=2))
        lines += [indented(text, inner) for text in before]
        if draw(st.booleans()):
            secrets.append(secret)
            lines += [f"{inner}# BEGIN SOLUTION s1.f{number}"]
            lines += [indented(text, inner) for text in inside]
            lines += [f"{inner}# END SOLUTION"]
        else:
            lines += [f"{inner}pass"]
        lines += [indented(text, inner) for text in after]
        parts.append("\n".join(lines))
    return "\n\n\n".join(parts) + "\n", secrets


@given(modules())
def test_stripping_any_module_compiles_leaks_nothing_and_is_idempotent(
    drawn: tuple[str, list[str]],
) -> None:
    text, secrets = drawn
    stripped = strip_source(text)
    ast.parse(stripped)
    assert strip_source(stripped) == stripped
    assert not [secret for secret in secrets if secret in stripped]
    assert stripped.count("raise NotImplementedError(") == len(secrets)


@given(modules())
def test_lines_outside_the_regions_are_kept_as_they_are(drawn: tuple[str, list[str]]) -> None:
    text, _ = drawn
    lines = text.split("\n")
    for region in reversed(find_regions(text)):
        del lines[region.begin - 1 : region.end]
    stub = re.compile(r"\s*(# TODO\(s1|raise NotImplementedError)")
    assert [line for line in strip_source(text).split("\n") if not stub.match(line)] == lines


@given(st.text(alphabet="# BEGINSOLUTION\n s1.f:\"'()x=1\t", max_size=60))
def test_arbitrary_text_is_stripped_or_refused(text: str) -> None:
    try:
        stripped, told = strip_source(text), "<source>:1: "
        assert strip_source(stripped) == stripped
    except ReleaseError as error:
        told = str(error)
    assert re.match(r"<source>:\d+: ", told)


def test_ids_are_listed_in_order_from_regions_and_from_blanks(tmp_path: Path) -> None:
    source, blank = tmp_path / "source.py", tmp_path / "blank.py"
    source.write_text(MODULE)
    blank.write_text(BLANK)
    assert exercise_ids_in(source) == exercise_ids_in(blank) == ["s1.area", "s1.grow"]


def test_ids_of_an_unreadable_file_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="No such file"):
        exercise_ids_in(tmp_path / "absent.py")
    broken = tmp_path / "broken.py"
    broken.write_text("x = (\n")
    with pytest.raises(ReleaseError, match=r"broken\.py:\d+: not Python"):
        exercise_ids_in(broken)


# ---- the real sources ------------------------------------------------------------------------

REAL = sorted(
    path
    for path in (ROOT / "solutions").glob("*/*.py")
    if path.name != "lab.py" and "# BEGIN SOLUTION" in path.read_text()
)


@pytest.mark.parametrize("path", REAL, ids=[f"{path.parent.name}-{path.stem}" for path in REAL])
def test_the_real_modules_leak_nothing(path: Path) -> None:
    source = path.read_text()
    stripped = strip_source(source, str(path))
    assert_nothing_leaks(source, stripped)
    assert strip_source(stripped) == stripped
