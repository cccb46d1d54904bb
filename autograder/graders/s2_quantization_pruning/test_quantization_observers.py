"""Graders of quantization.py: observers, and the noise of quantisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from autograder.graders.s2_quantization_pruning.quantization_inputs import (
    decibels,
    expect_params,
)
from autograder.graders.s2_quantization_pruning.quantization_references import (
    affine,
    code_range,
    squared_error,
)
from autograder.graders.toolkit import (
    Exercise,
    Handle,
    RandomInputs,
    StudentError,
    check,
    close,
    expect_float,
    expect_value_error,
    fail,
)

# ---- observers -------------------------------------------------------------------------------

NEAR = 0.02  # share of the range by which an end may be off: rounding the zero point, and more


def new_observer(student: Any, kind: str, *args: object) -> Handle:
    """An observer of the student's."""
    observer = getattr(student, kind)(*args)
    if not isinstance(observer, Handle):
        fail(f"{kind}(...) should be an object with the methods observe and qparams")
    return observer


def watching(student: Any, kind: str, seen: Sequence[Tensor], *args: object) -> Handle:
    """An observer that was shown `seen`, one tensor after the other."""
    observer = new_observer(student, kind, *args)
    for x in seen:
        student.invoke(observer, "observe", x)
    return observer


def expect_ends(
    student: Any, hint: str, observer: Handle, ends: tuple[float, float], bits: int = 8
) -> None:
    """The observer's parameters span about the range `ends`, which has 0 inside.

    The exact formula of scale and zero point belongs to affine_params; here an end may be off by
    the rounding of the zero point.
    """
    value = student.invoke(observer, "qparams", bits)
    scale, zero_point = expect_params(value, "qparams")
    lowest, highest = code_range(bits)
    span = ends[1] - ends[0]
    slack = NEAR * span + 0.5 * span / (highest - lowest)
    check(lowest <= zero_point <= highest, "signed parameters: the zero point is a signed code")
    low, high = (lowest - zero_point) * scale, (highest - zero_point) * scale
    check(abs(low - ends[0]) < slack and abs(high - ends[1]) < slack, hint)


def ends_of(*seen: Tensor) -> tuple[float, float]:
    """The smallest and the largest of all numbers."""
    numbers = [number for x in seen for number in x.flatten().tolist()]
    return min(numbers), max(numbers)


def lopsided(rng: RandomInputs, *shape: int) -> Tensor:
    """Numbers around 0 whose positive side reaches further, or the other way round."""
    x = rng.uniform(*shape, low=-1.0, high=rng.number(2.0, 4.0))
    x.view(-1)[:2] = torch.tensor([-0.5, 1.5])  # both signs, however few there are
    return x * rng.choice([-1, 1]) * rng.number(0.5, 3.0)


def expect_apart(student: Any, rng: RandomInputs, kind: str, *args: object) -> None:
    """Two observers know nothing of each other, nor of themselves after another was made."""
    first, second = lopsided(rng, 50), 5 * lopsided(rng, 50)
    one = watching(student, kind, [first], *args)
    other = watching(student, kind, [second], *args)
    hint = "keep what was seen in the instance (self), not in the class or a default argument"
    expect_ends(student, hint, one, ends_of(first))
    expect_ends(student, hint, other, ends_of(second))


def expect_zero_inside(student: Any, rng: RandomInputs, kind: str, *args: object) -> None:
    """Also where everything seen lies on one side of 0, the range contains 0."""
    apart = rng.uniform(60, low=2.0, high=3.0)
    alike = torch.full((60,), rng.number(2.0, 3.0))
    for x in (apart, -apart, alike, -alike):
        observer = watching(student, kind, [x], *args)
        low, high = ends_of(x)
        ends = min(low, 0.0), max(high, 0.0)
        expect_ends(student, "affine parameters: widen the range until it holds 0", observer, ends)


