"""Grades neural-network compression assignments in processes that student code cannot reach."""

import os

KIT = "compression-course"
"""The name of the distribution, as packages are installed."""
OWN = ("autograder", "solutions", "assignments")
"""Import names that submitted modules do not get."""

# ONNX Runtime's own builds report their use over the network, and keep an identifier and a database
# in the home folder, unless this is set before the library is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
