"""Graders of benchmark.py: runners of the judge, a clock of the judge, and a plot."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from autograder.graders.toolkit import (
    CallbackError,
    Exercise,
    Handle,
    RandomInputs,
    case,
    check,
    close,
    expect_float,
    expect_list,
    expect_record,
    expect_str,
    fail,
)
from shared.records import Row

# ---- benchmark ---------------------------------------------------------------------------------


class Machine:
    """A simulated clock and runners whose calls take drawn times; remembers what was called."""

    def __init__(self, rng: RandomInputs, names: list[str]) -> None:
        self.now = rng.number(10, 20)
        self.log: list[str] = []
        self.taken: dict[str, list[float]] = {name: [] for name in names}
        self.inputs: list[object] = []
        self._rng = rng

    def clock(self) -> float:
        """The time."""
        self.log.append("clock")
        self.now += 0.001  # reading it takes time as well
        return self.now

    def runner(self, name: str, fails_at: int = -1) -> Callable[[Any], float]:
        """A function that takes a drawn time and fails at one of its calls."""

        def run(inputs: Any) -> float:
            self.log.append(name)
            self.inputs.append(inputs)
            took = self._rng.number(0.5, 1.0) * self._rng.choice([1, 1, 1, 7])
            self.now += took
            self.taken[name].append(took + 0.001)
            if len(self.taken[name]) - 1 >= fails_at >= 0:
                raise CallbackError("this runner does not work")
            return 0.0

        return run


def rows_of(student: Any, *arguments: Any) -> list[tuple[str, float, float, float]]:
    """The student's rows."""
    rows = []
    for entry in expect_list(student.benchmark(*arguments), "benchmark"):
        name, *numbers = expect_record(entry, Row, "each row")
        values = [expect_float(number, "a timing", finite=False) for number in numbers]
        rows.append((expect_str(name, "name"), values[0], values[1], values[2]))
    return rows


def names_for(rng: RandomInputs, count: int) -> list[str]:
    """Names in an order of their own."""
    return rng.sample(["eager", "compiled", "onnx", "int8", "tensorrt", "a", "z"], count)


benchmark = Exercise("s6.benchmark")


@benchmark.check(weight=3, essential=True)
def test_runners_take_turns(student: Any, rng: RandomInputs) -> None:
    """In every round each runner is called once; two readings of the clock around each call."""
    names = names_for(rng, 3)
    machine = Machine(rng, names)
    warmup, repeats = rng.integer(1, 3), rng.integer(4, 7)
    runners = {name: machine.runner(name) for name in names}
    rows_of(student, runners, [1.0, 2.0], warmup, repeats, machine.clock)
    calls = [entry for entry in machine.log if entry != "clock"]
    check(len(calls) == len(names) * (warmup + repeats), "warmup + repeats calls of each runner")
    rounds = [calls[at : at + len(names)] for at in range(0, len(calls), len(names))]
    hint = "one call of each runner in a round, then the next round"
    check(all(sorted(one) == sorted(names) for one in rounds), hint)
    timed = machine.log[len(names) * warmup :]
    check("clock" not in machine.log[: len(names) * warmup], "warm-up rounds are not timed")
    triples = [timed[at : at + 3] for at in range(0, len(timed), 3)]
    hint = "read the clock right before and right after each call"
    check(all([one[0], one[-1]] == ["clock"] * 2 and len(one) == 3 for one in triples), hint)


@benchmark.check(weight=3, essential=True)
def test_percentiles(student: Any, rng: RandomInputs) -> None:
    """Median, 10th and 90th percentile of what was timed, interpolated linearly."""
    for repeats in (rng.integer(8, 12), 1, 2):
        names = names_for(rng, 2)
        machine, warmup = Machine(rng, names), rng.integer(0, 3)
        runners = {name: machine.runner(name) for name in names}
        rows = rows_of(student, runners, None, warmup, repeats, machine.clock)
        check(sorted(row[0] for row in rows) == sorted(names), "one row for each runner")
        for name, *found in rows:
            expected = np.percentile(machine.taken[name][warmup:], [50, 10, 90])
            hint = "of the timed calls: median, 10th and 90th percentile"
            check(all(close(a, float(b), 1e-6) for a, b in zip(found, expected)), hint)


@benchmark.check(weight=1)
def test_rows_in_order(student: Any, rng: RandomInputs) -> None:
    """One row for each runner, in their order."""
    names = names_for(rng, 4)
    machine = Machine(rng, names)
    runners = {name: machine.runner(name) for name in names}
    rows = rows_of(student, runners, None, 0, 2, machine.clock)
    check([row[0] for row in rows] == names, "the order of `runners`")


@benchmark.check(weight=1)
def test_equal_inputs(student: Any, rng: RandomInputs) -> None:
    """Each call, also in warm-up, gets the inputs as they are."""
    machine, inputs = Machine(rng, ["a", "z"]), rng.normal(3, 4)
    runners = {name: machine.runner(name) for name in ("a", "z")}
    rows_of(student, runners, inputs, 2, 3, machine.clock)
    same = [isinstance(got, torch.Tensor) and torch.equal(got, inputs) for got in machine.inputs]
    check(len(same) > 0 and all(same), "run(inputs): the inputs themselves")


