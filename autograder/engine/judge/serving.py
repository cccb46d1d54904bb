"""How a judge of any kind talks to the host that started it.

It receives the job, then submissions until None. It sends

    ("progress", student, exercise id)     an exercise begins
    ("report", Report)                     a submission is done
    ("fatal", text)                        we cannot go on, and trying again would not help
    ("error", text)                        we cannot go on; the host starts another judge
"""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

from autograder.engine.job import Deliver, GradingJob, Progress
from autograder.engine.messages import Messages
from autograder.errors import EngineError, ExitCode
from autograder.submissions.submission import Submission

Run = Callable[[GradingJob, Iterator[Submission], Deliver, Progress], None]
"""Grades submissions one after the other; raises EngineError when it cannot go on."""


class GraderError(EngineError):
    """The graders, or the job, are at fault: trying again would not help."""


def serve(connection: Messages, run: Run) -> NoReturn:
    """Be a judge: let `run` grade what comes until nothing comes, then end the process."""
    status = int(ExitCode.OK)
    try:
        job: GradingJob = connection.receive()
        if job.data_root:
            os.environ["COURSE_DATA"] = job.data_root
        run(
            job,
            _submissions(connection),
            lambda report: connection.send(("report", report)),
            lambda student, exercise: connection.send(("progress", student, exercise)),
        )
    except EngineError as error:
        status = int(error.exit_code)
        with contextlib.suppress(OSError):
            connection.send(("fatal" if isinstance(error, GraderError) else "error", str(error)))
    except (EOFError, OSError):  # the command line is gone
        status = int(ExitCode.ENGINE)
    except BaseException:
        status = int(ExitCode.ENGINE)
        with contextlib.suppress(OSError):
            connection.send(("error", f"the judge failed:\n{traceback.format_exc()}"))
    finally:
        os._exit(status)


def _submissions(connection: Messages) -> Iterator[Submission]:
    while (submission := connection.receive()) is not None:
        yield submission
