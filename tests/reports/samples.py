"""Reports that look like real ones: for goldens, for screenshots and for timing.

`mixed` shows every outcome, `hostile` is full of text that tries to break out of its page, and
`course_class(n)` draws a class from a seeded generator.
"""

from __future__ import annotations

import random
from dataclasses import replace

from autograder.records import (
    ExerciseResult,
    Isolation,
    Lateness,
    Outcome,
    Report,
    TestResult,
    Usage,
    Visibility,
)

COURSE = "Compressing Neural Networks"
SESSION = "Session 1: measure before you compress"

STRICT = Isolation(
    level="strict",
    mechanisms=(
        "Landlock (ABI 6)",
        "seccomp allow-list",
        "network namespace",
        "resource limits",
        "no_new_privs",
    ),
)
PROCESS_ONLY = Isolation(
    level="process",
    mechanisms=("resource limits",),
    missing=(
        "Landlock: this kernel does not have it",
        "seccomp: not built into this kernel",
        "network namespace: not permitted in this container",
    ),
)

# id, title, points, then for each test: its property, and the hint of a failure.
# A property that begins with "g:" is a guard, one with "h:" is hidden.
SESSION_1: tuple[tuple[str, str, str, float, tuple[tuple[str, str], ...]], ...] = (
    (
        "metrics.py",
        "s1.count_parameters",
        "Count parameters",
        6,
        (
            (
                "Parameters shared by two layers are counted once.",
                "the same Parameter object appears under two names; count objects, not names",
            ),
            (
                "Buffers such as running means are not counted.",
                "buffers are not parameters: look at parameters(), not at state_dict()",
            ),
            (
                "trainable_only leaves out frozen parameters.",
                "a parameter with requires_grad=False still counts in your result",
            ),
            (
                "h:nonzero_only counts the elements that are not exactly zero.",
                "-0.0 is zero as well",
            ),
        ),
    ),
    (
        "metrics.py",
        "s1.model_bytes",
        "Bytes of a model",
        6,
        (
            (
                "Bits are summed over the whole model and rounded up to bytes once.",
                "you seem to round up for every parameter; add the bits first",
            ),
            (
                "A mapping gives each parameter its own number of bits.",
                "bits may be a mapping from parameter name to bits",
            ),
            ("g:A missing or unknown name raises ValueError.", "a name without bits has to raise"),
            ("h:Tied parameters are stored once.", "a tied weight needs its bytes only once"),
        ),
    ),
    (
        "metrics.py",
        "s1.sparsity",
        "Sparsity of a tensor or model",
        4,
        (
            (
                "The share of exact zeros of a tensor is returned.",
                "count elements that are exactly 0, divide by all elements",
            ),
            (
                "For a model, parameters with fewer than 2 dimensions are left out.",
                "biases and norms do not enter the sparsity of a model",
            ),
            ("h:The sparsity of nothing is 0.0.", "an empty model has sparsity 0.0"),
        ),
    ),
    (
        "metrics.py",
        "s1.conv2d_macs",
        "MACs of a convolution",
        6,
        (
            (
                "Groups divide the products of every output element.",
                "every output channel sees only in_channels / groups inputs; divide once",
            ),
            (
                "Stride, padding and dilation give the output size.",
                "dilation widens the kernel to dilation * (kernel - 1) + 1",
            ),
            ("Kernel and input size may be pairs.", "height and width may differ"),
            (
                "g:A group count that does not divide the channels raises ValueError.",
                "groups has to divide both channel counts",
            ),
            ("h:An output size below 1 raises ValueError.", "no output, no convolution"),
        ),
    ),
    (
        "metrics.py",
        "s1.linear_macs",
        "MACs of a linear layer",
        3,
        (
            (
                "One product for every pair of input and output feature, for every token.",
                "multiply by the number of tokens",
            ),
            ("g:A feature count below 1 raises ValueError.", "feature counts are at least 1"),
        ),
    ),
    (
        "metrics.py",
        "s1.profile_layers",
        "Cost of every layer",
        9,
        (
            (
                "There is one row for every call of a layer, a reused layer has two.",
                "register a forward hook: the module list has each layer only once",
            ),
            (
                "Train and eval modes of every submodule are as before.",
                "model.train() at the end also switches layers that were in eval mode",
            ),
            (
                "No hook of yours is left, even when forward raises.",
                "remove hooks in a finally block",
            ),
            (
                "MACs agree with counting by hand on a small network.",
                "MACs are per sample: divide by the batch size of input_shape",
            ),
            ("h:The owner's own hooks stay.", "remove only the hooks that you registered"),
        ),
    ),
    (
        "metrics.py",
        "s1.bit_operations",
        "Bit operations",
        2,
        (
            (
                "MACs times weight bits times activation bits.",
                "bit operations grow with the product of both bit widths",
            ),
        ),
    ),
    (
        "metrics.py",
        "s1.peak_activation_bytes",
        "Peak activation memory",
        9,
        (
            (
                "A residual input stays alive until its addition.",
                "the skip connection's tensor is still needed while the branch is computed",
            ),
            (
                "Views and in-place results share their storage.",
                "compare storages, not tensors: a view costs nothing",
            ),
            ("The model's input counts.", "the first layer's input is an activation too"),
            (
                "h:Parameters and buffers are left out.",
                "only activations count, weights are in model_bytes",
            ),
        ),
    ),
    (
        "evaluation.py",
        "s1.topk_accuracy",
        "Top-k accuracy",
        5,
        (
            (
                "The target is among the k largest logits of its row.",
                "sort along the classes (dim 1), not along the batch",
            ),
            ("g:k above the number of classes raises ValueError.", "k is at most the class count"),
        ),
    ),
    (
        "evaluation.py",
        "s1.evaluate",
        "Evaluate a model",
        8,
        (
            (
                "A smaller last batch weighs by its size.",
                "the mean of batch means is not the mean over samples",
            ),
            ("The model runs in eval mode, without gradients.", "call model.eval() and no_grad()"),
            ("The mode of every submodule is restored.", "restore what was there, also on errors"),
        ),
    ),
    (
        "evaluation.py",
        "s1.measure_latency",
        "Measure latency",
        7,
        (
            (
                "The clock is read exactly twice a repeat, never in warm-up.",
                "your code reads the clock more often than start and stop",
            ),
            (
                "Asynchronous work is waited for before each start and stop.",
                "call synchronize() before the clock is read",
            ),
            ("The median of an even count is the mean of the middle two.", "sort, then average"),
            ("h:The 90th percentile is interpolated.", "use linear interpolation"),
        ),
    ),
    (
        "evaluation.py",
        "s1.compression_report",
        "Compression report",
        3,
        (
            ("Ratios are baseline over compressed.", "4 means four times smaller"),
            ("A compressed cost of 0 gives infinity.", "do not let the division raise"),
        ),
    ),
    (
        "evaluation.py",
        "s1.pareto_front",
        "Pareto front",
        6,
        (
            (
                "Dominated points are dropped, indices come in ascending order.",
                "a point is dominated if another is no worse in both and better in one",
            ),
            ("Identical points all stay.", "equal points do not dominate each other"),
            ("h:A single point is its own front.", "one point is never dominated"),
        ),
    ),
    (
        "training.py",
        "s1.split",
        "Split into training and validation",
        5,
        (
            ("Both parts together are 0..n-1, each index once.", "the parts have to be disjoint"),
            ("The same seed gives the same split.", "use a generator seeded with the argument"),
            (
                "g:The global random state is untouched.",
                "do not call torch.manual_seed; make a torch.Generator",
            ),
        ),
    ),
    (
        "training.py",
        "s1.mixup",
        "Mixup",
        4,
        (
            ("Images and targets are mixed with the same weight.", "mix the targets too"),
            ("Targets are soft.", "targets are probabilities, not class indices"),
        ),
    ),
    (
        "training.py",
        "s1.cutmix",
        "CutMix",
        6,
        (
            (
                "The weight is computed again from the clipped box.",
                "at the border the box is smaller than lam says; use its real area",
            ),
            ("Pixels outside the box stay.", "paste only inside the box"),
            ("h:lam = 1 changes nothing.", "an empty box pastes nothing"),
        ),
    ),
    (
        "training.py",
        "s1.warmup_cosine",
        "Warm-up and cosine schedule",
        4,
        (
            ("The rate rises linearly from 0 to the peak.", "step / warmup, not (step + 1)"),
            ("From the last step on it stays at the floor.", "the floor also holds after total"),
            ("g:A negative step raises ValueError.", "steps count from 0"),
        ),
    ),
    (
        "training.py",
        "s1.fit",
        "Train to 97 %",
        7,
        (
            (
                "Reaches 97 % on the validation images in the given budget.",
                "check that the optimiser steps after every batch",
            ),
            (
                "Nothing is learnt from the validation images.",
                "the validation loader is for measuring only",
            ),
            ("The history has one entry per epoch.", "append once per epoch, not once per batch"),
        ),
    ),
)

