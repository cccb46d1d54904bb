"""Hidden graders of session 1: metrics, evaluation and training."""
