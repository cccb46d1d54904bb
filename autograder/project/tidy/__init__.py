"""Writes what exporters leave in a file as the graph language has it, and checks the outputs.

    tidied = tidy(content, beside)     # beside: external data by file name

Functions are inlined and old opsets converted by ONNX's own tools; computed shapes, constants for
every image, arithmetic on constants and operators outside the graph language by the passes here.
Before anything is returned, both files have been run on the same images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from autograder.project.parsing import free_shape
from autograder.project.tidy import (
    batches,
    cleaning,
    folding,
    rewriting,
    running,
    shapes,
    versions,
)
from autograder.project.tidy.draft import CannotTidy, Draft
from autograder.project.tidy.reading import external_files, inlined, parse, take_in

__all__ = ["CannotTidy", "Tidied", "external_files", "tidy"]

_CHECKED = (1, 2, 5)  # images at once, when outputs are compared
_TOLERANCE = 1e-3  # relative to the largest logit; half precision has 5e-4
_ROUNDS = 8  # of passes, each of which may make work for the others


@dataclass(frozen=True)
class Tidied:
    """A tidied file.

    Attributes:
        content: its bytes.
        changes: how often each kind of change was made.
        left: what could not be changed, and why.
        difference: the largest between outputs before and after, relative to the largest output.
        images: on how many that was seen.
        nodes: before and after.
    """

    content: bytes
    changes: Mapping[str, int]
    left: tuple[str, ...]
    difference: float
    images: int
    nodes: tuple[int, int]


def tidy(content: bytes, beside: Mapping[str, bytes] | None = None) -> Tidied:
    """Tidy a file; `beside` are the files of its external data by name.

    Raises CannotTidy, in one sentence, if it is no model with one input and one output, does not
    run, or would not give the same outputs afterwards.
    """
    original = parse(content)
    taken_in = take_in(original, beside or {})
    if len(original.graph.output) != 1:
        raise CannotTidy(
            f"there must be one output, the logits; this file has {len(original.graph.output)}"
        )
    model, functions = inlined(original)
    draft = Draft(model)
    if taken_in:
        draft.note("external data taken into the file", taken_in)
    if functions:
        draft.note("local functions inlined", functions)
    cleaning.free_inputs(draft)
    running.images(draft.model, 1)  # says what is wrong with the input, before anything runs
    return _tidied(versions.allowed(draft), original)


def _tidied(draft: Draft, original: ModelProto) -> Tidied:
    """The passes, with a free batch if that keeps the outputs, else with the fixed one."""
    tries = (True, False) if batches.fixed_batch(draft) else (False,)
    for frees_batch in tries:
        copy = draft.copy()
        try:
            copy = _passes(copy, frees_batch)
            _settle_output(copy)
            result = copy.assembled().SerializeToString()
            difference, images = _compare(original, result)
            break
        except CannotTidy:
            if frees_batch == tries[-1]:
                raise
            draft.leave("its batch is fixed: export it with a free one")
    draft = copy
    return Tidied(
        result,
        dict(draft.changes),
        tuple(draft.left),
        difference,
        images,
        (len(original.graph.node), len(draft.nodes)),
    )


def _passes(draft: Draft, frees_batch: bool) -> Draft:
    cleaning.drop_notes(draft)
    if frees_batch:
        draft = _round(draft)  # shapes as constants, for the size that it has
        batches.free_batch(draft)
    for _ in range(_ROUNDS):
        before = draft.assembled().SerializeToString()
        draft = _round(draft)
        if draft.assembled().SerializeToString() == before:
            break
    cleaning.drop_what_is_unused(draft)
    cleaning.sort(draft)
    cleaning.keep_own_imports(draft)
    return draft


def _round(draft: Draft) -> Draft:
    """Every pass once."""
    cleaning.sort(draft)
    cleaning.join_equal_constants(draft)
    cleaning.drop_what_is_unused(draft)
    shapes.choose_branches(draft)
    cleaning.sort(draft)
    shapes.fold_shapes(draft)
    cleaning.drop_what_is_unused(draft)
    folding.fold_constants(draft)
    cleaning.bypass_copies(draft)
    rewriting.write_out(draft)
    return rewriting.expand_functions(draft)


# ---- the output, and whether it stayed -----------------------------------------------------------


def _settle_output(draft: Draft) -> None:
    """Float32, with a free first size."""
    (value,) = draft.model.graph.output
    kind = draft.type(value.name) or value.type.tensor_type.elem_type
    if kind in (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE):
        inner = draft.fresh("logits")
        for node in draft.nodes:
            node.output[:] = [inner if name == value.name else name for name in node.output]
            node.input[:] = [inner if name == value.name else name for name in node.input]
        cast = helper.make_node("Cast", [inner], [value.name], to=TensorProto.FLOAT)
        draft.nodes.append(cast)
        draft.note("output cast to float32")
    elif kind != TensorProto.FLOAT:
        return
    extents = free_shape(value) or list(draft.shape(draft.result) or ())
    free = running.has_free_batch(draft.model)
    sizes: list[int | str] = [each or "N" for each in extents]
    if free and sizes:
        sizes[0] = "N"
    declared = helper.make_tensor_value_info(value.name, TensorProto.FLOAT, sizes)
    value.CopyFrom(declared)


def _compare(original: ModelProto, after: bytes) -> tuple[float, int]:
    before, plain = original.SerializeToString(), _without_constants(original)
    is_free, is_freed = (
        running.has_free_batch(model) for model in (plain, onnx.load_model_from_string(after))
    )
    worst, images = 0.0, 0
    for batch in _CHECKED:
        name, image = running.images(plain, batch)
        if is_free or not is_freed:
            (old,) = running.run(before, name, image)
        else:  # as many fixed batches as make one
            parts = [running.images(plain, seed)[1] for seed in range(batch)]
            old = np.concatenate([running.run(before, name, part)[0] for part in parts])
            image = np.concatenate(parts)
        (new,) = running.run(after, name, image)
        images += len(image)
        worst = max(worst, _difference(old, new))
    if worst > _TOLERANCE:
        raise CannotTidy(
            f"the tidied file would give other outputs (by {worst:.2g} of the largest): nothing "
            "was written; please report it with the file"
        )
    return worst, images


def _without_constants(model: ModelProto) -> ModelProto:
    draft = Draft(model)
    cleaning.free_inputs(draft)
    return draft.model


def _difference(old: np.ndarray, new: np.ndarray) -> float:
    """The largest, relative to the largest output; infinite for other shapes or other NaN."""
    if old.shape != new.shape:
        return math.inf
    old, new = old.astype(np.float64), new.astype(np.float64)
    if (np.isfinite(old) != np.isfinite(new)).any():
        return math.inf
    finite = np.isfinite(old)
    if not finite.any():
        return 0.0
    scale = max(1e-6, float(np.abs(old[finite]).max()))
    return float(np.abs(old - new)[finite].max()) / scale
