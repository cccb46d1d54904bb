"""Late penalties: a pure function of policy and dates, so they can be computed again at any time.

Nothing here knows points. A `Report` keeps the raw points and the `Lateness` apart; after a
change of policy or a new extension, `lateness(policy, due, report.lateness.submitted_at, ...)`
replaces the old record and the raw points stay what they were.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from autograder.course import CutOff, GracePeriod, LatePolicy, PercentPerDay
from autograder.errors import SubmissionError
from autograder.records import Lateness

_DAY = timedelta(days=1)


def lateness(
    policy: LatePolicy,
    due: datetime | None,
    submitted_at: datetime | str | None,
    extension: datetime | None = None,
) -> Lateness:
    """Say how late a submission is and which share of its points that costs.

    `extension` is the due date granted to the student; the later of both dates counts, and what is
    submitted at that very moment is on time. Without a due date or a submission time nothing is
    late. `submitted_at` is a datetime with a time zone or its ISO 8601 text; anything else raises
    `SubmissionError`. `days_late` is exact (12 hours are 0.5), `penalty` a share in 0..1.
    """
    moment = _moment(submitted_at)
    deadline = max((date for date in (due, extension) if date is not None), default=None)
    late = timedelta(0)
    if moment is not None and deadline is not None:
        late = max(late, _between(deadline, moment))
    return Lateness(
        policy=policy.kind,
        submitted_at=moment.isoformat() if moment else None,
        due=deadline.isoformat() if deadline else None,
        days_late=late / _DAY,
        penalty=_penalty(policy, late) if late else 0.0,
    )


def _between(start: datetime, end: datetime) -> timedelta:
    """The time from one moment to another, of any year that can be written.

    Python subtracts wall clocks where both share a zone, and cannot express all of them in UTC.
    """
    zones = [moment.utcoffset() or timedelta(0) for moment in (start, end)]
    return (end.replace(tzinfo=None) - start.replace(tzinfo=None)) - (zones[1] - zones[0])


def _moment(value: datetime | str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise SubmissionError(f"submission time {value!r} is not an ISO 8601 date") from None
    if moment is not None and moment.utcoffset() is None:
        raise SubmissionError(f"submission time {moment.isoformat()} has no time zone")
    return moment


def _penalty(policy: LatePolicy, late: timedelta) -> float:
    """Return the share that a submission loses that is late by a positive `late`."""
    match policy:
        case CutOff():
            return 1.0
        case GracePeriod(hours=hours):
            return 0.0 if late <= timedelta(hours=hours) else 1.0
        case PercentPerDay(percent=percent, cut_off_days=cut_off):
            if cut_off is not None and late > timedelta(days=cut_off):
                return 1.0
            started_days = -(-late // _DAY)
            return min(1.0, percent * started_days / 100)
    return 0.0