@benchmark.check(weight=1)
def test_a_runner_that_fails(student: Any, rng: RandomInputs) -> None:
    """A runner that raises, at once or later, gets NaN, and the others are timed."""
    for fails_at in (0, rng.integer(2, 4)):
        names = names_for(rng, 3)
        machine, warmup = Machine(rng, names), 1
        broken = rng.choice(names)
        runners = {n: machine.runner(n, fails_at if n == broken else -1) for n in names}
        rows = rows_of(student, runners, None, warmup, 5, machine.clock)
        check([row[0] for row in rows] == names, "a row for it as well")
        for name, *found in rows:
            if name == broken:
                check(all(math.isnan(number) for number in found), "NaN in all three places")
                continue
            times = machine.taken[name]
            check(len(times) == warmup + 5, "the others go on")
            check(close(found[0], float(np.median(times[warmup:])), 1e-6), "and are timed")


@benchmark.check(weight=0.3)
def test_runners_stay_in_the_mapping(student: Any, rng: RandomInputs) -> None:
    """Each runner has its row, and `runners` is unchanged, also if one of them fails."""
    names = names_for(rng, 3)
    machine = Machine(rng, names)
    runners = {name: machine.runner(name, 1 if name == names[1] else -1) for name in names}
    live = student.put(runners)
    rows = rows_of(student, live, None, 1, 3, machine.clock)
    check([row[0] for row in rows] == names, "one row for each runner")
    check(list(student.fetch(live)) == names, "the mapping belongs to the caller: work on a copy")


test_no_rounds = benchmark.refuses(
    lambda rng: case({"a": Machine(rng, ["a"]).runner("a")}, None, -1, 3, Machine(rng, []).clock),
    lambda rng: case({"a": Machine(rng, ["a"]).runner("a")}, None, 1, 0, Machine(rng, []).clock),
    lambda rng: case({}, None, 1, 3, Machine(rng, []).clock),
    title="A warm-up below 0, less than one round and no runners raise ValueError.",
    weight=0.9,
)

# ---- latency_plot ------------------------------------------------------------------------------


def drawn_rows(rng: RandomInputs, count: int) -> list[Row]:
    """Rows with quite different medians."""
    rows = []
    for name in names_for(rng, count):
        median = rng.number(1, 9) * 10 ** rng.integer(-3, -2)
        rows.append(Row(name, median, median * rng.number(0.7, 0.9), median * rng.number(1.1, 2)))
    return rows


TEXTS = ("Text", "Annotation")
AXES = ("XAxis", "YAxis", "ZAxis", "ThetaAxis", "RadialAxis")


class Drawing:
    """What can be seen in the student's figure."""

    def __init__(self, student: Any, rows: list[Row]) -> None:
        figure = student.latency_plot(rows)
        if not isinstance(figure, Handle) or not figure.type_name.endswith("Figure"):
            fail("latency_plot should return a matplotlib Figure")
        self._student, self._figure = student, figure
        student.invoke(figure, "draw_without_rendering")
        self._axes = expect_list(student.get(figure, "axes"), "figure.axes")
        check(len(self._axes) > 0, "the figure has no axes")

    def _many(self, thing: Handle, method: str) -> list[Any]:
        found = self._student.invoke(thing, method)
        return list(found) if isinstance(found, list | tuple) else []

    def _children(self, axes: Handle, *kinds: str) -> list[Handle]:
        found = self._many(axes, "get_children")
        return [one for one in found if isinstance(one, Handle) and one.type_name in kinds][:60]

    def _written(self, found: list[Any]) -> list[str]:
        """What those of the artists say that are texts, can be seen and are not empty."""
        texts = [t for t in found if isinstance(t, Handle) and t.type_name in TEXTS]
        parts = [(t, str(self._student.invoke(t, "get_text"))) for t in texts[:300]]
        return [one for t, one in parts if one and self._student.invoke(t, "get_visible") is True]

    def texts(self) -> list[str]:
        """Everything that is written: labels of axes and ticks, titles, notes, legends."""
        return self._written(self._many(self._figure, "findobj"))

    def beside_axes(self) -> list[str]:
        """What is written at the axes: labels, ticks, the notes that stand alone; no titles."""
        parts, titles = [], {str(self._student.invoke(self._figure, "get_suptitle"))}
        everything = [one for one in self._many(self._figure, "findobj") if isinstance(one, Handle)]
        for axis in [one for one in everything if one.type_name in AXES][:40]:
            parts.append(str(self._student.invoke(axis, "get_label_text")))
            ticks = [
                *self._many(axis, "get_majorticklabels"),
                *self._many(axis, "get_minorticklabels"),
            ]
            parts += self._written([*ticks, self._student.invoke(axis, "get_offset_text")])
        for figure in [one for one in everything if one.type_name.endswith("Figure")][:10]:
            parts += [str(self._student.invoke(figure, f"get_sup{n}label")) for n in "xy"]
        for axes in self._axes:
            sides = ("left", "center", "right")
            titles |= {str(self._student.invoke(axes, "get_title", side)) for side in sides}
        notes = [note for axes in self._axes for note in self._children(axes, *TEXTS)]
        alone = set(self._written([*notes, *self._children(self._figure, *TEXTS)])) - titles
        # one with a number, as at the end of a bar, is about that bar, not about the axis
        return parts + [note for note in alone if not any(map(str.isdigit, note))]

    def numbers(self) -> list[float]:
        """Lengths of bars, and coordinates of lines and points."""
        found: list[float] = []
        for axes in self._axes:
            for patch in self._children(axes, "Rectangle", "FancyBboxPatch"):
                found += [self._number(patch, "get_width"), self._number(patch, "get_height")]
            for line in self._children(axes, "Line2D"):
                for method in ("get_xdata", "get_ydata"):
                    # as numbers: errorbar keeps what it was given as an array of objects
                    found += self._flat(self._student.invoke(line, method, False))
            for points in self._children(axes, "PathCollection"):
                found += self._flat(self._student.invoke(points, "get_offsets"))
            for lines in self._children(axes, "LineCollection"):
                for segment in self._many(lines, "get_segments"):
                    found += self._flat(segment)
        return found

    def _number(self, patch: Handle, method: str) -> float:
        value = self._student.invoke(patch, method)
        return float(value) if isinstance(value, int | float) else math.nan

    def _flat(self, values: Any) -> list[float]:
        try:
            return [float(v) for v in np.asarray(values, np.float64).ravel()[:200]]
        except (TypeError, ValueError):
            return []


