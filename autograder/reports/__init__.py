"""Pure functions from records to JSON, text, HTML and CSV."""
