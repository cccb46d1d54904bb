"""The command line: reads arguments, calls one function, prints, and chooses the exit code.

Everything that prints or exits is here; nothing imports this package.

student     check, submit          staff       grade, report, similar
lecturer    release, doctor        project     tidy, score, leaderboard, pull-request
export      student-kit, gradescope, nbgrader, github, classroom50, canvas, moodle, feedback
platforms   nbgrader sync; what platforms call: gradescope, github, classroom50
"""

from autograder.cli.app import main

__all__ = ["main"]
