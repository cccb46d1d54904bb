"""Names that course.yaml may use, kept apart from what they stand for: nothing here is heavy."""

import re

EXERCISE_ID = re.compile(r"s[1-9][0-9]*(\.[A-Za-z_][A-Za-z0-9_]*){1,2}", re.ASCII)
"""An exercise: `s1.sparsity`, or `s2.Observer.update`. A blank stub raises it as its text."""

COSTS = ("imt-2025", "micronet-2019")
"""Costs of the final project; `autograder.project.costs` computes them."""
