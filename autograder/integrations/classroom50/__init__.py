"""Classroom 50 (github.com/foundation50/classroom50): public checks in students' repositories.

bundle    what a teacher puts into the classroom's repository, and the template for students
entry.py  the bundle's autograder.py, which Classroom 50's runner executes in the checkout
results   a report as result.json, schema classroom50/result/v1, and release-body.md
"""