_MESSAGES = {
    Outcome.BLANK: "not filled in yet",
    Outcome.CRASHED: "your code raised TypeError at metrics.py:88: unsupported operand type(s)",
    Outcome.TIMED_OUT: "no answer within 10 s; is there a loop that does not end?",
    Outcome.OUT_OF_MEMORY: "your code needed more than 1.5 GB",
    Outcome.REFUSED: "your code tried to open a network connection; only values may leave it",
    Outcome.BLOCKED: "your code calls count_parameters, which is still blank",
    Outcome.TOOL_ERROR: "a fault of the grader, not yours; this will be graded again",
}

_TRACEBACK = """\
Traceback (most recent call last):
  File "metrics.py", line 88, in {name}
    total = total + layer.weight.numel() / groups
TypeError: unsupported operand type(s) for /: 'int' and 'tuple'

captured output:
layer1.conv1 weight torch.Size([16, 3, 3, 3])
layer1.conv2 weight torch.Size([16, 16, 3, 3])
"""


def exercise(index: int, outcome: Outcome, generator: random.Random) -> ExerciseResult:
    """Exercise `index` of session 1 as it looks when it ended in `outcome`."""
    module, name, title, maximum, properties = SESSION_1[index]
    tests = _tests(name, properties, outcome, generator)
    earned = any(test.credit for test in tests if not test.guard)
    weight = sum(test.weight for test in tests)
    credit = sum(test.weight * test.credit for test in tests if earned or not test.guard)
    return ExerciseResult(
        id=name,
        title=title,
        module=module,
        outcome=outcome,
        points=round(maximum * credit / weight, 2),
        maximum=maximum,
        tests=tests,
    )


