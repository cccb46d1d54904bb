"""course.yaml: what a good one gives, and the one line that a bad one gives."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from autograder.course import (
    Course,
    CutOff,
    GracePeriod,
    NoPenalty,
    PercentPerDay,
    load_course,
    parse_course,
)
from autograder.errors import CourseError
from autograder.records import Visibility
from tests.course.samples import FINAL_PROJECT

REAL = Path(__file__).parents[2] / "course.yaml"

SMALL = """\
kit_version: 1
id: demo
title: A course
term: spring
sessions:
  - id: s1
    folder: s1_intro
    title: First
    opens: 2027-01-11T08:00:00+01:00
    due: 2027-01-25T23:59:00+01:00
    withhold: [profiling]
    modules:
      - file: metrics.py
        exercises:
          - {id: s1.sparsity, title: Sparsity, points: 60}
          - {id: s1.bonus, title: Bonus, points: 5, extra_credit: true, visibility: hidden}
      - file: training.py
        exercises:
          - {id: s1.fit, title: Fit, points: 40}
  - id: s2
    folder: s2_pruning
    title: Second
late_policy: {kind: percent_per_day, percent: 10}
extensions:
  - {student: ada, session: s1, due: 2027-02-01T23:59:00+01:00}
limits: {test_seconds: 1, exercise_seconds: 2, submission_seconds: 3}
"""
SMALL += FINAL_PROJECT


@pytest.fixture
def course() -> Course:
    return parse_course(SMALL)


def line_of(text: str, needle: str) -> int:
    return text[: text.index(needle)].count("\n") + 1


def message(text: str) -> str:
    with pytest.raises(CourseError) as caught:
        parse_course(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(old: str, new: str) -> str:
    assert SMALL.count(old) >= 1, f"{old!r} is not in the sample"
    return SMALL.replace(old, new, 1)


# ---- the real file -----------------------------------------------------------------------------


def test_the_real_course_is_valid_and_complete() -> None:
    session = load_course(REAL).session("s1")
    by_file = {m.file: [e.id for e in m.exercises] for m in session.modules}
    names = {
        "metrics.py": "count_parameters model_bytes sparsity conv2d_macs linear_macs "
        "profile_layers bit_operations peak_activation_bytes",
        "evaluation.py": "topk_accuracy evaluate measure_latency compression_report pareto_front",
        "training.py": "split mixup cutmix warmup_cosine fit",
    }
    assert by_file == {f: [f"s1.{n}" for n in text.split()] for f, text in names.items()}
    assert sum(exercise.points for exercise in session.exercises) == 100
    assert session.withhold == ("profiling", "tracing", "operators", "evaluation", "training")


def test_the_real_project_rules_are_those_of_the_scoring_page() -> None:
    project = load_course(REAL).final_project
    assert project is not None
    cifar, digits = project.datasets["cifar10"], project.datasets["digits"]
    assert (cifar.input_shape, cifar.pixel_max) == ((3, 32, 32), 255)
    assert (digits.input_shape, digits.pixel_max) == ((1, 8, 8), 16)
    assert project.max_bytes == 50_000_000
    assert cifar.gate_correct * 100 == 90 * cifar.test_images
    imt, micronet = cifar.references["imt-2025"], cifar.references["micronet-2019"]
    assert (imt.params, imt.ops) == (5.6e6, 2.8e8)
    assert (micronet.params, micronet.ops) == (36.5e6, 10.49e9)


# ---- looking things up ---------------------------------------------------------------------------


def test_sessions_are_found_by_id_and_by_folder(course: Course) -> None:
    assert course.session("s1") is course.session("s1_intro") is course.sessions[0]


def test_an_unknown_session_names_the_known_ones(course: Course) -> None:
    with pytest.raises(CourseError, match=r"'s9'.*s1 \(s1_intro\), s2 \(s2_pruning\)"):
        course.session("s9")


def test_exercises_are_flat_and_in_order(course: Course) -> None:
    session = course.session("s1")
    assert [e.id for e in session.exercises] == ["s1.sparsity", "s1.bonus", "s1.fit"]
    assert [e.module for e in session.exercises] == ["metrics", "metrics", "training"]
    assert [e.file for e in session.exercises] == ["metrics.py", "metrics.py", "training.py"]
    assert session.required_files == ("metrics.py", "training.py")
    assert session.exercise("s1.fit").name == "fit"


def test_an_unknown_exercise_names_the_known_ones(course: Course) -> None:
    with pytest.raises(CourseError, match=r"'s1\.fitt' in session s1.*s1\.sparsity"):
        course.session("s1").exercise("s1.fitt")


def test_exercises_have_defaults(course: Course) -> None:
    plain, bonus, _ = course.session("s1").exercises
    assert (plain.visibility, plain.extra_credit) == (Visibility.VISIBLE, False)
    assert (bonus.visibility, bonus.extra_credit) == (Visibility.HIDDEN, True)


def test_a_session_may_have_no_exercises_and_no_dates(course: Course) -> None:
    project = course.session("s2")
    assert (project.exercises, project.required_files) == ((), ())
    assert project.due is project.opens is None


def test_dates_keep_their_offset(course: Course) -> None:
    due = course.session("s1").due
    assert due == datetime.fromisoformat("2027-01-25T22:59:00+00:00")
    assert due is not None
    assert due.utcoffset() == timedelta(hours=1)


def test_extensions_are_per_student_and_session(course: Course) -> None:
    (granted,) = course.extensions
    assert (granted.student, granted.session) == ("ada", "s1")
    assert granted.due == datetime.fromisoformat("2027-02-01T23:59:00+01:00")


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("{kind: none}", NoPenalty()),
        ("{kind: grace, hours: 12}", GracePeriod(hours=12)),
        ("{kind: percent_per_day, percent: 5}", PercentPerDay(percent=5)),
        ("{kind: cut_off}", CutOff()),
    ],
)
def test_every_late_policy_is_read(text: str, policy: object) -> None:
    read = parse_course(changed("{kind: percent_per_day, percent: 10}", text))
    assert read.late_policy == policy


def test_what_is_optional_may_be_left_out() -> None:
    course = parse_course(SMALL[: SMALL.index("late_policy")])
    assert course.late_policy == NoPenalty()
    assert course.extensions == ()
    assert course.final_project is None
    assert course.limits.archive.max_files > 0


def test_a_course_is_frozen(course: Course) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        course.title = "Another"


def test_all_seven_sessions_fit_the_schema() -> None:
    data = yaml.safe_load(SMALL[: SMALL.index("late_policy")])
    data["sessions"] = [
        {
            "id": f"s{n}",
            "folder": f"s{n}_x",
            "title": f"Session {n}",
            "modules": [
                {
                    "file": "search_space.py",
                    "exercises": [
                        {"id": f"s{n}.SearchSpace.encode", "title": "Encode", "points": 99.5},
                        {"id": f"s{n}.MinMaxObserver", "title": "Observe", "points": 0.5},
                    ],
                }
            ],
        }
        for n in range(1, 8)
    ]
    assert len(parse_course(yaml.safe_dump(data)).sessions) == 7


# ---- one line for every mistake ------------------------------------------------------------------

MISTAKES = [
    # old, new, key, expected, got
    ("withhold:", "withold:", "sessions[0].withold", "withhold", "'withold'; did you mean 'with"),
    ("points: 60", "pionts: 60", "sessions[0].modules[0].exercises[0].pionts", "points", "pionts"),
    ("title: A course", "titel: A course", "titel", "title", "'titel'; did you mean 'title'?"),
    ("percent: 10", "prcent: 10", "late_policy.prcent", "percent", "did you mean 'percent'?"),
    ("test_seconds: 1", "tset_seconds: 1", "limits.tset_seconds", "archive", "'test_seconds'?"),
    ("digits:", "digit:", "final_project.datasets.digit", "'digits'", "mean 'digits'?"),
    (
        "points: 60",
        'points: "60"',
        "sessions[0].modules[0].exercises[0].points",
        "a number",
        "'60'",
    ),
    ("points: 60", "points: true", "sessions[0].modules[0].exercises[0].points", "number", "true"),
    ("points: 60", "points: 0", "sessions[0].modules[0].exercises[0].points", "above 0", "0"),
    ("points: 60", "points: .nan", "sessions[0].modules[0].exercises[0].points", "finite", "nan"),
    ("percent: 10", "percent: 101", "late_policy.percent", "up to 100", "101"),
    ("title: First", "title: 3", "sessions[0].title", "text", "3"),
    ("title: First", "title: ''", "sessions[0].title", "text on one line", "''"),
    ("true, v", "1, v", "sessions[0].modules[0].exercises[1].extra_credit", "true or false", "1"),
    ("hidden}", "hiden}", "sessions[0].modules[0].exercises[1].visibility", "'visible'", "hidden"),
    ("[profiling]", "profiling", "sessions[0].withhold", "a list", "'profiling'"),
    ("[profiling]", "[../x]", "sessions[0].withhold[0]", "a module name of shared/", "'../x'"),
    ("{test_seconds: 1, ", "{test_seconds: 9, ", "limits.exercise_seconds", "at least test", "2"),
    ("{kind: percent_per_day, percent: 10}", "10 %", "late_policy", "mapping", "'10 %'"),
    ("kind: percent_per_day", "kind: percent", "late_policy.kind", "grace", "'percent_per_day'?"),
    ("kind: percent_per_day, ", "", "late_policy.kind", "one of none, grace", "nothing"),
    ("kit_version: 1", "kit_version: 2", "kit_version", "1", "2"),
    ("id: demo", "id: De mo", "id", "lower-case letters", "'De mo'"),
    ("id: s1\n", "id: one\n", "sessions[0].id", "a session id such as s1", "'one'"),
    ("file: metrics.py", "file: ../m.py", "sessions[0].modules[0].file", "metrics.py", "'../m.py'"),
    ("title: First", "title:", "sessions[0].title", "text", "nothing"),
    ("opens: 2027-01-11", "opens: 2027-02-30", "sessions[0].opens", "UTC offset", "2027-02-30"),
    ("08:00:00+01:00", "08:00:00", "sessions[0].opens", "with its UTC offset", "08:00:00'"),
    ("2027-01-11T08:00:00+01:00", "soon", "sessions[0].opens", "a date and time", "'soon'"),
    ("2027-01-11T08:00:00+01:00", "2027", "sessions[0].opens", "a date and time", "2027"),
    ("due: 2027-01-25", "due: 2027-01-10", "sessions[0].due", "a date after `opens`", "2027-01-10"),
    ("points: 60", "points: 50", "sessions[0].modules", "points that add to 100", "90"),
    ("id: s1.sparsity", "id: s2.sparsity", "exercises[0].id", "starts with s1.", "'s2.sparsity'"),
    ("id: s1.sparsity", "id: sparsity", "exercises[0].id", "an exercise id", "'sparsity'"),
    ("id: s1.fit", "id: s1.sparsity", "exercises[0].id", "an id used once", "'s1.sparsity' again"),
    ("file: training.py", "file: metrics.py", "modules[1].file", "a name used once", "metrics.py"),
    ("folder: s2_p", "folder: s1_p", "sessions[1].folder", "starts with s2_", "s1_pruning"),
    ("student: ada", "student: 12345", "extensions[0].student", "text in quotes", "12345"),
    ("session: s1", "session: s7", "extensions[0].session", "one of s1, s2", "'s7'"),
    ("session: s1", "session: s2", "extensions[0].session", "a session with a due date", "'s2'"),
    ("due: 2027-02-01", "due: 2027-01-01", "extensions[0].due", "after 2027-01-25", "-01-01"),
    ("[imt-2025]", "[]", "final_project.costs", "at least one cost", "an empty list"),
    ("[imt-2025]", "[imt-2024]", "final_project.costs[0]", "'imt-2025'", "did you mean 'imt-2025'"),
    ("{imt-2025: {", "{micronet-2019: {", "references.imt-2025", "each of `costs`", "nothing"),
    ("gate_correct: 342", "gate_correct: 361", "gate_correct", "test_images (360)", "361"),
    ("[1, 8, 8]", "[1, 8]", "datasets.digits.input_shape[2]", "a value", "nothing"),
    ("[1, 8, 8]", "[1, 8, 8, 8]", "datasets.digits.input_shape", "a list of 3", "one of 4"),
    ("max_bytes: 1000", "max_bytes: 1e3", "max_bytes", "a whole number", "'1e3'"),
]


@pytest.mark.parametrize(("old", "new", "key", "expected", "got"), MISTAKES)
def test_a_mistake_is_one_line(old: str, new: str, key: str, expected: str, got: str) -> None:
    text = changed(old, new)
    pattern = r"course\.yaml:(\d+): (\S+): expected (.*), got (.*)"
    parts = re.fullmatch(pattern, message(text))
    assert parts, message(text)
    assert parts[2].endswith(key)
    assert expected in parts[3]
    assert got in parts[4]
    assert "more error" not in parts[4]


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("withhold:", "withold:", "withold:"),
        ("points: 60", "points: sixty", "sixty"),
        ("due: 2027-01-25", "due: 2027-01-32", "2027-01-32"),
        ("    title: First\n", "", "  - id: s1"),  # missing: the line of its parent
        ("points: 60", "points: 61", "    modules:"),
        ("id: s1.fit", "id: s1.sparsity", "id: s1.sparsity, title: Fit"),
        ("file: metrics.py", "file: Metrics.py", "file: Metrics.py"),
        ("title: A course", "title: A course\ntitle: Again", "title: Again"),
        ("classes: 10", "classes: ten", "classes: ten"),
    ],
)
def test_the_line_is_that_of_the_key(old: str, new: str, where: str) -> None:
    text = changed(old, new)
    assert message(text).startswith(f"course.yaml:{line_of(text, where)}: ")


def test_a_repeated_key_is_refused_and_points_to_the_first() -> None:
    text = changed("    title: First", "    title: First\n    title: Again")
    assert message(text) == (
        "course.yaml:9: sessions[0].title: expected one such key, "
        "got a second one (the first is in line 8)"
    )


def test_sessions_cannot_share_an_id_or_a_folder() -> None:
    text = changed("id: s2\n", "id: s1\n").replace("folder: s2_pruning", "folder: s1_intro")
    assert "sessions[1].id: expected a name used once, got 's1' again" in message(text)
    twice = changed("s2_pruning", "s1_intro")
    assert "sessions[1].folder: expected a name used once, got 's1_intro' again" in message(twice)


def test_the_first_of_several_errors_is_told_with_the_number_of_others() -> None:
    one = changed("title: A course", "title: 5")
    assert "more error" not in message(one)
    two = one.replace("points: 60", "points: sixty")
    assert message(two).startswith("course.yaml:3: title: ")
    assert message(two).endswith(" (and 1 more error)")
    three = two.replace("classes: 10", "classes: 10\n      classes: 11")
    assert message(three).endswith(" (and 2 more errors)")


def test_one_extension_per_student_and_session() -> None:
    entry = SMALL[SMALL.index("  - {student") : SMALL.index("limits")]
    text = changed(entry, entry + entry.replace("02-01", "02-02"))
    assert "extensions[1]: expected one extension per student and session, got 'ada'" in message(
        text
    )


def test_a_missing_value_is_told_where_its_parent_stands() -> None:
    text = changed("term: spring\n", "")
    assert message(text) == "course.yaml:1: term: expected a value, got nothing"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "expected a mapping, got nothing"),
        ("- a\n- b\n", 1, "expected a mapping, got a list"),
        ("a: 1\nb: ]\nc: 2\n", 2, "expected YAML"),
        ("a: 1\n\tb: 2\n", 2, "expected YAML"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: 1\nb: \x07\n", 2, "a control character"),
        ("a: !!bool maybe\n", 1, "an error"),
        ("a: !!int x\n", 1, "expected YAML"),
        ("? [a]\n: b\n", 1, "unhashable"),
        ("1: a\n", 1, "got 1"),
        ("1.5: a\n", 1, "got 1.5"),
        ("null: a\n", 1, "got nothing"),
        ("id: x\n{}: a\n", 2, "expected YAML"),
        ("'{a}': b\n", 1, "got '{a}'"),
        ("[" * 5000, 1, "expected YAML"),
        ("a: &x [*x]\n", 1, "expected one of the keys"),
        ("a: &x {b: *x}\n", 1, "expected one of the keys"),
    ],
)
def test_what_is_no_course_is_one_line(text: str, line: int, words: str) -> None:
    actual = message(text)
    assert re.match(rf"course\.yaml:{line}: \S+: expected .*, got ", actual), actual
    if "keys" not in words:
        assert words in actual


def test_nothing_is_constructed_from_tags(tmp_path: Path) -> None:
    target = tmp_path / "made"
    text = f'id: !!python/object/apply:os.mkdir ["{target}"]\n'
    assert "expected YAML" in message(text)
    assert not target.exists()


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"^course\.yaml:1: file: expected .*, got nothing at "):
        load_course(tmp_path / "course.yaml")
    with pytest.raises(CourseError, match=r":1: file: expected a readable file, got Is a dir"):
        load_course(tmp_path)
    latin = tmp_path / "course.yaml"
    latin.write_bytes(b"kit_version: 1\ntitle: caf\xe9\n")
    with pytest.raises(CourseError, match=r"^course\.yaml:2: file: expected UTF-8, got "):
        load_course(latin)


def test_byte_order_mark_and_crlf_are_read(tmp_path: Path) -> None:
    path = tmp_path / "course.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert load_course(path) == parse_course(SMALL)
