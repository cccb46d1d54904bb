"""Graders of session 5."""