SCALES = (1.0, 1e3, 1e6, 1e9)
"""Seconds, milliseconds, microseconds, nanoseconds."""
PREFIXES = ("", "m", "µ", "μ", "u", "n")
UNITS = {
    *(prefix + unit for prefix in PREFIXES for unit in ("s", "sec", "secs")),
    *(prefix + unit for prefix in ("", "milli", "micro", "nano") for unit in ("second", "seconds")),
}


def words(text: str) -> set[str]:
    """Whatever stands between signs, digits and blanks, in small letters."""
    belongings = re.sub("['’]s\\b", "", text.lower())  # "a runner's latency" has no unit
    return set(re.findall(r"[^\W\d_]+", belongings))


def are_drawn(numbers: list[float], medians: list[float]) -> bool:
    """Whether all medians are among the numbers, in one unit."""
    return any(
        all(any(close(scale * median, n, 1e-4) for n in numbers) for median in medians)
        for scale in SCALES
    )


latency_plot = Exercise("s6.latency_plot")


@latency_plot.check(weight=3, essential=True)
def test_medians_are_drawn(student: Any, rng: RandomInputs) -> None:
    """Each median is the length of a bar, or the position of a point or a line."""
    rows = drawn_rows(rng, 4)
    numbers = Drawing(student, rows).numbers()
    check(are_drawn(numbers, [row.median for row in rows]), "medians, in s, ms, µs or ns")


@latency_plot.check(weight=2)
def test_names_are_written(student: Any, rng: RandomInputs) -> None:
    """Every name can be read in the figure."""
    rows = drawn_rows(rng, 5)
    text = Drawing(student, rows).texts()
    check(all(any(row.name in line for line in text) for row in rows), "the name of each runner")


@latency_plot.check(weight=1)
def test_unit_is_written(student: Any, rng: RandomInputs) -> None:
    """The label of an axis, or its ticks, say in which unit latencies are."""
    written = Drawing(student, drawn_rows(rng, 3)).beside_axes()
    named = any(UNITS & words(one) for one in written)
    check(named, "seconds, ms, µs or ns in the label of an axis")


@latency_plot.check(weight=1)
def test_rows_without_timings(student: Any, rng: RandomInputs) -> None:
    """A row of NaN keeps its name and does no harm to the others."""
    rows = drawn_rows(rng, 3)
    rows.insert(rng.integer(0, 3), Row("broken", math.nan, math.nan, math.nan))
    drawing = Drawing(student, rows)
    check(any("broken" in one for one in drawing.texts()), "its name is there")
    medians = [row.median for row in rows if row.name != "broken"]
    check(are_drawn(drawing.numbers(), medians), "the medians of the others")


@latency_plot.check(weight=1)
def test_no_figure_stays_open(student: Any, rng: RandomInputs) -> None:
    """pyplot keeps no figure open: it would stay in memory."""
    Drawing(student, drawn_rows(rng, 3))
    left = student.run("matplotlib.pyplot:get_fignums")
    check(left == [], "make a Figure without pyplot, or close it")


test_no_rows = latency_plot.refuses(case([]), title="No rows raise ValueError.", weight=0.8)
