"""Gradescope: an archive for its "Configure autograder" page, and what runs in its container.

bundle    the archive: setup.sh, run_autograder, the kit, one session's graders
harness   one submission: /autograder/submission and its metadata -> results.json
results   a report in the documented format of results.json
"""
