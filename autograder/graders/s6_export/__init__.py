"""Hidden graders of session 6."""
