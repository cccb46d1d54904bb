"""What a score earns: validity, cost on a logarithmic scale, and who an entry belongs to."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.course import Course, Credit
from autograder.project import credit, scorer
from autograder.project.card import TEAM
from autograder.project.judge import team_of
from autograder.records import Outcome
from autograder.records.measurement import Score
from tests import bank
from tests.records.test_measurement import SCORE
from tests.support import submission

COURSE: Course = bank.course()
PROJECT = COURSE.final_project
assert PROJECT is not None
SESSION = COURSE.session("s7")
DIGITS = PROJECT.datasets["digits"].credit
assert DIGITS is not None

bounds = st.tuples(st.floats(1e-4, 10), st.floats(1.01, 1e4)).map(
    lambda pair: Credit(full_cost=pair[0], zero_cost=pair[0] * pair[1])
)


@given(bounds, st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_a_lower_cost_never_earns_less(rules: Credit, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= credit.cost_credit(high, rules) <= credit.cost_credit(low, rules) <= 1


@given(bounds)
def test_all_at_one_end_none_at_the_other_half_at_the_geometric_mean(rules: Credit) -> None:
    assert credit.cost_credit(rules.full_cost, rules) == 1
    assert credit.cost_credit(rules.zero_cost, rules) == 0
    middle = math.sqrt(rules.full_cost * rules.zero_cost)
    assert credit.cost_credit(middle, rules) == pytest.approx(0.5)


@given(bounds, st.floats(0.05, 0.35))
def test_halving_the_cost_is_worth_the_same_everywhere(rules: Credit, start: float) -> None:
    span = rules.zero_cost / rules.full_cost
    factor = span**0.5
    a, b = rules.zero_cost * span**-start, rules.zero_cost * span ** -(start + 0.1)
    c, d = a / factor, b / factor
    gain = credit.cost_credit(b, rules) - credit.cost_credit(a, rules)
    assert credit.cost_credit(d, rules) - credit.cost_credit(c, rules) == pytest.approx(gain)


def points(score: Score) -> dict[str, tuple[float, Outcome, str]]:
    assert PROJECT is not None
    results = credit.results(SESSION.exercises, score, PROJECT)
    return {r.id: (r.points, r.outcome, r.tests[0].message) for r in results}


def test_a_valid_entry_earns_and_its_cost_earns_more() -> None:
    assert DIGITS is not None
    cheap = replace(SCORE, costs={"imt-2025": DIGITS.full_cost / 2})
    assert {key: value[0] for key, value in points(cheap).items()} == {
        "s7.valid": 30,
        "s7.cost": 50,
    }
    dear = replace(SCORE, costs={"imt-2025": DIGITS.zero_cost})
    assert {key: value[0] for key, value in points(dear).items()} == {"s7.valid": 30, "s7.cost": 0}
    between = replace(SCORE, costs={"imt-2025": math.sqrt(DIGITS.full_cost * DIGITS.zero_cost)})
    earned, outcome, message = points(between)["s7.cost"]
    assert (earned, outcome) == (25, Outcome.PARTIAL)
    assert "the cost is 0.3" in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"refusal": "the graph has a loop"}, "the graph has a loop"),
        ({"answers": None}, "the file was not run"),
        ({"counted": 341}, "341 of 360 right answers count, 342 are needed"),
    ],
)
def test_an_entry_that_is_not_valid_earns_nothing_and_says_why(
    changes: dict[str, object], words: str
) -> None:
    found = points(replace(SCORE, **changes))  # type: ignore[arg-type]
    assert {key: value[0] for key, value in found.items()} == {"s7.valid": 0, "s7.cost": 0}
    assert found["s7.valid"][2] == words
    assert found["s7.cost"][2] == "only a valid entry has a cost"


def test_credit_is_the_share_of_points_and_tests_have_their_names() -> None:
    """What a page shows of each test: name, title, outcome, share."""
    assert DIGITS is not None
    assert PROJECT is not None
    valid = credit.valid_test(SCORE, PROJECT)
    assert (valid.name, valid.outcome, valid.credit, valid.message) == (
        "valid",
        Outcome.PASSED,
        1.0,
        "",
    )
    assert valid.title.endswith("at least 342 of its answers are right.")
    failed = credit.valid_test(replace(SCORE, refusal="no"), PROJECT)
    assert (failed.outcome, failed.credit, failed.message) == (Outcome.FAILED, 0.0, "no")
    for cost, outcome, share, message in (
        (DIGITS.full_cost, Outcome.PASSED, 1.0, ""),
        (DIGITS.zero_cost, Outcome.FAILED, 0.0, f"the cost is {DIGITS.zero_cost:.5f}"),
    ):
        made = credit.cost_test(replace(SCORE, costs={"imt-2025": cost}), PROJECT)
        assert (made.name, made.outcome, made.credit) == ("cost", outcome, share)
        assert made.message == message
        assert made.title.startswith("The cost imt-2025 is low: all points up to ")
        assert f"{DIGITS.full_cost:g}, none from {DIGITS.zero_cost:g}" in made.title
    invalid = credit.cost_test(replace(SCORE, refusal="no"), PROJECT)
    assert (invalid.name, invalid.outcome, invalid.credit) == ("cost", Outcome.FAILED, 0.0)
    assert invalid.title == made.title


def test_without_a_scale_a_cost_earns_nothing() -> None:
    assert PROJECT is not None
    digits = PROJECT.datasets["digits"].model_copy(update={"credit": None})
    rules = PROJECT.model_copy(update={"datasets": {**PROJECT.datasets, "digits": digits}})
    made = credit.cost_test(SCORE, rules)
    assert (made.name, made.title) == ("cost", "The cost imt-2025 is low.")
    assert (made.outcome, made.credit) == (Outcome.FAILED, 0.0)


def test_the_cost_that_ranks_is_the_one_that_earns() -> None:
    assert DIGITS is not None
    assert PROJECT is not None
    rules = PROJECT.model_copy(update={"costs": ("micronet-2019", "imt-2025")})
    costs = {"imt-2025": DIGITS.full_cost, "micronet-2019": DIGITS.zero_cost}
    score = replace(SCORE, costs=costs)
    assert credit.cost_test(score, rules).credit == 0
    assert credit.cost_test(score, PROJECT).credit == 1


def test_each_data_set_has_its_own_scale() -> None:
    assert DIGITS is not None
    assert PROJECT is not None
    other = Credit(full_cost=DIGITS.zero_cost, zero_cost=2 * DIGITS.zero_cost)
    datasets = dict(PROJECT.datasets)
    datasets["cifar10"] = datasets["cifar10"].model_copy(update={"credit": other})
    rules = PROJECT.model_copy(update={"datasets": datasets})
    score = replace(SCORE, costs={"imt-2025": DIGITS.zero_cost})
    assert credit.cost_test(score, rules).credit == 0
    assert credit.cost_test(replace(score, dataset="cifar10"), rules).credit == 1


@pytest.mark.parametrize("graded", [(), ("digits",), ("cifar10", "digits")])
def test_a_data_set_that_is_graded_earns(graded: tuple[str, ...]) -> None:
    assert PROJECT is not None
    rules = PROJECT.model_copy(update={"graded": graded})
    assert credit.valid_test(SCORE, rules).outcome is Outcome.PASSED


def test_only_data_sets_that_the_course_grades_earn() -> None:
    assert PROJECT is not None
    rules = PROJECT.model_copy(update={"graded": ("cifar10",)})
    results = credit.results(SESSION.exercises, SCORE, rules)
    assert [r.points for r in results] == [0, 0]
    assert "this course grades cifar10, not digits" in results[0].tests[0].message


def test_an_exercise_by_hand_is_not_the_scorer_s() -> None:
    assert set(points(SCORE)) == {"s7.valid", "s7.cost"}


# ---- the draws ---------------------------------------------------------------------------------


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(min_size=1, max_size=40))
def test_the_draws_are_a_function_of_file_and_secret(one: bytes, other: bytes, key: bytes) -> None:
    assert scorer.draw_seeds(one, key) == scorer.draw_seeds(one, key)
    assert len(set(scorer.draw_seeds(one, key))) == scorer.DRAWS
    if one != other:
        assert scorer.draw_seeds(one, key) != scorer.draw_seeds(other, key)
    assert scorer.draw_seeds(one, key) != scorer.draw_seeds(one, b"")
    assert all(0 <= seed < 2**32 for seed in scorer.draw_seeds(one, key))


def test_the_seeds_are_keyed_hashes() -> None:
    """Not a plain hash of the file, which a student could search for a lucky one."""
    digest = hashlib.sha256(b"file").digest()
    assert int.from_bytes(digest[:4], "big") not in scorer.draw_seeds(b"file", b"secret")


# ---- whose it is -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("student", "team"), [("team-1", "team-1"), ("ada", "ada"), ("Ada Lovelace", "ada-lovelace")]
)
def test_the_team_is_the_submission_s_student(student: str, team: str) -> None:
    assert team_of(submission(student, {})).startswith(team)
    assert len(team_of(submission(student * 20, {}))) <= 40


def test_students_whose_long_names_begin_alike_are_two_teams() -> None:
    names = [f"The final project of the group with the number {i}" for i in range(9)]
    teams = {team_of(submission(name, {})) for name in names}
    assert len(teams) == len(names)
    assert all(TEAM.fullmatch(team) for team in teams)
