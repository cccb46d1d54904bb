"""The hostile process: a student's modules, and what the judge asks them. No grader, no points."""
