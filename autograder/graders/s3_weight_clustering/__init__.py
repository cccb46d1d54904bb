"""Hidden graders of session 3: clustering, coding, compression to bytes."""
