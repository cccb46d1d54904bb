"""Graders of search.py: random search, evolution and Optuna on tabulated networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograder.graders.s5_automl.architectures import (
    Hidden,
    hidden,
    limits_at,
    random_regret,
    table,
)
from autograder.graders.s5_automl.references import Architecture, keeps
from autograder.graders.toolkit import (
    CallbackError,
    Exercise,
    RandomInputs,
    StudentError,
    check,
    expect_dict,
    expect_value_error,
    fail,
)

Limits = dict[str, float]


def drawn_limits(rng: RandomInputs) -> Limits:
    """One or two limits that a part of all networks keeps."""
    names = rng.sample(["macs", "params"], rng.integer(1, 2))
    return {name: limits_at(rng.number(0.5, 0.8), name)[name] for name in names}


def searched(
    student: Any, name: str, drawn: Hidden, limits: Limits, seed: int
) -> Architecture | None:
    """What the student's search returns; it has to be one of what it evaluated, and feasible."""
    search = getattr(student, name)
    found = search(student.put(drawn.remote()), drawn.evaluate, limits, drawn.budget, seed)
    if found is None:
        return None
    arch = expect_dict(found, name)
    check(arch in drawn.calls, "return one of the architectures that were evaluated")
    hint = "what is returned has to keep every limit"
    check(keeps(drawn.measured(arch), limits), hint)
    return arch


def expect_best(student: Any, rng: RandomInputs, name: str, misleading: bool) -> None:
    """The best feasible of all that was evaluated comes back."""
    for budget in (rng.integer(20, 30), rng.integer(31, 40)):
        drawn, limits = hidden(rng, budget, misleading), drawn_limits(rng)
        arch = searched(student, name, drawn, limits, rng.seed())
        best = drawn.best_seen(limits)
        check(best is not None, "nothing feasible was tried, although much of the space is")
        reached = drawn.measured(arch)["accuracy"] if arch is not None else -1.0
        check(reached == best, "return the feasible architecture of the highest accuracy seen")


def expect_none(student: Any, rng: RandomInputs, name: str) -> None:
    """None if nothing is feasible, without more calls than allowed; and an answer if all is."""
    drawn = hidden(rng, rng.integer(12, 20))
    cost = rng.choice(["macs", "params"])
    limits = {cost: 0.5 * float(getattr(table(), cost).min())}
    arch = searched(student, name, drawn, limits, rng.seed())
    check(arch is None, "nothing can be feasible: return None")
    check(len(drawn.calls) > 0, "whether something is feasible is known only from evaluate")
    drawn = hidden(rng, 12)
    check(searched(student, name, drawn, {}, rng.seed()) is not None, "no limits: all are feasible")


def expect_one_call(student: Any, rng: RandomInputs, name: str) -> None:
    """A budget of 1 is one evaluation, and it gives the answer."""
    found = searched(student, name, hidden(rng, 1), {}, rng.seed())
    check(found is not None, "a budget of 1 is one evaluation")


def expect_seeded(student: Any, rng: RandomInputs, name: str) -> None:
    """The same seed gives the same calls; global generators are not touched."""
    first, seed, limits = hidden(rng, 25), rng.seed(), drawn_limits(rng)
    asked: list[Sequence[Architecture]] = []
    before = student.rng_fingerprint()
    for each in (seed, seed, seed + 1):
        first.calls = []
        searched(student, name, first, limits, each)
        asked.append(first.calls)
    check(student.rng_fingerprint() == before, "draw from a generator of your own")
    check(asked[0] == asked[1], "all that is drawn comes from `seed`")
    check(asked[0] != asked[2], "another seed draws something else")


def expect_passed_on(student: Any, rng: RandomInputs, name: str) -> None:
    """What evaluate raises ends the search; one without such an error succeeds."""
    limits = limits_at(0.9, "macs")
    check(searched(student, name, hidden(rng, 15), limits, 0) is not None, "something is feasible")
    for last in (1, rng.integer(4, 8)):
        drawn = hidden(rng, 15)

        def breaks(arch: Architecture, drawn: Hidden = drawn, last: int = last) -> Any:
            if len(drawn.calls) + 1 >= last:
                raise CallbackError("the training of this network failed")
            return drawn.evaluate(arch)

        try:
            getattr(student, name)(student.put(drawn.remote()), breaks, limits, 15, rng.seed())
        except StudentError as error:
            if error.kind == "NotImplementedError":
                raise
            check(error.kind == "JudgeError", "let the exception of evaluate through as it is")
        else:
            fail("evaluate raised an exception, and the search went on")


