"""A module, its blank and a lab sheet that several tests of a release use."""

from __future__ import annotations

from autograder.release import find_regions

MODULE = '''\
"""Docstring of the module: # BEGIN SOLUTION s1.text is text here."""

import math  # stays, students need it

TEXT = """
# BEGIN SOLUTION s1.text
# END SOLUTION
"""


def area(radius: float) -> float:
    """Return the area of a disc."""
    if radius < 0:
        raise ValueError(f"radius must not be negative, got {radius}")
    # BEGIN SOLUTION s1.area
    squared = radius * radius
    return math.pi * squared
    # END SOLUTION


class Disc:
    """A disc."""

    def grow(self, by: float) -> float:
        """Grow it."""
        if by:
            # BEGIN SOLUTION s1.grow

            # a remark on the solution
            self.radius = by  # BEGINNING of the end
            self.note = "# END SOLUTION"

            # END SOLUTION
        return self.radius
'''

BLANK = '''\
"""Docstring of the module: # BEGIN SOLUTION s1.text is text here."""

import math  # stays, students need it

TEXT = """
# BEGIN SOLUTION s1.text
# END SOLUTION
"""


def area(radius: float) -> float:
    """Return the area of a disc."""
    if radius < 0:
        raise ValueError(f"radius must not be negative, got {radius}")
    # TODO(s1.area): your code; the docstring says what it must do
    raise NotImplementedError("s1.area")


class Disc:
    """A disc."""

    def grow(self, by: float) -> float:
        """Grow it."""
        if by:
            # TODO(s1.grow): your code; the docstring says what it must do
            raise NotImplementedError("s1.grow")
        return self.radius
'''


def body(*lines: str) -> str:
    return "def f(x):\n" + "".join(f"    {line}\n" for line in lines)


BEGIN, END = "# BEGIN SOLUTION s1.f", "# END SOLUTION"


def meta(name: str, *, grade: bool = False, points: str = "", solution: bool = True) -> str:
    flags = f'"grade": {str(grade).lower()}, "solution": {str(solution).lower()}, "locked": false'
    points = f', "points": {points}' if points else ""
    return f'nbgrader={{"schema_version": 3, {flags}, "grade_id": "{name}"{points}}}'


LAB = f"""\
# ---
# jupyter:
#   kernelspec:
#     display_name: My own kernel
#     language: python
#     name: mine
# ---

# %% [markdown]
# # A lab sheet

# %%
# %matplotlib inline
import math

# %% {meta("plot")}
values = [1, 2]
### BEGIN SOLUTION
plotted = math.fsum(values)
### END SOLUTION

# %% {meta("whole")}
unmarked_answer = 42

# %% [markdown] {meta("why", grade=True, points="5")}
# Why does it sink?
#
# ### BEGIN SOLUTION
# Because of the secret reason.
# ### END SOLUTION

# %% [markdown] {meta("essay", grade=True, points="3")}
# The full essay of the lecturer.

# %% {meta("tests", grade=True, points="2", solution=False)} tags=["x"]
assert values
### BEGIN HIDDEN TESTS
assert hidden_check
### END HIDDEN TESTS

# %%
1
# %%
1
"""

TASK = """\
# %% [markdown] nbgrader={"schema_version": 3, "grade": false, "solution": false, \
"locked": true, "task": true, "grade_id": "task", "points": 4}
# Do it.
# ### BEGIN MARK SCHEME
# Half the points for a try.
# ### END MARK SCHEME
"""


def assert_nothing_leaks(source: str, stripped: str) -> None:
    lines = source.split("\n")
    inside: set[str] = set()
    outside = list(lines)
    for region in reversed(find_regions(source)):
        inside |= {line.strip() for line in lines[region.begin : region.end - 1]}
        del outside[region.begin - 1 : region.end]
    solution = {line for line in inside if len(line) > 3} - {line.strip() for line in outside}
    assert solution
    assert not solution & {line.strip() for line in stripped.split("\n")}
