"""How much of the feedback a student sees now: the policy of course.yaml and the due date."""

from __future__ import annotations

from datetime import datetime

from autograder.course import FeedbackPolicy
from autograder.records import Lateness
from autograder.reports.disclosure import Shown


def shown_now(policy: FeedbackPolicy, lateness: Lateness, now: datetime) -> Shown:
    """What is shown at `now`, which has a time zone; `lateness.due` is the student's own date.

    Without a due date it is what the policy shows after one.
    """
    open_still = lateness.due is not None and now < datetime.fromisoformat(lateness.due)
    if not open_still or policy.before_due is policy.after_due:
        return Shown(policy.after_due)
    return Shown(policy.before_due, policy.after_due)
