"""Graders of distill.py's extra credit: decoupled distillation, speculative sampling."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from autograder.graders.common import remote_generator
from autograder.graders.s4_distillation.references import (
    answers,
    divergence,
    log_softmax,
    softmax,
    temperature,
)
from autograder.graders.toolkit import (
    Case,
    Exercise,
    RandomInputs,
    agreements,
    allclose,
    case,
    check,
    expect_int,
    expect_list,
    expect_tensor,
    expect_value_error,
)

# ---- dkd_loss --------------------------------------------------------------------------------


def log_sum(values: Sequence[float]) -> float:
    """Logarithm of a sum, from the logarithms of its terms."""
    top = max(values)
    return top + math.log(math.fsum(math.exp(value - top) for value in values))


def decoupled(ours: list[float], theirs: list[float], target: int, T: float) -> tuple[float, float]:
    """TCKD and NCKD of one row."""
    binary, others = [], []
    for row in (theirs, ours):
        logs = log_softmax(row, T)
        rest = [value for place, value in enumerate(logs) if place != target]
        binary.append([logs[target], log_sum(rest)])
        others.append(log_softmax([z for place, z in enumerate(row) if place != target], T))
    return divergence(*binary), divergence(*others)


def dkd_reference(
    student_logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor,
    T: float,
    alpha: float,
    beta: float,
) -> Tensor:
    """T**2 * (alpha * TCKD + beta * NCKD), the mean over the rows."""
    rows = zip(
        student_logits.double().tolist(),
        teacher_logits.double().tolist(),
        targets.tolist(),
        strict=True,
    )
    parts = [decoupled(ours, theirs, target, T) for ours, theirs, target in rows]
    total = math.fsum(alpha * tckd + beta * nckd for tckd, nckd in parts)
    return torch.tensor(T**2 * total / len(parts), dtype=student_logits.dtype)


dkd_loss = Exercise(
    "s4.dkd_loss", reference=dkd_reference, agreement=agreements.tensor(rtol=3e-4, atol=1e-5)
)


@dkd_loss.check(weight=2, essential=True)
def test_target_part(rng: RandomInputs) -> Iterator[Case]:
    """With beta = 0: the divergence of (target, all others), T**2 times, batch mean."""
    for T in (temperature(rng), 1.0):
        yield case(*answers(rng), T, rng.number(0.5, 3), 0.0)


@dkd_loss.check(weight=2, essential=True)
def test_part_of_the_others(rng: RandomInputs) -> Iterator[Case]:
    """With alpha = 0: the divergence of the other classes among themselves, T**2 times."""
    for T in (temperature(rng), 1.0):
        yield case(*answers(rng), T, 0.0, rng.number(0.5, 8))


@dkd_loss.check()
def test_both_parts(rng: RandomInputs) -> Iterator[Case]:
    """alpha weighs the target, beta the others; both may exceed 1."""
    yield case(*answers(rng), temperature(rng), rng.number(1.2, 2), rng.number(3, 8))
    student, teacher, targets = answers(rng)
    yield case(student.double(), teacher.double(), targets, 2.0, rng.number(0.2, 0.8), 1.0)


@dkd_loss.check()
def test_identity_of_the_paper(rng: RandomInputs) -> Iterator[Case]:
    """With alpha = 1 and beta = 1 - p_t of one image it is plain distillation."""
    for _ in range(2):
        ours, theirs, targets = answers(rng, n=1)
        T, target = temperature(rng), int(targets)
        one, other = ours[0].double().tolist(), theirs[0].double().tolist()
        expected = T**2 * divergence(log_softmax(other, T), log_softmax(one, T))
        beta = 1 - softmax(other, T)[target]
        yield case(ours, theirs, targets, T, 1.0, beta).gives(torch.tensor(expected))


@dkd_loss.check()
def test_two_classes(rng: RandomInputs) -> Iterator[Case]:
    """With two classes there is one other, and nothing to learn from beta."""
    ours, theirs, targets = answers(rng, classes=2)
    yield case(ours, theirs, targets, temperature(rng), 1.0, rng.number(1, 5))


@dkd_loss.check()
def test_decoupled_loss_of_large_logits(rng: RandomInputs) -> Iterator[Case]:
    """With |z / T| up to 1000 the loss is right and finite, however sure both are."""
    T = rng.number(2, 3)
    ours, theirs, targets = answers(rng, n=4, classes=6)
    targets[:] = torch.tensor([1, 1, 2, 3])
    ours[0, 1], theirs[0, 1] = 900.0, 700.0  # both sure, and right
    ours[1, 4], theirs[1, 1] = 900.0, 900.0
    theirs[2, 5] = 900.0
    yield case(ours, theirs, targets, T, 1.0, 0.0)
    yield case(ours, theirs, targets, T, 0.0, 1.0)


STEP = 1e-5


@dkd_loss.check()
def test_decoupled_loss_is_differentiable(student: Any, rng: RandomInputs) -> None:
    """Its gradient with respect to the student's logits is that of the formula."""
    ours, theirs, targets = answers(rng, n=2, classes=5)
    settings = temperature(rng), rng.number(0.5, 2), rng.number(2, 5)
    expected = torch.empty(ours.numel(), dtype=torch.float64)
    for index in range(ours.numel()):
        ends = []
        for side in (STEP, -STEP):
            moved = ours.double().flatten()
            moved[index] += side
            moved = moved.reshape(ours.shape)
            ends.append(float(dkd_reference(moved, theirs, targets, *settings)))
        expected[index] = (ends[0] - ends[1]) / (2 * STEP)
    arguments = [ours, theirs, targets, *settings]
    _, (gradient,) = student.vjp("dkd_loss", arguments, torch.tensor(1.0))
    gradient = expect_tensor(gradient, "the gradient", ours.shape)
    hint = "differentiate through the student's logits in both parts"
    scale = float(expected.abs().max())
    check(allclose(gradient, expected.reshape(ours.shape), rtol=2e-3, atol=2e-4 * scale), hint)


