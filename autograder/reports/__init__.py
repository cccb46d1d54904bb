"""Pure functions from records to text, HTML, CSV, JUnit and Markdown."""
