"""One-line mutants of the solutions and of the kit's own arithmetic, and who notices them."""