def expect_memory(student: Any, rng: RandomInputs, kind: str, *args: object) -> None:
    """What was seen is remembered as it was seen."""
    x = lopsided(rng, 5, 20)
    live, observer = student.put(x), new_observer(student, kind, *args)
    student.invoke(observer, "observe", live)
    check(torch.equal(student.fetch(live), x), "observe changes nothing")
    student.invoke(live, "mul_", 10.0)
    hint = "a loader may use its memory again: keep a copy (clone) of what was seen"
    expect_ends(student, hint, observer, ends_of(x))


def expect_argument_error(student: Any, kind: str, argument: float) -> None:
    """A wrong argument raises ValueError, at the latest when parameters are asked for."""

    def use() -> None:
        observer = watching(student, kind, [torch.tensor([-1.0, 2.0])] * 2, argument)
        student.invoke(observer, "qparams", 8)

    expect_value_error(use)


def expect_unseen_raises(student: Any, kind: str, *args: object) -> None:
    """Parameters of an observer that has seen nothing raise an error, and one that says so."""
    try:
        student.invoke(new_observer(student, kind, *args), "qparams", 8)
    except StudentError as error:
        if error.kind == "NotImplementedError":
            raise
        accidents = ("AttributeError", "TypeError", "NameError", "UnboundLocalError", "IndexError")
        check(error.kind not in accidents, "before any observe: raise ValueError and say why")
    else:
        fail("before any observe there are no parameters: raise ValueError")


min_max_observer = Exercise("s2.MinMaxObserver")


@min_max_observer.check(weight=2)
def test_min_max_of_everything_seen(student: Any, rng: RandomInputs) -> None:
    """The range is from the smallest to the largest number of all tensors seen."""
    narrow, wide = lopsided(rng, 4, 6), 4 * lopsided(rng, 3, 5, 2)
    low, high = wide.clamp(max=0.3), wide.clamp(min=-0.2)
    for seen in ([wide], [narrow, wide], [wide, narrow], [low, narrow, high]):
        observer = watching(student, "MinMaxObserver", seen)
        hint = "keep the smallest and the largest number of all calls"
        expect_ends(student, hint, observer, ends_of(*seen))


@min_max_observer.check()
def test_min_max_can_be_read_at_any_time(student: Any, rng: RandomInputs) -> None:
    """Parameters can be asked for between two tensors, and with any number of bits."""
    first, second = lopsided(rng, 30), 3 * lopsided(rng, 30)
    observer = watching(student, "MinMaxObserver", [first])
    for bits in (8, 4, 8, rng.integer(5, 12)):
        hint = "qparams(bits) depends on what was seen and on bits, nothing else"
        expect_ends(student, hint, observer, ends_of(first), bits)
    student.invoke(observer, "observe", second)
    expect_ends(student, "go on after qparams was called", observer, ends_of(first, second))


@min_max_observer.check()
def test_min_max_observers_are_apart(student: Any, rng: RandomInputs) -> None:
    """Two observers do not share what they have seen."""
    expect_apart(student, rng, "MinMaxObserver")


@min_max_observer.check(essential=True)
def test_min_max_range_contains_zero(student: Any, rng: RandomInputs) -> None:
    """The range contains 0, also where everything seen lies on one side of it."""
    expect_zero_inside(student, rng, "MinMaxObserver")


@min_max_observer.check(weight=0.5, guard=True)
def test_min_max_before_any_observe(student: Any) -> None:
    """Before any observe, qparams raises an error."""
    expect_unseen_raises(student, "MinMaxObserver")


def smoothed(seen: Sequence[Tensor], momentum: float) -> tuple[float, float]:
    """The moving average of the ends of each tensor; the first one sets it."""
    low, high = ends_of(seen[0])
    for x in seen[1:]:
        batch_low, batch_high = ends_of(x)
        low = momentum * low + (1 - momentum) * batch_low
        high = momentum * high + (1 - momentum) * batch_high
    return low, high


def growing(rng: RandomInputs, count: int) -> list[Tensor]:
    """Tensors of different sizes whose ranges differ much."""
    factors = [rng.number(0.3, 0.6) * 3.0**i for i in range(count)]
    return [factor * lopsided(rng, 10 + 7 * i) for i, factor in enumerate(factors)]


moving_average_observer = Exercise("s2.MovingAverageObserver")


