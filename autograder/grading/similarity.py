"""Pairs of submissions that share unusual code: a reason for a person to look, never points.

Fingerprints of code without comments, spaces and names are made and compared by copydetect
(k-grams as in Schleimer, Wilkerson & Aiken, SIGMOD 2003). What students were given, what the
model solution has, and what many of the class wrote is not unusual.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from autograder.errors import AutograderError
from autograder.processor_alarm import processor_alarm
from autograder.reports.csv_report import escape_formula
from autograder.reports.view import NAME_LIMIT
from autograder.submissions import Submission
from autograder.text_safety import clean_line

KGRAM = 25  # characters of code without names and spaces: about two short statements
EVERY = 1  # all fingerprints are kept: which ones winnowing leaves out differs from run to run
MIN_SHARED = 150  # characters of a pair that are worth a look: about ten lines,
MIN_SHARE = 0.35  # and this part of the unusual code of one of them: different work had 0.30
COMMON_SHARE = 0.05  # of a class: what more of them have is usual
COMMON_LEAST = 4  # so many may share something unusual in a small class
MAX_PASSAGES = 3  # that are named for a pair
READ_SECONDS = 20.0  # of processor time for the code of one submission

COLUMNS = (
    "first",
    "second",
    "characters",
    "share_of_first",
    "share_of_second",
    "in_first",
    "in_second",
)


@dataclass(frozen=True)
class Pair:
    """Two submissions that share unusual code.

    `characters` are those of code without names and spaces, `shares` the parts in 0..1 of all
    that is unusual in each, `passages` the longest places in each, as `file:first-last`.
    """

    students: tuple[str, str]
    characters: int
    shares: tuple[float, float]
    passages: tuple[tuple[str, ...], tuple[str, ...]]


def similar_pairs(
    submissions: Sequence[Submission],
    known: Iterable[str],
    note: Callable[[str], None] = lambda _: None,
) -> tuple[Pair, ...]:
    """Pairs that share at least `MIN_SHARED` characters and `MIN_SHARE`, the largest first.

    `known` are texts that everybody may have: what was handed out, the model solution. Members of
    one group are no pair, and what they hand in alike is one piece of work. What cannot be read in
    `READ_SECONDS` (blanks for pages, say) is left out, with a note that names it. AutograderError
    without copydetect.
    """
    code = _library()
    usual = {value for text in known for value in _fingerprint(code, text).hashes}
    submissions = _pieces_of_work(submissions)
    prints = {}
    for submission in submissions:
        try:
            with processor_alarm(READ_SECONDS, _give_up):
                made = _fingerprint(code, _text(submission))
        except _TooLong:
            who = clean_line(submission.student, NAME_LIMIT)
            note(f"{who}: left out, the code takes too long to read; look at it yourself")
            continue
        made.hashes -= usual
        made.hash_idx = {value: made.hash_idx[value] for value in made.hashes}
        prints[submission.slug] = made
    _remove_common(prints.values())
    own = {slug: sum(map(len, _places(made))) for slug, made in prints.items()}
    by_slug = {submission.slug: submission for submission in submissions}
    found = []
    for first, second in _candidates(prints):
        a, b = by_slug[first], by_slug[second]
        if a.group and a.group == b.group:
            continue
        characters, _, places = code.compare_files(prints[first], prints[second])
        shares = (_share(characters, own[first]), _share(characters, own[second]))
        if characters >= MIN_SHARED and max(shares) >= MIN_SHARE:
            passages = (_passages(a, places[0]), _passages(b, places[1]))
            found.append(Pair((a.student, b.student), int(characters), shares, passages))
    return tuple(sorted(found, key=lambda pair: (-pair.characters, pair.students)))


def _pieces_of_work(submissions: Iterable[Submission]) -> list[Submission]:
    """A group's work once, under all names: else it would be usual for being everybody's there."""
    works: dict[object, list[Submission]] = {}
    for submission in submissions:
        key = (submission.group, submission.sha256) if submission.group else submission.slug
        works.setdefault(key, []).append(submission)
    return [replace(same[0], student=", ".join(s.student for s in same)) for same in works.values()]


def known_texts(root: Path, folder: str) -> list[str]:
    """What everybody may have of a session: its hand-outs and the model solution."""
    paths = (
        path
        for part in ("assignments", "solutions")
        for path in sorted((root / part / folder).rglob("*.py"))
    )
    return [path.read_text("utf-8", "replace") for path in paths]


def pairs_csv(pairs: Iterable[Pair]) -> str:
    """The pairs as a table for a spreadsheet."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pair in pairs:
        names = (escape_formula(clean_line(name, NAME_LIMIT)) for name in pair.students)
        shares = (f"{share:.2f}" for share in pair.shares)
        passages = (" ".join(passages) for passages in pair.passages)
        writer.writerow((*names, pair.characters, *shares, *passages))
    return file.getvalue()


def _library() -> Any:
    try:
        import copydetect
    except ImportError:
        raise AutograderError(
            "similarity needs copydetect: pip install 'compression-course[similarity]'"
        ) from None
    return copydetect


def _text(submission: Submission) -> str:
    """All modules of a submission, one after the other."""
    return "".join(text for _, text in _modules(submission))


def _modules(submission: Submission) -> list[tuple[str, str]]:
    return [
        (name, data.decode("utf-8", "replace").rstrip("\n") + "\n")
        for name, data in submission.files
        if name.endswith(".py")
    ]


class _TooLong(Exception):
    """Something took more processor time than it may."""


def _give_up() -> None:
    raise _TooLong


def _fingerprint(code: Any, text: str) -> Any:
    return code.CodeFingerprint("module.py", KGRAM, EVERY, language="python", fp=io.StringIO(text))


def _remove_common(prints: Iterable[Any]) -> None:
    """Take out what more than a few of a class have: a usual way to write it."""
    prints = list(prints)
    held = Counter(value for made in prints for value in made.hashes)
    most = max(COMMON_LEAST, math.ceil(COMMON_SHARE * len(prints)))
    common = {value for value, count in held.items() if count > most}
    for made in prints:
        made.hashes -= common


def _candidates(prints: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Pairs with something in common, without comparing all with all."""
    holders: dict[int, list[str]] = {}
    for slug, made in prints.items():
        for value in made.hashes:
            holders.setdefault(value, []).append(slug)
    return sorted({pair for slugs in holders.values() for pair in combinations(slugs, 2)})


def _places(made: Any) -> list[range]:
    """Where the remaining fingerprints of a submission lie, in code without names and spaces."""
    merged: list[range] = []
    for start in sorted(place for value in made.hashes for place in made.hash_idx[value]):
        if merged and start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, int(start) + KGRAM)
        else:
            merged.append(range(int(start), int(start) + KGRAM))
    return merged


def _share(characters: int, own: int) -> float:
    return min(1.0, int(characters) / own) if own else 0.0


def _passages(submission: Submission, places: Any) -> tuple[str, ...]:
    """The longest passages as `file:first-last`; `places` are characters of `_text`."""
    spans = [(int(start), int(end)) for start, end in zip(*places, strict=True)]
    lines = [
        (name, number)
        for name, text in _modules(submission)
        for number in range(1, text.count("\n") + 1)
    ]
    text = _text(submission)
    named = []
    for start, end in sorted(spans, key=lambda span: span[0] - span[1])[:MAX_PASSAGES]:
        (name, first), (other, last) = (
            lines[min(text.count("\n", 0, place), len(lines) - 1)] for place in (start, end)
        )
        named.append(f"{name}:{first}-{last if name == other else f'{other}:{last}'}")
    return tuple(named)