def _tests(
    name: str,
    properties: tuple[tuple[str, str], ...],
    outcome: Outcome,
    generator: random.Random,
) -> tuple[TestResult, ...]:
    tests = []
    for number, (sentence, hint) in enumerate(properties):
        guard, hidden = sentence.startswith("g:"), sentence.startswith("h:")
        ended = _one_test(outcome, number, guard)
        seconds = round(generator.uniform(0.02, 1.6), 3)
        tests.append(
            TestResult(
                name=f"test_{name.partition('.')[2]}_{number + 1}",
                title=sentence[2:] if guard or hidden else sentence,
                outcome=ended,
                credit={Outcome.PASSED: 1.0, Outcome.PARTIAL: 0.6}.get(ended, 0.0),
                weight=1.0 if guard or hidden else 2.0,
                guard=guard,
                visibility=Visibility.HIDDEN if hidden else Visibility.VISIBLE,
                message=_message(ended, hint),
                detail=_TRACEBACK.format(name=name) if ended is Outcome.CRASHED else "",
                seconds=seconds,
                student_seconds=round(seconds * 0.4, 3),
            )
        )
    return tuple(tests)


def _message(outcome: Outcome, hint: str) -> str:
    if outcome is Outcome.PASSED:
        return ""
    return _MESSAGES.get(outcome, hint)