@dkd_loss.check(weight=0.7, guard=True)
def test_decoupled_loss_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """T <= 0, unequal shapes and a wrong number of targets raise ValueError."""
    ours, theirs, targets = answers(rng)
    for T in (0.0, -1.0):
        expect_value_error(student.dkd_loss, ours, theirs, targets, T, 1.0, 1.0)
    for other in (theirs[:1], theirs[:, :-1]):
        expect_value_error(student.dkd_loss, ours, other, targets, 2.0, 1.0, 1.0)
    expect_value_error(student.dkd_loss, ours, theirs, targets[:-1], 2.0, 1.0, 1.0)


# ---- speculative_accept ----------------------------------------------------------------------


def decided(result: object, k: int, draft: Sequence[int]) -> tuple[list[int], int]:
    """The tokens and the number accepted, of the right form: a prefix of the draft and one more."""
    tokens, accepted = expect_list(result, "speculative_accept", length=2)
    count = expect_int(accepted, "the number accepted")
    found = [expect_int(token, "each token") for token in expect_list(tokens, "the tokens")]
    check(0 <= count <= k, "the number accepted: 0..k")
    check(len(found) == count + 1, "the accepted prefix, and one token more")
    check(found[:count] == list(draft[:count]), "accepted tokens are those of the draft, in order")
    return found, count


DRAWS = 400
FAR_OFF = 5.0  # standard deviations: once in two million checks of a right answer


def expect_share(count: int, n: int, probability: float, hint: str) -> None:
    """`count` of `n` is what a probability makes likely; never or always where it is 0 or 1."""
    spread = FAR_OFF * math.sqrt(n * probability * (1 - probability))
    check(abs(count - n * probability) <= spread, hint)


