"""nbgrader: a course that its stock commands run, and its gradebook.

course    the folder that `export nbgrader` writes: source/, nbgrader_config.py
cells     bridge cells: which cell of which notebook stands for an exercise
bridge    what a bridge cell calls where it is executed
judged    preprocessors that take a bridge cell's points from the judge, with no kernel between
sync      results of a batch run into gradebook.db, and marks by hand out of it

Only `judged` and `sync` import nbgrader, which is an extra.
"""
