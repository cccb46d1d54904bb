"""Grading a folder of submissions: what is to be done, results, lateness."""