def uneven(rng: RandomInputs) -> tuple[Tensor, Tensor, list[int]]:
    """Probabilities (4,) of draft and target that differ much, and which token is which.

    The draft likes the first token too much, the target the last two; the second is alike.
    """
    order = rng.permutation(4)
    draft, target = torch.empty(4), torch.empty(4)
    draft[order] = torch.tensor(DRAFT)
    target[order] = torch.tensor(TARGET)
    return draft, target, order.tolist()


DRAFT, TARGET = (0.7, 0.1, 0.1, 0.1), (0.2, 0.1, 0.3, 0.4)

speculative_accept = Exercise("s4.speculative_accept")


@speculative_accept.check(weight=3, essential=True, seconds=30)
def test_tokens_have_the_distribution_of_the_target(student: Any, rng: RandomInputs) -> None:
    """Drafted from its own probabilities, the first token comes out with the target's."""
    draft, target, names = uneven(rng)
    source = remote_generator(student, rng.seed())
    outcomes: Counter[int] = Counter()
    drafted = [name for name, share in zip(names, DRAFT, strict=True) for _ in _times(share)]
    probabilities = torch.stack([target, torch.full((4,), 1 / 4)])
    for token in drafted:
        result = student.speculative_accept([token], draft[None], probabilities, source)
        found, _ = decided(result, 1, [token])
        outcomes[found[0]] += 1
    for name, share in zip(names, TARGET, strict=True):
        hint = "accept with probability min(1, p / q), else draw from max(p - q, 0), renormalised"
        expect_share(outcomes[name], len(drafted), share, hint)


def _times(share: float) -> range:
    return range(round(share * DRAWS))


