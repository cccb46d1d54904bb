"""A clone's student is named by the clone alone, whoever else is there."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from autograder.course import Session
from autograder.grading.enrolment import enrol
from autograder.grading.roster import Person, Roster
from autograder.submissions import Collected, collect
from autograder.submissions.collect.clones import user_of
from tests.collect.downloads import BOTH, LIMITS, marked, put, session, under, zipped

SESSION = session()
S1 = Session(id="s1", folder="s1_intro", title="Measure before you compress")


def clones(root: Path, *names: str) -> Collected:
    for name in names:
        put(root / name, {**BOTH, ".git/HEAD": b"ref: x"})
    return collect(root, SESSION, LIMITS)


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("s1-ada", "ada"),
        ("s1-team-a", "team-a"),
        ("s1-intro-ada", "ada"),
        ("s1_intro-ada", "ada"),
        ("S1-Intro-Ada", "Ada"),
        ("nn-2027-s1-ada-l", "ada-l"),
        ("nn-s1-intro-uni-ada", "uni-ada"),
        ("measure-before-you-compress-ada", "ada"),
        ("s1-measure-before-you-compress-ada", "ada"),
        ("s1-intro-measure-before-you-compress-ada", "ada"),
        ("nn-measure-before-you-compress-s1-team-a", "team-a"),
        # No word says which session it is: another one, a part of the title, no hyphen.
        ("s10-ada", "s10-ada"),
        ("homework-ada", "homework-ada"),
        ("measure-ada", "measure-ada"),
        ("intro-ada", "intro-ada"),
        ("s1ada", "s1ada"),
        ("s1_ada", "s1_ada"),
        ("ada", "ada"),
        # Nothing follows: the name is left as it is.
        ("s1", "s1"),
        ("s1-intro", "s1-intro"),
        ("ada-s1", "ada-s1"),
        ("ada-s1-intro", "ada-s1-intro"),
        ("s1-", "s1-"),
        ("", ""),
    ],
)
def test_what_follows_the_words_for_the_session(name: str, user: str) -> None:
    assert user_of(name, S1) == user


@pytest.mark.parametrize(
    "names",
    [
        ("s3-team-a", "s3-team-b", "s3-zoe"),
        ("s3-clustering-ada", "s3-clustering-adam", "s3-clustering-bob"),
        ("nn-s3-uni-ada", "nn-s3-uni-bob", "nn-s3-carl"),
        ("homework-ada", "homework-bob", "other-carl"),
    ],
)
def test_a_student_keeps_the_name_whoever_comes_and_goes(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    whole = {s.identity.download: s.slug for s in clones(tmp_path / "all", *names).submissions}
    assert len(whole) == len(names)
    for number in range(1, len(names)):
        for some in itertools.combinations(names, number):
            found = clones(tmp_path / "-".join(some), *some)
            assert {s.identity.download: s.slug for s in found.submissions}.items() <= whole.items()


def test_who_has_no_repository_beside_clones_is_named_alike(tmp_path: Path) -> None:
    root = put(tmp_path / "in", {"s3-emmy.zip": zipped(marked("emmy")), **under("s3-dora")})
    collected = clones(root, "s3-ada", "s3-bob")
    assert (collected.layout, collected.errors) == ("clones", ())
    names = ["ada", "bob", "dora", "emmy"]
    assert [s.student for s in collected.submissions] == names
    assert [s.identity.platform_id for s in collected.submissions] == names
    (root / "s3-dora" / ".git").mkdir()
    again = collect(root, SESSION, LIMITS)
    assert [s.slug for s in again.submissions] == [s.slug for s in collected.submissions]


@pytest.mark.parametrize("prefix", ["s3-", "nn-s3-clustering-"])
def test_a_roster_is_asked_for_less_than_the_name(tmp_path: Path, prefix: str) -> None:
    found = clones(tmp_path / "in", f"{prefix}lab-ada", f"{prefix}lab-bob", "homework-cleo")
    assert {s.student: s.identity.platform_id for s in found.submissions} == {
        **{"lab-ada": "ada", "lab-bob": "bob"},
        "homework-cleo": "homework-cleo",
    }
    people = [Person(name.upper(), name, "", "", "", {"github": name}) for name in ("ada", "bob")]
    enrolled = enrol(found.submissions, Roster(tuple(people))).submissions
    assert [each.student for each in enrolled] == ["ADA", "BOB", "homework-cleo"]
    (alone,) = clones(tmp_path / "one", f"{prefix}lab-ada").submissions
    assert (alone.student, alone.identity.platform_id) == ("lab-ada", "lab-ada")


def test_the_first_clone_of_two_is_named_as_it_will_be(tmp_path: Path) -> None:
    root = put(tmp_path / "in", under("s3-dora"))
    first = clones(root, "s3-ada")
    assert first.layout == "clones"
    assert [s.student for s in first.submissions] == ["ada", "dora"]


def test_two_clones_of_one_student_are_told(tmp_path: Path) -> None:
    collected = clones(tmp_path / "in", "s3-ada", "s3-clustering-ada", "s3-bob")
    (line,) = collected.errors
    assert "'s3-ada/' and 's3-clustering-ada/' may be the same student's" in line
    assert [s.student for s in collected.submissions if s.files] == ["bob"]
