"""Hidden graders of session 2: quantisation and pruning."""
