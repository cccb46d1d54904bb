"""`solutions/` -> `assignments/`: strip the solution regions, copy the rest, keep both in sync.

text      source text: encoding, line ends, syntax, comments; refusals with file and line
regions   solution regions of a module, and the blanks that replace them
notebook  lab sheets (jupytext, percent format) and the notebooks that students get
build     all of solutions/ against course.yaml: what assignments/ must hold
sync      write that, or say how the folder differs from it

In a module, comments alone on their lines mark a region inside a function body:

    # BEGIN SOLUTION s1.sparsity
    ...
    # END SOLUTION

It becomes one TODO and one `NotImplementedError`, both with the exercise id. Markers are whole
comment tokens: text in strings never counts, and a comment that only resembles a marker is
refused. A lab sheet `lab.py` becomes `lab.ipynb`; its regions are nbgrader's
`### BEGIN SOLUTION`, with `# ` before them in Markdown cells.

Every refusal is a `ReleaseError` that starts with file and line.
"""

from autograder.release.build import build_release
from autograder.release.notebook import lab_notebook, teachers_notebook
from autograder.release.regions import (
    Region,
    exercise_ids,
    exercise_ids_in,
    find_regions,
    strip_source,
)
from autograder.release.sync import MANIFEST, check_release, write_release

__all__ = [
    "MANIFEST",
    "Region",
    "build_release",
    "check_release",
    "exercise_ids",
    "exercise_ids_in",
    "find_regions",
    "lab_notebook",
    "strip_source",
    "teachers_notebook",
    "write_release",
]
