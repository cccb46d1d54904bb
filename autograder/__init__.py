"""Grades neural-network compression assignments in processes that student code cannot reach."""