def expect_refusals(student: Any, rng: RandomInputs, name: str) -> None:
    """A budget below 1, and a limit of a cost that is not measured, raise ValueError."""
    drawn = hidden(rng, 10)
    space, search = student.put(drawn.remote()), getattr(student, name)
    for budget in (0, -rng.integer(1, 9)):
        expect_value_error(search, space, drawn.evaluate, {}, budget, 0)
    check(not drawn.calls, "a wrong budget is refused before anything is evaluated")
    limits = limits_at(0.8, "params") | {"mac": 1e9}
    expect_value_error(search, space, drawn.evaluate, limits, 10, 0)


PROGRESS = (1.35, 1.15)
"""How many times as good as chance the later tries have to be: for all credit, and for none."""


def expect_progress(student: Any, rng: RandomInputs, name: str, budget: int, credit: Any) -> None:
    """What is tried in the second half is better than what chance would try.

    Regret alone tells little after a few runs: that of random search varies by two thirds of its
    mean from run to run. What a search goes on to try does not.
    """
    late = []
    for _ in range(3):
        drawn, limits = hidden(rng, budget), limits_at(0.6, rng.choice(["macs", "params"]))
        searched(student, name, drawn, limits, rng.seed())
        late.append(drawn.progress(limits))
    reached, (full, none) = sum(late) / len(late), PROGRESS
    text = f"the later half is {reached:.2f} times as good as random ones; full credit from {full}"
    credit((reached - none) / (full - none), text)


def expect_little_regret(
    student: Any, rng: RandomInputs, name: str, budget: int, marks: tuple[float, float], credit: Any
) -> None:
    """Regret over the runs together, in units of what random search is expected to have."""
    total = baseline = 0.0
    for _ in range(4):
        drawn, limits = hidden(rng, budget), limits_at(0.6, rng.choice(["macs", "params"]))
        best, expected = random_regret(limits, budget)
        arch = searched(student, name, drawn, limits, rng.seed())
        total += best - (drawn.measured(arch)["accuracy"] if arch is not None else 0.0)
        baseline += expected
    share, (full, none) = total / baseline, marks
    text = f"{share:.2f} of random search's expected regret; full credit up to {full}"
    credit((none - share) / (none - full), text)


# ---- random_search ---------------------------------------------------------------------------

random_search = Exercise("s5.random_search")


@random_search.check(weight=2)
def test_random_search_returns_the_best(student: Any, rng: RandomInputs) -> None:
    """Of all that was evaluated, the feasible architecture of highest accuracy is returned."""
    expect_best(student, rng, "random_search", misleading=False)


@random_search.check(weight=3, essential=True)
def test_random_search_selects_by_validation(student: Any, rng: RandomInputs) -> None:
    """The entry "accuracy" decides, not "test_accuracy", which here favours the worst."""
    expect_best(student, rng, "random_search", misleading=True)


@random_search.check(weight=3)
def test_random_search_explores(student: Any, rng: RandomInputs) -> None:
    """The whole budget is spent on architectures from all over the space."""
    drawn = hidden(rng, 60)
    searched(student, "random_search", drawn, limits_at(0.7, "params"), rng.seed())
    codes = [drawn.space.encode(arch) for arch in drawn.calls]
    hint = "sample anew for every evaluation, budget times"
    check(len(codes) >= 50 and len(set(codes)) >= 40, hint)
    for place, known in enumerate(drawn.space.options()):
        seen = {code[place] for code in codes}
        check(len(seen) == len(known), "every option of a gene is tried now and then")
    expect_one_call(student, rng, "random_search")


@random_search.check(weight=1)
def test_random_search_without_an_answer(student: Any, rng: RandomInputs) -> None:
    """If nothing is feasible, the result is None, within the budget."""
    expect_none(student, rng, "random_search")


@random_search.check(weight=1)
def test_random_search_is_seeded(student: Any, rng: RandomInputs) -> None:
    """The same seed gives the same calls, another one others; global generators stay."""
    expect_seeded(student, rng, "random_search")


@random_search.check(weight=1)
def test_random_search_passes_exceptions_on(student: Any, rng: RandomInputs) -> None:
    """What evaluate raises ends the search."""
    expect_passed_on(student, rng, "random_search")


@random_search.check(weight=1, guard=True)
def test_random_search_refuses(student: Any, rng: RandomInputs) -> None:
    """A budget below 1 and a limit that does not exist raise ValueError."""
    expect_refusals(student, rng, "random_search")


# ---- evolutionary_search ---------------------------------------------------------------------

EVOLUTION_REGRET = (1.8, 2.6)

evolutionary_search = Exercise("s5.evolutionary_search")


@evolutionary_search.check(weight=5, essential=True, seconds=30)
def test_evolution_gets_better(student: Any, rng: RandomInputs, credit: Any) -> None:
    """Later generations are clearly better than random architectures."""
    expect_progress(student, rng, "evolutionary_search", 100, credit)


