"""What students and graders both import: records, data, models, training, profiling, plots.

Importing this package (or any module of it) prints nothing and downloads nothing.
"""
