"""Late penalties against a slow reference, and at their edges."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.course import CutOff, GracePeriod, LatePolicy, NoPenalty, PercentPerDay
from autograder.errors import SubmissionError
from autograder.grading.lateness import lateness
from autograder.records import ExerciseResult, Lateness, Outcome, Report

DUE = datetime(2027, 1, 25, 23, 59, tzinfo=timezone(timedelta(hours=1)))
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)

POLICIES = st.one_of(
    st.just(NoPenalty()),
    st.just(CutOff()),
    st.integers(1, 100).map(lambda hours: GracePeriod(hours=hours)),
    st.builds(
        PercentPerDay,
        percent=st.integers(1, 100),
        cut_off_days=st.none() | st.integers(1, 10),
    ),
)
DELAYS = st.timedeltas(timedelta(days=-20), timedelta(days=20))


def days_counted_one_by_one(late: timedelta) -> int:
    started = 0
    while late > timedelta(0):
        started, late = started + 1, late - DAY
    return started


def expected_penalty(policy: LatePolicy, late: timedelta) -> float:
    if late <= timedelta(0) or isinstance(policy, NoPenalty):
        return 0.0
    if isinstance(policy, CutOff):
        return 1.0
    if isinstance(policy, GracePeriod):
        return float(late > timedelta(hours=policy.hours))
    if policy.cut_off_days is not None and late > policy.cut_off_days * DAY:
        return 1.0
    return min(100, policy.percent * days_counted_one_by_one(late)) / 100


@given(policy=POLICIES, delay=DELAYS)
def test_penalty_is_that_of_the_slow_reference(policy: LatePolicy, delay: timedelta) -> None:
    actual = lateness(policy, DUE, DUE + delay)
    assert actual.penalty == pytest.approx(expected_penalty(policy, delay))
    assert 0.0 <= actual.penalty <= 1.0
    assert actual.days_late == pytest.approx(max(0.0, delay.total_seconds()) / 86_400)


@given(policy=POLICIES, delay=DELAYS, more=st.timedeltas(timedelta(0), timedelta(days=5)))
def test_later_never_costs_less(policy: LatePolicy, delay: timedelta, more: timedelta) -> None:
    early, late = lateness(policy, DUE, DUE + delay), lateness(policy, DUE, DUE + delay + more)
    assert early.penalty <= late.penalty


@given(policy=POLICIES, delay=DELAYS, granted=st.timedeltas(timedelta(0), timedelta(days=9)))
def test_an_extension_moves_the_due_date(
    policy: LatePolicy, delay: timedelta, granted: timedelta
) -> None:
    moved = lateness(policy, DUE + granted, DUE + delay)
    assert lateness(policy, DUE, DUE + delay, extension=DUE + granted) == moved


@given(policy=POLICIES, delay=DELAYS)
def test_a_record_can_be_computed_again_from_itself(policy: LatePolicy, delay: timedelta) -> None:
    first = lateness(policy, DUE, DUE + delay)
    assert lateness(policy, DUE, first.submitted_at) == first


@pytest.mark.parametrize(
    ("policy", "delay", "penalty"),
    [
        (CutOff(), timedelta(0), 0.0),
        (CutOff(), TICK, 1.0),
        (GracePeriod(hours=2), timedelta(hours=2), 0.0),
        (GracePeriod(hours=2), timedelta(hours=2) + TICK, 1.0),
        (PercentPerDay(percent=10), timedelta(0), 0.0),
        (PercentPerDay(percent=10), TICK, 0.1),
        (PercentPerDay(percent=10), DAY, 0.1),
        (PercentPerDay(percent=10), DAY + TICK, 0.2),
        (PercentPerDay(percent=10), 30 * DAY, 1.0),
        (PercentPerDay(percent=10, cut_off_days=3), 3 * DAY, 0.3),
        (PercentPerDay(percent=10, cut_off_days=3), 3 * DAY + TICK, 1.0),
        (NoPenalty(), 300 * DAY, 0.0),
    ],
)
def test_edges(policy: LatePolicy, delay: timedelta, penalty: float) -> None:
    assert lateness(policy, DUE, DUE + delay).penalty == pytest.approx(penalty)


def test_an_earlier_extension_does_not_shorten_the_time() -> None:
    assert lateness(CutOff(), DUE, DUE, extension=DUE - DAY).penalty == 0.0


def test_days_late_count_from_the_extension() -> None:
    actual = lateness(CutOff(), DUE, DUE + 2 * DAY, extension=DUE + DAY)
    assert (actual.days_late, actual.due) == (1.0, (DUE + DAY).isoformat())


def test_nothing_is_late_without_a_date() -> None:
    assert lateness(CutOff(), None, DUE) == Lateness(DUE.isoformat(), policy="cut_off")
    assert lateness(CutOff(), DUE, None) == Lateness(due=DUE.isoformat(), policy="cut_off")


def test_zones_are_compared_as_moments() -> None:
    same = DUE.astimezone(UTC)
    assert lateness(CutOff(), DUE, same).penalty == 0.0
    assert lateness(CutOff(), DUE, same + TICK).penalty == 1.0


def test_clock_change_between_due_date_and_submission() -> None:
    zone = ZoneInfo("Europe/Paris")  # clocks went forward on 2027-03-28 at 02:00
    due = datetime(2027, 3, 27, 12, tzinfo=zone)
    submitted = datetime(2027, 3, 28, 13, tzinfo=zone)
    assert lateness(PercentPerDay(percent=10), due, submitted).penalty == pytest.approx(0.1)


def test_the_first_and_the_last_year_are_dates_like_others() -> None:
    never = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))
    always = datetime.min.replace(tzinfo=timezone(timedelta(hours=5)))
    assert lateness(CutOff(), never, DUE).penalty == 0.0
    assert lateness(CutOff(), DUE, always.isoformat()).penalty == 0.0
    assert lateness(CutOff(), DUE, never).penalty == lateness(CutOff(), always, DUE).penalty == 1.0


def test_times_as_gradescope_writes_them() -> None:
    actual = lateness(PercentPerDay(percent=10), DUE, "2027-01-26T14:59:00.000000-08:00")
    assert actual.days_late == 1.0


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("yesterday", "'yesterday' is not an ISO 8601 date"),
        ("2027-01-25T23:59:00", "has no time zone"),
        (datetime(2027, 1, 25), "2027-01-25T00:00:00 has no time zone"),
    ],
)
def test_an_unusable_time_is_an_error(when: datetime | str, words: str) -> None:
    with pytest.raises(SubmissionError, match=words):
        lateness(CutOff(), DUE, when)


def test_raw_points_survive_a_change_of_policy() -> None:
    result = ExerciseResult("s1.fit", "Fit", "training", Outcome.PASSED, 80.0, 100.0)
    strict = lateness(PercentPerDay(percent=25), DUE, DUE + TICK)
    report = Report("c", "s1", "ada", "ada", "", exercises=(result,), lateness=strict)
    kinder = dataclasses.replace(
        report, lateness=lateness(NoPenalty(), DUE, report.lateness.submitted_at)
    )
    assert (report.raw_points, report.points) == (80.0, 60.0)
    assert (kinder.raw_points, kinder.points) == (80.0, 80.0)