@evolutionary_search.check(weight=2, seconds=40)
def test_evolution_has_little_regret(student: Any, rng: RandomInputs, credit: Any) -> None:
    """With the same budget, the regret over several runs is not far above random search's."""
    expect_little_regret(student, rng, "evolutionary_search", 100, EVOLUTION_REGRET, credit)


@evolutionary_search.check(weight=4, essential=True)
def test_evolution_selects_by_validation(student: Any, rng: RandomInputs) -> None:
    """The entry "accuracy" decides, not "test_accuracy", which here favours the worst."""
    expect_best(student, rng, "evolutionary_search", misleading=True)


@evolutionary_search.check(weight=2)
def test_evolution_returns_the_best(student: Any, rng: RandomInputs) -> None:
    """Of all that was evaluated, the feasible architecture of highest accuracy is returned."""
    expect_best(student, rng, "evolutionary_search", misleading=False)


@evolutionary_search.check(weight=1)
def test_evolution_without_an_answer(student: Any, rng: RandomInputs) -> None:
    """If nothing is feasible, the result is None, within the budget."""
    expect_none(student, rng, "evolutionary_search")


@evolutionary_search.check(weight=1)
def test_evolution_in_a_small_space(student: Any, rng: RandomInputs) -> None:
    """A budget larger than the space ends the search all the same; so does a budget of 1."""
    known = hidden(rng, 1)
    for name, options in known.space.choices.items():  # two options of one gene are left
        nested = isinstance(options[0], list)
        known.space.choices[name] = [o[:1] for o in options] if nested else options[:1]
    small, budget = known, rng.integer(8, 15)
    small.budget = budget
    found = searched(student, "evolutionary_search", small, {}, rng.seed())
    check(found is not None, "everything was feasible")
    expect_one_call(student, rng, "evolutionary_search")


@evolutionary_search.check(weight=1)
def test_evolution_is_seeded(student: Any, rng: RandomInputs) -> None:
    """The same seed gives the same calls, another one others; global generators stay."""
    expect_seeded(student, rng, "evolutionary_search")


@evolutionary_search.check(weight=1)
def test_evolution_passes_exceptions_on(student: Any, rng: RandomInputs) -> None:
    """What evaluate raises ends the search."""
    expect_passed_on(student, rng, "evolutionary_search")


@evolutionary_search.check(weight=1, guard=True)
def test_evolution_refuses(student: Any, rng: RandomInputs) -> None:
    """A budget below 1 and a limit that does not exist raise ValueError."""
    expect_refusals(student, rng, "evolutionary_search")


# ---- optuna_search ---------------------------------------------------------------------------

OPTUNA_REGRET = (2.3, 3.3)

optuna_search = Exercise("s5.optuna_search")


@optuna_search.check(weight=4, essential=True, seconds=30)
def test_optuna_gets_better(student: Any, rng: RandomInputs, credit: Any) -> None:
    """Later trials are clearly better than random architectures."""
    expect_progress(student, rng, "optuna_search", 60, credit)


@optuna_search.check(weight=2, seconds=40)
def test_optuna_has_little_regret(student: Any, rng: RandomInputs, credit: Any) -> None:
    """With the same budget, the regret over several runs is not far above random search's."""
    expect_little_regret(student, rng, "optuna_search", 60, OPTUNA_REGRET, credit)


@optuna_search.check(weight=4, essential=True, seconds=20)
def test_optuna_selects_by_validation(student: Any, rng: RandomInputs) -> None:
    """The entry "accuracy" decides, not "test_accuracy", which here favours the worst."""
    expect_best(student, rng, "optuna_search", misleading=True)


@optuna_search.check(weight=2, seconds=20)
def test_optuna_returns_the_best(student: Any, rng: RandomInputs) -> None:
    """Of all that was evaluated, the feasible architecture of highest accuracy is returned."""
    expect_best(student, rng, "optuna_search", misleading=False)


@optuna_search.check(weight=1, seconds=20)
def test_optuna_without_an_answer(student: Any, rng: RandomInputs) -> None:
    """If nothing is feasible, the result is None, within the budget."""
    expect_none(student, rng, "optuna_search")
    expect_one_call(student, rng, "optuna_search")


@optuna_search.check(weight=2, seconds=20)
def test_optuna_is_seeded(student: Any, rng: RandomInputs) -> None:
    """The same seed gives the same calls, another one others; global generators stay."""
    expect_seeded(student, rng, "optuna_search")


@optuna_search.check(weight=1, seconds=20)
def test_optuna_passes_exceptions_on(student: Any, rng: RandomInputs) -> None:
    """What evaluate raises ends the search."""
    expect_passed_on(student, rng, "optuna_search")


@optuna_search.check(weight=1, guard=True, seconds=20)
def test_optuna_refuses(student: Any, rng: RandomInputs) -> None:
    """A budget below 1 and a limit that does not exist raise ValueError."""
    expect_refusals(student, rng, "optuna_search")
