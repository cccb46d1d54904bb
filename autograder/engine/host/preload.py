"""Which slow modules are worth importing once, before the first fork.

torch imports its compiler, `torch._dynamo` (1.5 s, 140 MB), to export a network, and with the
first export to ONNX onnxscript's operators and what traces with them (1.3 s, 70 MB); its formulas
of operations bring triton (0.3 s), the device "meta" and gradients of what is no scalar sympy
(0.8 s). scikit-learn takes more than a second, Optuna and matplotlib half of one each. Imported
before the fork this is paid once a batch; otherwise every worker that needs it pays, on the
student's clock, and every judge. ONNX Runtime is left to them: it starts a thread, and a zygote
has one when it forks. What is to run in confined workers has to be imported here: they cannot read
the kit's files. That training imports the compiler, too, `engine.compiler` prevents.
A batch that needs none of it starts without. Need is read off the text of graders and submissions:
a word too many costs a second at the start and nothing else. What cannot be imported is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from autograder.submissions.submission import Submission

_OF_TORCH = rb"\btorch(?:\.| import [^\n]*\b)"
_WATCHING = rb"\bshared[. ](?:import )?(?:operators|profiling|tracing|evaluation)\b"
_MENTIONS = {
    "torch._dynamo": re.compile(_OF_TORCH + rb"(?:onnx|export|compile|_dynamo|_inductor)\b"),
    "torch.utils.flop_counter": re.compile(rb"\bflop_counter\b|" + _WATCHING),
    "torch.fx.experimental.symbolic_shapes": re.compile(
        rb"[\"']meta[\"']|\bautograd\.(?:grad|backward)\b|\bstudent\.(?:vjp|backward)\b|"
        + _WATCHING
    ),
    **dict.fromkeys(
        ("matplotlib.pyplot", "matplotlib.backends.backend_agg"),
        re.compile(rb"\blatency_plot\b"),
    ),
    "tensorrt_rtx": re.compile(rb"\btensorrt_rtx\b"),
    **dict.fromkeys(
        (
            "onnxscript.function_libs.torch_lib.ops",
            "torch.export._trace",
            "torch._inductor.decomposition",
        ),
        re.compile(_OF_TORCH + rb"onnx\b"),
    ),
    "autograder.project.returned_files": re.compile(rb"\bReturnedFiles\b"),
    "optuna": re.compile(rb"\boptuna\b"),
    "sklearn.datasets": re.compile(rb"\bsklearn\b"),
}


def mentioned(texts: Iterable[bytes]) -> tuple[str, ...]:
    """The slow modules that Python sources will import sooner or later."""
    open_questions = dict(_MENTIONS)
    for text in texts:
        for name in [n for n, pattern in open_questions.items() if pattern.search(text)]:
            del open_questions[name]
        if not open_questions:
            break
    return tuple(name for name in _MENTIONS if name not in open_questions)


def sources(tests: Iterable[str], submissions: Iterable[Submission]) -> Iterator[bytes]:
    """The text of all graders, then that of all submissions."""
    for given in map(Path, tests):
        for path in sorted(given.glob("*.py")) if given.is_dir() else [given]:
            if path.is_file():
                yield path.read_bytes()
    for submission in submissions:
        yield from (data for _, data in submission.files)
