"""Files as students export them, and what the scorer and `autograder tidy` say of them."""