@moving_average_observer.check(weight=2)
def test_moving_average_of_the_ends(student: Any, rng: RandomInputs) -> None:
    """Each tensor moves both ends: momentum * old + (1 - momentum) * new."""
    for momentum in (rng.number(0.7, 0.85), rng.number(0.2, 0.4)):
        seen = rng.sample(growing(rng, 3), 3)
        observer = watching(student, "MovingAverageObserver", seen, momentum)
        hint = "momentum weighs the old end, 1 - momentum the end of the new tensor"
        expect_ends(student, hint, observer, smoothed(seen, momentum))


@moving_average_observer.check()
def test_moving_average_starts_with_the_first(student: Any, rng: RandomInputs) -> None:
    """The first tensor sets the range, without any average."""
    seen = [lopsided(rng, 40)]
    observer = watching(student, "MovingAverageObserver", seen, 0.9)
    expect_ends(student, "start with the first range, not with 0", observer, ends_of(*seen))


@moving_average_observer.check()
def test_moving_average_default_momentum(student: Any, rng: RandomInputs) -> None:
    """The momentum is 0.9 by default."""
    seen = growing(rng, 3)
    observer = watching(student, "MovingAverageObserver", seen)
    expect_ends(student, "momentum is 0.9 by default", observer, smoothed(seen, 0.9))
    expect_ends(student, "use the bits of qparams(bits)", observer, smoothed(seen, 0.9), 5)


@moving_average_observer.check()
def test_moving_average_observers_are_apart(student: Any, rng: RandomInputs) -> None:
    """Two observers do not share what they have seen."""
    expect_apart(student, rng, "MovingAverageObserver", 0.8)


@moving_average_observer.check(weight=0.5)
def test_moving_average_range_contains_zero(student: Any, rng: RandomInputs) -> None:
    """The range contains 0, also where everything seen lies on one side of it."""
    expect_zero_inside(student, rng, "MovingAverageObserver", 0.8)


@moving_average_observer.check(weight=0.2, guard=True)
def test_moving_average_refuses_wrong_momentum(student: Any, rng: RandomInputs) -> None:
    """A momentum outside 0..1 raises ValueError."""
    expect_argument_error(student, "MovingAverageObserver", -rng.number(0.1, 0.5))
    expect_argument_error(student, "MovingAverageObserver", 1 + rng.number(0.1, 0.5))


@moving_average_observer.check(weight=0.4, guard=True)
def test_moving_average_before_any_observe(student: Any) -> None:
    """Before any observe, qparams raises an error."""
    expect_unseen_raises(student, "MovingAverageObserver", 0.9)


def percentile_ends(p: float, *seen: Tensor) -> tuple[float, float]:
    """The (100 - p)th and the pth percentile of all numbers, by linear interpolation."""
    ordered: list[float] = sorted(number for x in seen for number in x.flatten().tolist())

    def at(percent: float) -> float:
        place = percent / 100 * (len(ordered) - 1)
        below = min(math.floor(place), len(ordered) - 2)
        return ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])

    return at(100 - p), at(p)


percentile_observer = Exercise("s2.PercentileObserver")


@percentile_observer.check(weight=2)
def test_percentiles_leave_outliers_out(student: Any, rng: RandomInputs) -> None:
    """The range goes from the (100 - p)th to the pth percentile, whatever the outliers are."""
    for p in (rng.number(97, 98), rng.number(88, 92)):
        x = lopsided(rng, 40, 25)
        x[0, :2] = torch.tensor([-100.0, 300.0])
        x[3, :3] = torch.tensor([50.0, -200.0, 80.0])
        observer = watching(student, "PercentileObserver", [x], p)
        hint = "p in percent, on both sides: the (100 - p)th and the pth percentile of the values"
        expect_ends(student, hint, observer, percentile_ends(p, x))


@percentile_observer.check(weight=2)
def test_percentiles_of_everything_seen(student: Any, rng: RandomInputs) -> None:
    """Percentiles are those of all numbers of all tensors together."""
    seen = [lopsided(rng, 300), 4 * lopsided(rng, 10, 10), lopsided(rng, 7, 20)]
    for order in (seen, seen[::-1]):
        observer = watching(student, "PercentileObserver", order, 93.0)
        hint = "collect all numbers: neither the last tensor's nor an average of percentiles"
        expect_ends(student, hint, observer, percentile_ends(93.0, *seen))


