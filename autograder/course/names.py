"""Names that course.yaml may use, kept apart from what they stand for: nothing here is heavy."""

COSTS = ("imt-2025", "micronet-2019")
"""Costs of the final project; `autograder.project.costs` computes them."""
