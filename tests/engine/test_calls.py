"""Which exercises call which: from names in the source, and never more than is there."""

from __future__ import annotations

import textwrap
import time
from dataclasses import dataclass

import pytest

from autograder.engine.judge.calls import MAX_PARSED_BYTES, exercise_calls
from tests import bank
from tests.engine.test_outcomes import EXERCISES as WORK
from tests.engine.test_outcomes import GRADERS, wrong
from tests.support import exercise, grade, small_course, submission


@dataclass(frozen=True)
class Exercise:
    id: str
    module: str

    @property
    def name(self) -> str:
        return self.id.removeprefix("s1.")


EXERCISES = [
    Exercise("s1.mask", "masks"),
    Exercise("s1.Observer", "masks"),
    Exercise("s1.share", "masks"),
    Exercise("s1.pack", "files"),
]


def calls(masks: str = "", files: str = "") -> dict[str, tuple[str, ...]]:
    """Those of the exercises that call any."""
    sources = {
        name: textwrap.dedent(text).encode() for name, text in (("masks", masks), ("files", files))
    }
    return {name: called for name, called in exercise_calls(sources, EXERCISES).items() if called}


MASK = "def mask(x): return x\n"


@pytest.mark.parametrize(
    ("masks", "files", "expected"),
    [
        ("def share(x): return mask(x)", "", {"s1.share": ("s1.mask",)}),
        (
            "def share(x): return help(x)\ndef help(x): return mask(x)",
            "",
            {"s1.share": ("s1.mask",)},
        ),
        ("class Observer:\n    def get(self): return mask(1)", "", {"s1.Observer": ("s1.mask",)}),
        (
            "def share(x): return Observer()\nclass Observer:\n    def get(self): return mask(1)",
            "",
            {"s1.share": ("s1.Observer",), "s1.Observer": ("s1.mask",)},
        ),
        ("", "from masks import mask\ndef pack(x): return mask(x)", {"s1.pack": ("s1.mask",)}),
        (
            "",
            "def pack(x):\n    from masks import mask as m\n    return m(x)",
            {"s1.pack": ("s1.mask",)},
        ),
        ("", "import masks\ndef pack(x): return masks.mask(x)", {"s1.pack": ("s1.mask",)}),
        ("", "import masks as m\ndef pack(x): return m.mask(x)", {"s1.pack": ("s1.mask",)}),
    ],
)
def test_calls_are_found(masks: str, files: str, expected: dict[str, tuple[str, ...]]) -> None:
    assert calls(MASK + masks, files) == expected


@pytest.mark.parametrize(
    ("masks", "files"),
    [
        ("def share(mask): return mask(1)", ""),  # a parameter hides it
        ("def share(x):\n    mask = len\n    return mask(x)", ""),
        ("def share(x):\n    def mask(y): return y\n    return mask(x)", ""),
        ("def share(x): return x.mask(1)", ""),
        ("def share(x): return [x for mask in x if mask(x)]", ""),
        ("def share(x): 'mask(x)'  # mask(x)", ""),
        ("def share(x: mask) -> mask: return x", ""),
        ("def mask(x): return mask(x - 1)", ""),  # itself
        ("def share(x): return right_mask(x)\nright_mask = mask", ""),
        ("", "def pack(x): return mask(x)"),  # of another module, not imported
        ("", "from other import mask\ndef pack(x): return mask(x)"),
        ("", "from masks import nothing\ndef pack(x): return nothing(x)"),
        ("", "def pack(masks): return masks.mask(1)"),
        ("def share(x): return 1\ndef helper(x): return mask(x)", ""),  # nobody's business
    ],
)
def test_what_is_no_call_is_not_claimed(masks: str, files: str) -> None:
    assert calls(MASK + masks, files) == {}


def test_the_last_definition_counts() -> None:
    text = MASK + "def share(x): return mask(x)\ndef share(x): return x"
    assert calls(text) == {}


@pytest.mark.parametrize(
    "text",
    [
        b"def share(x): return mask(x",
        b"\xff\xfe",
        b"x = '\0'",
        b"(" * 5_000,
        b"-" * 50_000 + b"1",
        b"x = " + b"[" * 90 + b"]" * 90,
        b"a." * 30_000 + b"a",
        b"# coding: rot13\nx = 1",
        b"x = '\\d'",
        MASK.encode() + b"def share(x): return mask(x)\n" + b"#" * MAX_PARSED_BYTES,
        b"def share(): return share2()\ndef share2(): return share()",
        b"f(" * 80 + b")" * 80,
        b"1+" * 40_000 + b"1",
    ],
)
def test_any_text_is_survived_in_short_time(text: bytes) -> None:
    started = time.monotonic()
    found = exercise_calls({"masks": text, "files": text}, EXERCISES)
    assert not any(found.values())
    assert time.monotonic() - started < 30  # not exponential


def test_a_long_chain_of_helpers_is_followed() -> None:
    chain = "\n".join(f"def h{i}(x): return h{i + 1}(x)" for i in range(2_000))
    assert calls(f"{MASK}def share(x): return h0(x)\n{chain}\ndef h2000(x): return mask(x)") == {
        "s1.share": ("s1.mask",)
    }


def test_solutions_compose() -> None:
    """What the papers build on each other, the solutions do as well."""
    found = {}
    for session in bank.course().sessions:
        if session.kind == "functions":
            files = bank.solution(session)
            sources = {name.removesuffix(".py"): text.encode() for name, text in files.items()}
            found |= exercise_calls(sources, session.exercises)
    for caller, callee in (
        ("s1.fit", "s1.evaluate"),
        ("s2.affine_params", "s2.quantization_range"),
        ("s2.MinMaxObserver", "s2.affine_params"),
        ("s2.quantized_linear", "s2.quantize"),
        ("s2.quantize_model", "s2.per_channel_params"),
        ("s2.global_masks", "s2.magnitude_mask"),
        ("s2.gradual_prune", "s2.masked_step"),
        ("s2.compare_large_sparse_small_dense", "s2.gradual_prune"),
        ("s3.kmeans_1d", "s3.init_centroids"),
        ("s3.cluster_nonzero", "s3.kmeans_1d"),
        ("s3.codebook_step", "s3.centroid_gradient"),
        ("s3.huffman_encode", "s3.huffman_code"),
        ("s3.compress", "s3.cluster_nonzero"),
        ("s3.compress", "s3.huffman_encode"),
        ("s3.compress", "s3.relative_index_encode"),
        ("s3.stage_report", "s3.compress"),
    ):
        assert callee in found[caller], (caller, callee)


@pytest.mark.slow
def test_the_record_says_what_an_exercise_calls_that_lost_points() -> None:
    course = small_course(WORK)
    code = """
        def half(n): return -n
        def count_calls(function): return half(add(function(1), function(2)))
        def echo(value): return half(2 * value)
    """
    entry = submission("ada", {"work.py": wrong(code)})
    report = grade(course, [entry], GRADERS / "test_work.py")["ada"]
    assert exercise(report, "add").calls == ()
    assert exercise(report, "half").calls == ()
    assert exercise(report, "count_calls").calls == ("s1.add", "s1.half")
    assert exercise(report, "echo").calls == ("s1.half",)


def test_some_callers_can_be_asked_about() -> None:
    for session in bank.course().sessions:
        if session.kind == "functions":
            files = bank.solution(session)
            sources = {name.removesuffix(".py"): text.encode() for name, text in files.items()}
            every = exercise_calls(sources, session.exercises)
            for exercise_id, called in every.items():
                one = exercise_calls(sources, session.exercises, {exercise_id})
                assert one == {exercise_id: called}