@percentile_observer.check()
def test_percentiles_are_interpolated(student: Any, rng: RandomInputs) -> None:
    """Between two numbers percentiles are interpolated linearly."""
    x = (torch.arange(9.0) - 4 + rng.uniform(9, low=-0.1, high=0.1))[rng.permutation(9)]
    for p in (rng.number(79, 82), rng.number(92, 95)):
        observer = watching(student, "PercentileObserver", [x], p)
        hint = "interpolate between the two closest numbers"
        expect_ends(student, hint, observer, percentile_ends(p, x))


@percentile_observer.check(weight=0.5)
def test_hundredth_percentile(student: Any, rng: RandomInputs) -> None:
    """With p = 100 the range holds everything."""
    seen = [lopsided(rng, 50), 2 * lopsided(rng, 50)]
    observer = watching(student, "PercentileObserver", seen, 100.0)
    for bits in (8, 5):
        hint = "p = 100: from the smallest to the largest number"
        expect_ends(student, hint, observer, ends_of(*seen), bits)


@percentile_observer.check(weight=0.5)
def test_percentile_observers_are_apart(student: Any, rng: RandomInputs) -> None:
    """Two observers do not share what they have seen."""
    expect_apart(student, rng, "PercentileObserver", 100.0)


@percentile_observer.check(weight=0.5)
def test_percentile_range_contains_zero(student: Any, rng: RandomInputs) -> None:
    """The range contains 0, also where everything seen lies on one side of it."""
    expect_zero_inside(student, rng, "PercentileObserver", 100.0)


@percentile_observer.check(weight=0.25)
def test_percentile_observer_keeps_a_copy(student: Any, rng: RandomInputs) -> None:
    """What happens to a tensor after it was observed does not matter."""
    expect_memory(student, rng, "PercentileObserver", 100.0)


@percentile_observer.check(weight=0.25, guard=True)
def test_percentile_refuses_wrong_p(student: Any, rng: RandomInputs) -> None:
    """A p outside 0..100 raises ValueError."""
    expect_argument_error(student, "PercentileObserver", -rng.number(0.5, 9))
    expect_argument_error(student, "PercentileObserver", 100 + rng.number(0.5, 9))


@percentile_observer.check(weight=0.5, guard=True)
def test_percentile_before_any_observe(student: Any) -> None:
    """Before any observe, qparams raises an error."""
    expect_unseen_raises(student, "PercentileObserver", 99.0)


def error_shares(
    student: Any, seen: Sequence[Tensor], all_bits: Sequence[int], apart: bool = False
) -> list[float]:
    """The observer's squared error on what it has seen, in units of min-max's.

    With `apart` another observer sees something else, and the tensors change afterwards.
    """
    x = torch.cat([each.flatten() for each in seen])
    live = [student.put(each) for each in seen]
    observer = new_observer(student, "MSEObserver")
    for each in live:
        student.invoke(observer, "observe", each)
    if apart:
        watching(student, "MSEObserver", [100 * x])
        for each in live:
            student.invoke(each, "mul_", 0.1)
    shares = []
    for bits in all_bits:
        params = expect_params(student.invoke(observer, "qparams", bits), "qparams")
        lowest, highest = code_range(bits)
        check(lowest <= params[1] <= highest, "the zero point is a signed code")
        plain = affine(*ends_of(x), bits)
        scale, zero_point = expect_params(plain, "reference")
        shares.append(squared_error(x, params, bits) / squared_error(x, (scale, zero_point), bits))
    return shares


mse_observer = Exercise("s2.MSEObserver")


@mse_observer.check(weight=2)
def test_mse_beats_min_max_on_gaussians(student: Any, rng: RandomInputs) -> None:
    """On Gaussian numbers with 2 to 4 bits the squared error is clearly below min-max's."""
    x = rng.normal(3000, std=rng.number(0.2, 3.0))
    shares = error_shares(student, [x], (2, 3, 4))
    hint = "search for the range of least squared error: clipping the tails pays with few bits"
    check(max(shares) < 0.9, hint)