def _one_test(outcome: Outcome, number: int, guard: bool) -> Outcome:
    """How test `number` ends if its exercise ends in `outcome`."""
    if outcome is Outcome.PARTIAL:
        return (Outcome.PARTIAL, Outcome.PASSED, Outcome.FAILED, Outcome.PASSED)[number % 4]
    if outcome is Outcome.FAILED:
        return Outcome.PASSED if guard else Outcome.FAILED
    return outcome


def report(
    student: str,
    slug: str,
    outcomes: tuple[Outcome, ...],
    seed: int = 0,
    isolation: Isolation = STRICT,
    lateness: Lateness | None = None,
) -> Report:
    """A report of session 1, its exercises ending in `outcomes` in order."""
    generator = random.Random(seed)
    exercises = tuple(exercise(index, outcome, generator) for index, outcome in enumerate(outcomes))
    seconds = sum(test.seconds for exercise in exercises for test in exercise.tests)
    student_seconds = sum(test.student_seconds for exercise in exercises for test in exercise.tests)
    on_time = Lateness(submitted_at="2026-03-01T18:42:10+01:00", due="2026-03-02T23:59:00+01:00")
    return Report(
        course=COURSE,
        session=SESSION,
        student=student,
        slug=slug,
        submission_sha256=generator.randbytes(32).hex(),
        exercises=exercises,
        isolation=isolation,
        usage=Usage(
            seconds=round(seconds + 1.5, 3),
            student_seconds=round(student_seconds, 3),
            peak_memory_bytes=generator.randrange(380, 900) * 1_000_000,
            workers=len(exercises) + 2,
        ),
        lateness=lateness or on_time,
        graded_at="2026-03-04T08:30:00+00:00",
        kit_version="0.1.0",
    )


def mixed() -> Report:
    """Every outcome at least once, late, with a problem, an incident and extra credit."""
    passed, partial = Outcome.PASSED, Outcome.PARTIAL
    first = (
        *(passed, partial, passed, Outcome.FAILED, passed, Outcome.CRASHED, passed),
        Outcome.TIMED_OUT,
        *(passed, partial, Outcome.REFUSED, passed, Outcome.BLANK),
        *(passed, passed, Outcome.OUT_OF_MEMORY, Outcome.BLOCKED, Outcome.TOOL_ERROR),
    )
    base = report(
        "ada.lovelace",
        "ada-lovelace",
        first,
        seed=1,
        lateness=Lateness(
            submitted_at="2026-03-04T07:10:00+01:00",
            due="2026-03-02T23:59:00+01:00",
            days_late=1.3,
            penalty=0.1,
        ),
    )
    caller = base.exercises[5]  # it crashed, and calls one that failed and one that passed
    called = tuple(base.exercises[index].id for index in (3, 4))
    exercises = (*base.exercises[:5], replace(caller, calls=called), *base.exercises[6:])
    extra = ExerciseResult(
        id="s1.receptive_field",
        title="Receptive field",
        module="training.py",
        outcome=passed,
        points=2.0,
        maximum=2.0,
        extra_credit=True,
        tests=(
            TestResult("test_field", "Strides multiply the steps of later layers.", passed, 1.0),
        ),
    )
    return replace(
        base,
        exercises=(*exercises, extra),
        problems=("notes.txt was not asked for and was left out",),
        incidents=("s1.measure_latency: tried to connect to 203.0.113.7, port 443",),
    )


def blank() -> Report:
    """The hand-out as it was given."""
    return report("nobody.yet", "nobody-yet", (Outcome.BLANK,) * len(SESSION_1), seed=3)


