"""Hidden graders, one folder a session; only the judge process imports them."""