@speculative_accept.check(weight=2, essential=True, seconds=30)
def test_rejected_tokens_are_replaced(student: Any, rng: RandomInputs) -> None:
    """A token too likely in the draft is rejected as often as it should, for another one."""
    draft, target, (liked, _, one, other) = uneven(rng)
    source = remote_generator(student, rng.seed())
    probabilities = torch.stack([target, torch.full((4,), 1 / 4)])
    outcomes: Counter[int] = Counter()
    kept = 0
    for _ in range(DRAWS // 2):
        result = student.speculative_accept([liked], draft[None], probabilities, source)
        found, accepted = decided(result, 1, [liked])
        kept += accepted
        if accepted == 0:
            outcomes[found[0]] += 1
    expect_share(kept, DRAWS // 2, 0.2 / 0.7, "accept with probability min(1, p / q)")
    hint = "after a rejection only tokens that the target likes more than the draft are drawn"
    check(set(outcomes) <= {one, other}, hint)
    hint = "after a rejection draw from max(p - q, 0), renormalised"
    expect_share(outcomes[one], sum(outcomes.values()), 0.4, hint)


@speculative_accept.check(weight=1.5)
def test_the_draft_ends_at_the_first_rejection(student: Any, rng: RandomInputs) -> None:
    """What comes after a rejected token is dropped, and the token drawn is of its place."""
    vocabulary, k = rng.integer(6, 8), rng.integer(4, 6)
    source = remote_generator(student, rng.seed())
    for _ in range(12):
        draft_tokens = rng.permutation(vocabulary)[:k].tolist()
        stop, instead = rng.integer(0, k - 1), rng.integer(0, vocabulary - 1)
        draft_probs = torch.nn.functional.one_hot(torch.tensor(draft_tokens), vocabulary).float()
        target_probs = torch.cat([draft_probs, torch.full((1, vocabulary), 1 / vocabulary)])
        instead = next(t for t in range(vocabulary) if t != draft_tokens[stop] and t >= instead % 5)
        target_probs[stop] = 0
        target_probs[stop, instead] = 1
        result = student.speculative_accept(draft_tokens, draft_probs, target_probs, source)
        found, accepted = decided(result, k, draft_tokens)
        check(accepted == stop, "stop at the first rejection, and not before")
        check(found[-1] == instead, "draw from the residual at the place of the rejected token")


@speculative_accept.check(weight=1.5)
def test_bonus_token(student: Any, rng: RandomInputs) -> None:
    """If all are accepted, or none was drafted, one token comes from the target's last row."""
    vocabulary = rng.integer(5, 7)
    source = remote_generator(student, rng.seed())
    for k in (0, 1, rng.integer(3, 5)):
        draft_tokens = [rng.integer(0, vocabulary - 1) for _ in range(k)]
        draft_probs = torch.softmax(rng.normal(k, vocabulary), dim=1)
        last = torch.zeros(1, vocabulary)
        one, other = rng.sample(range(vocabulary), 2)
        last[0, one], last[0, other] = 0.5, 0.5
        target_probs = torch.cat([draft_probs, last])
        seen: Counter[int] = Counter()
        for _ in range(40):
            result = student.speculative_accept(draft_tokens, draft_probs, target_probs, source)
            found, accepted = decided(result, k, draft_tokens)
            check(accepted == k, "where p and q are equal, every token is accepted")
            seen[found[-1]] += 1
        hint = "the bonus token is drawn from target_probs[k]"
        check(set(seen) <= {one, other}, hint)
        expect_share(seen[one], 40, 0.5, hint)


@speculative_accept.check()
def test_acceptance_rate(student: Any, rng: RandomInputs) -> None:
    """Every place is decided anew: acceptances go on with probability min(1, p / q) each."""
    draft, target = torch.tensor([0.8, 0.2]), torch.tensor([0.6, 0.4])
    k, source = 6, remote_generator(student, rng.seed())
    probabilities = draft.repeat(k, 1), target.repeat(k + 1, 1)
    counts = [
        decided(student.speculative_accept([0] * k, *probabilities, source), k, [0] * k)[1]
        for _ in range(200)
    ]
    hint = "draw a new random number for each token"
    expect_share(sum(count >= 1 for count in counts), 200, 0.75, hint)
    expect_share(sum(count >= 3 for count in counts), 200, 0.75**3, hint)
    expect_share(sum(count >= 6 for count in counts), 200, 0.75**6, hint)


@speculative_accept.check()
def test_speculation_uses_the_generator(student: Any, rng: RandomInputs) -> None:
    """The same seed gives the same decisions, another one others; global generators stay."""
    k, seed = 12, rng.seed()
    draft_tokens = [rng.integer(0, 2) for _ in range(k)]
    draft_probs = torch.softmax(rng.normal(k, 3), dim=1)
    mixed = 0.7 * draft_probs + 0.3 * torch.softmax(rng.normal(k, 3), dim=1)
    target_probs = torch.cat([mixed, torch.softmax(rng.normal(1, 3), dim=1)])

    def several(number: int) -> list[object]:
        source = remote_generator(student, number)
        arguments = (draft_tokens, draft_probs, target_probs, source)
        return [decided(student.speculative_accept(*arguments), k, draft_tokens) for _ in range(15)]

    before = student.rng_fingerprint()
    first = several(seed)
    hint = "draw from `generator`, and from nothing else"
    check(student.rng_fingerprint() == before, hint)
    check(several(seed) == first and several(seed + 1) != first, hint)


@speculative_accept.check(weight=0.8, guard=True)
def test_speculation_refuses_wrong_shapes(student: Any, rng: RandomInputs) -> None:
    """Numbers of rows or tokens that do not fit raise ValueError."""
    source = remote_generator(student, rng.seed())
    draft_probs = torch.softmax(rng.normal(3, 5), dim=1)
    target_probs = torch.softmax(rng.normal(4, 5), dim=1)
    for arguments in (
        ([0, 1, 2], draft_probs, target_probs[:3]),
        ([0, 1, 2], draft_probs[:2], target_probs),
        ([0, 1], draft_probs, target_probs),
        ([0, 1, 2], draft_probs[:, :4], target_probs),
    ):
        expect_value_error(student.speculative_accept, *arguments, source)
