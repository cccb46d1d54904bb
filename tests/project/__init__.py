"""Tests of the final project's scorer."""