# Each would do harm in one of the formats if it got there as it is.
NASTY = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></details></table><h1>100 of 100</h1>",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "]]><x/><![CDATA[",
    "&lt;b&gt;&#x27;",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J",
    "abc\u202egpj.exe\u2066\u200f",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "＝1+1",
    'a","b"\n"c',
    "nul\x00bell\x07back\x08space",
    "lone \ud800 surrogate \udfff",
    "noncharacter \ufffe \uffff \U0001ffff",
    "[bold red]markup[/] :skull: [link=https://example.org]x[/link]",
    "[x](javascript:alert(1)) ![](https://example.org/p.png) `code` **bold** | cell |",
    "z" + "\u0300" * 500,
    "javascript:alert(1)",
    "../../../../etc/passwd",
    "::set-output name=result::100",
    "a" * 1_000_000,
)


def hostile(text: str) -> Report:
    """`text` wherever a record holds text."""
    test = TestResult(text, text, Outcome.FAILED, message=text, detail=text)
    hidden = replace(test, visibility=Visibility.HIDDEN)
    result = ExerciseResult(
        text, text, text, Outcome.FAILED, 0.0, 1.0, calls=(text,), tests=(test, hidden)
    )
    return Report(
        course=text,
        session=text,
        student=text,
        slug=text,
        submission_sha256=text,
        exercises=(result,),
        problems=(text,),
        incidents=(text,),
        isolation=Isolation("partial", (text,), (text,)),
        lateness=Lateness(text, text, 1.0, 0.5),
        graded_at=text,
        kit_version=text,
    )


_FIRST = (
    *("Amara", "Bram", "Chiara", "Dmitri", "Elif", "Farid", "Giulia", "Haruto", "Inés", "Jonas"),
    *("Kwame", "Léa", "Mei", "Nadia", "Oluwaseun", "Petra", "Quentin", "Rania", "Søren", "Tomás"),
)
_LAST = (
    *("Okafor", "de Vries", "Romano", "Volkov", "Yılmaz", "Haddad", "Ferrari", "Tanaka", "García"),
    *("Lindqvist", "Mensah", "Moreau", "Zhang", "Benali", "Adeyemi", "Novák", "Lefèvre", "Khoury"),
)
_INCIDENTS = (
    "s1.measure_latency: tried to connect to 203.0.113.7, port 443",
    "s1.fit: wrote 4,096 bytes of junk to the channel",
    "s1.evaluate: tried to read /proc/1/environ",
)


def course_class(size: int, seed: int = 7) -> list[Report]:
    """`size` students of different strength, some late, a few with incidents or tool errors."""
    generator = random.Random(seed)
    return [_draw(index, generator) for index in range(size)]


def _draw(index: int, generator: random.Random) -> Report:
    first, last = generator.choice(_FIRST), generator.choice(_LAST)
    strength = min(1.0, generator.betavariate(4, 1.6) + 0.1)
    odds = (strength, 0.5 * (1 - strength), 0.25 * (1 - strength), 0.2 * (1 - strength))
    kinds = (Outcome.PASSED, Outcome.PARTIAL, Outcome.FAILED, Outcome.BLANK)
    rare = (Outcome.CRASHED, Outcome.TIMED_OUT, Outcome.OUT_OF_MEMORY, Outcome.BLOCKED)
    outcomes = [
        generator.choice(rare)
        if generator.random() < 0.04
        else generator.choices(kinds, weights=odds)[0]
        for _ in SESSION_1
    ]
    incidents: tuple[str, ...] = ()
    if index % 11 == 5:
        outcomes[10] = Outcome.REFUSED
        incidents = (generator.choice(_INCIDENTS),)
    if index % 17 == 9:
        outcomes[17] = Outcome.TOOL_ERROR
    late = generator.random() < 0.15
    drawn = report(
        f"{first} {last}",
        f"{index:04d}-{first.lower()}",
        tuple(outcomes),
        seed=index,
        isolation=PROCESS_ONLY if index % 19 == 3 else STRICT,
        lateness=Lateness("2026-03-03T09:00:00+01:00", "2026-03-02T23:59:00+01:00", 0.4, 0.1)
        if late
        else None,
    )
    problems = ("training.py is missing",) if index % 13 == 2 else ()
    return replace(drawn, incidents=incidents, problems=problems)
