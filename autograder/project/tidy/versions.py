"""Writes a file in another opset, by ONNX's own converter."""

from __future__ import annotations

from onnx import version_converter

from autograder.project import rules
from autograder.project.tidy import cleaning
from autograder.project.tidy.draft import Draft

LOWEST = 18
"""To which older files are converted: reductions take axes as inputs, and ONNX defines more
operators by others."""
QUANTIZERS = 21
"""Has 4- and 16-bit types behind QuantizeLinear."""


def allowed(draft: Draft) -> Draft:
    """With an opset that the graph language has."""
    target = draft.opset if draft.opset >= rules.OPSETS[0] else LOWEST
    if draft.opset < QUANTIZERS and any(node.domain == "com.microsoft" for node in draft.nodes):
        target = QUANTIZERS
    return converted(draft, min(target, rules.OPSETS[-1]))


def converted(draft: Draft, target: int) -> Draft:
    """With the opset `target`; as it was if ONNX's converter fails."""
    if target == draft.opset:
        return draft
    cleaning.keep_own_imports(draft)
    cleaning.sort(draft)
    try:
        model = version_converter.convert_version(draft.assembled(), target)
    except Exception:
        draft.leave(f"opset {draft.opset}: ONNX's converter cannot write it as {target}")
        return draft
    made = Draft(model)
    made.changes, made.left = draft.changes, draft.left
    made.note(f"opset {draft.opset} converted to {target}")
    return made
