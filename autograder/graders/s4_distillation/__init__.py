"""Hidden graders of session 4."""
