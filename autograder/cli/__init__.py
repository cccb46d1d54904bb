"""The command line: reads arguments, calls one function, prints, and chooses the exit code.

Everything that prints or exits is here; nothing imports this package.

student     check, submit          staff       grade, report, doctor
lecturer    release                project     tidy, score, leaderboard, pull-request
export      student-kit, gradescope, nbgrader, canvas, moodle, feedback
platforms   nbgrader sync
"""

from autograder.cli.app import main

__all__ = ["main"]