@mse_observer.check(weight=1.5)
def test_mse_is_never_above_min_max(student: Any, rng: RandomInputs) -> None:
    """On other numbers the squared error is never above min-max's."""
    hint = "the range from min to max is a candidate too; judge each by the error it causes"
    uniform, relu = lopsided(rng, 500), rng.normal(500).clamp(min=0.0)
    for x in (uniform, relu, rng.normal(500, mean=1.0), 5 + uniform.abs()):
        shares = error_shares(student, [x], (3, 8))
        check(max(shares) < 1.01, hint)
    alike = torch.full((60,), rng.choice([-1, 1]) * rng.number(2.0, 3.0))
    observer = watching(student, "MSEObserver", [alike])
    params = expect_params(student.invoke(observer, "qparams", 8), "qparams")
    half_step = float(alike.abs().max()) / 255 / 2
    hint = "numbers that are all alike: the range from 0 to them"
    check(squared_error(alike, params, 8) <= 60 * half_step**2 * 1.01, hint)


@mse_observer.check(weight=1.5)
def test_mse_of_everything_seen(student: Any, rng: RandomInputs) -> None:
    """The error counts on everything that was seen, not on the last tensor only."""
    narrow, wide = rng.normal(300, std=0.05), lopsided(rng, 400)
    for seen in ([wide, narrow], [narrow, wide], [narrow, wide, narrow]):
        shares = error_shares(student, seen, (4, 8), apart=True)
        hint = "keep a copy of what every call has seen, for this observer alone"
        check(max(shares) < 1.01, hint)


@mse_observer.check(weight=0.5, guard=True)
def test_mse_before_any_observe(student: Any) -> None:
    """Before any observe, qparams raises an error."""
    expect_unseen_raises(student, "MSEObserver")


# ---- sqnr_db ---------------------------------------------------------------------------------

sqnr_db = Exercise("s2.sqnr_db")


@sqnr_db.check(weight=2)
def test_signal_to_noise(student: Any, rng: RandomInputs) -> None:
    """Ten times the decimal logarithm of signal power over noise power."""
    for noise in (0.3, 0.01, 3.0):
        reference = rng.normal(6, 7, mean=rng.choice([-2.0, 2.0]))
        approximation = reference + noise * rng.uniform(6, 7, low=-0.5, high=1.0)
        value = expect_float(student.sqnr_db(reference, approximation), "sqnr_db")
        hint = "10 * log10(sum of reference**2 / sum of (reference - approximation)**2)"
        check(close(value, decibels(reference, approximation), rtol=1e-4, atol=1e-3), hint)


@sqnr_db.check()
def test_no_noise_is_infinite(student: Any, rng: RandomInputs) -> None:
    """Without any noise the ratio is +infinity; with very little it is not."""
    reference = rng.normal(5, 8)
    value = expect_float(student.sqnr_db(reference, reference.clone()), "sqnr_db", finite=False)
    check(value == math.inf, "no noise: return math.inf")
    approximation = reference.clone()
    approximation[0, 0] += 1e-3
    value = expect_float(student.sqnr_db(reference, approximation), "sqnr_db")
    hint = "add nothing to the noise: only a noise of exactly 0 is special"
    check(close(value, decibels(reference, approximation), rtol=1e-4, atol=1e-2), hint)
    for scale in (2.0**-84, 2.0**60):
        value = expect_float(student.sqnr_db(scale * reference, scale * approximation), "sqnr_db")
        hint = "sum the squares in float64: in float32 small ones vanish, large ones overflow"
        check(close(value, decibels(reference, approximation), rtol=1e-4, atol=1e-2), hint)


@sqnr_db.check(weight=0.33, guard=True)
def test_sqnr_refuses_other_shapes(student: Any, rng: RandomInputs) -> None:
    """Tensors of different shapes raise ValueError, also where they could be broadcast."""
    expect_value_error(student.sqnr_db, rng.normal(4, 3), rng.normal(3, 4))
    expect_value_error(student.sqnr_db, rng.normal(4, 1), rng.normal(4))
