"""The leaderboard: the best valid entry of each team, and what no other entry beats.

Built from score records alone. A record says what was measured; only measured numbers rank.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from autograder.records.measurement import Score

Number = Callable[[Score], float]


@dataclass(frozen=True)
class Standing:
    """One team: its best valid entry (None if it has none) and all its entries by time."""

    team: str
    best: Score | None
    history: tuple[Score, ...]


@dataclass(frozen=True)
class Board:
    """The standings of one data set: ranked teams first, then those without a valid entry."""

    dataset: str
    cost: str
    standings: tuple[Standing, ...]

    @property
    def ranked(self) -> tuple[Score, ...]:
        """The best entries in order."""
        return tuple(s.best for s in self.standings if s.best is not None)


def boards(scores: Iterable[Score], costs: Sequence[str]) -> tuple[Board, ...]:
    """One board for each data set that occurs, by name; the first of `costs` ranks."""
    by_dataset: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        by_dataset[score.dataset].append(score)
    return tuple(_board(name, by_dataset[name], costs[0]) for name in sorted(by_dataset))


def _board(dataset: str, scores: Sequence[Score], cost: str) -> Board:
    teams: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        teams[score.team].append(score)
    standings = [_standing(team, entries, cost) for team, entries in teams.items()]
    standings.sort(key=lambda s: (s.best is None, rank_key(s.best, cost) if s.best else (), s.team))
    return Board(dataset, cost, tuple(standings))


def _standing(team: str, entries: Sequence[Score], cost: str) -> Standing:
    history = tuple(sorted(entries, key=lambda s: (s.scored_at, s.sha256)))
    valid = [score for score in history if score.valid and cost in score.costs]
    best = min(valid, key=lambda score: rank_key(score, cost), default=None)
    return Standing(team, best, history)


def rank_key(score: Score, cost: str) -> tuple[float, int, str, str]:
    """Lower cost first, then more right answers, then the earlier entry."""
    return (score.costs[cost], -score.counted, score.scored_at, score.sha256)


def front(scores: Sequence[Score], number: Number) -> list[int]:
    """Indices of the entries that no other beats in both accuracy and `number`, in their order.

    Beaten means no better in both and worse in one; equal entries all stay.
    """

    def beats(a: Score, b: Score) -> bool:
        better = number(a) < number(b) or a.counted > b.counted
        return better and number(a) <= number(b) and a.counted >= b.counted

    return [i for i, one in enumerate(scores) if not any(beats(other, one) for other in scores)]


AXES: dict[str, Number] = {
    "nonzero parameters": lambda s: s.measurement.nonzeros if s.measurement else 0,
    "MACs": lambda s: s.measurement.macs + s.measurement.excess_macs if s.measurement else 0,
}
"""What accuracy is drawn against, besides the cost that ranks."""
