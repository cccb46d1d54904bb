"""Which of torch's operators are matrix products, and how many multiply-accumulates each does.

The formulas are torch's own (torch.utils.flop_counter, in FLOPs, two per multiply-accumulate)
and a few that it lacks. `shared.profiling` has the conventions.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

Formula = Callable[..., int]


def product_macs(
    operator: OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
) -> int | None:
    """MACs of one call for the whole batch; None for an operator that is not a known product."""
    formula = _formula(operator)
    return None if formula is None else formula(*args, **kwargs, out_val=result)


def is_product(operator: OpOverload) -> bool:
    """Whether the formula of `operator` is known."""
    return _formula(operator) is not None


@functools.cache
def has_no_product(operator: OpOverload) -> bool:
    """Whether `operator` is known to do no matrix product: it is elementwise, a view, a copy..."""
    if operator.namespace != "aten":
        return False
    name = plain_name(operator)
    packet = getattr(torch.ops.aten, name, operator.overloadpacket)
    variants = [operator, *(getattr(packet, overload) for overload in packet.overloads())]
    harmless = {torch.Tag.pointwise, torch.Tag.reduction}
    return _NO_PRODUCT.fullmatch(name) is not None or any(
        variant.is_view or harmless.intersection(variant.tags) for variant in variants
    )


def plain_name(operator: OpOverload) -> str:
    """The operator's name, without the underscore of the variant in place: addmm_ is addmm."""
    return str(operator.overloadpacket.__name__).removesuffix("_")


# ---- formulas ------------------------------------------------------------------------------


def _vector_macs(matrix: Tensor, _vector: Tensor) -> int:
    return matrix.numel()


def _matrix_macs(left: Tensor, right: Tensor, *_: object) -> int:
    return left.numel() * right.shape[-1]


def _attention_macs(query: Tensor, key: Tensor, value: Tensor, *_: object) -> int:
    pairs = query[..., 0].numel() * key.shape[-2]
    return pairs * (query.shape[-1] + value.shape[-1])


def _after_bias(formula: Formula) -> Formula:
    return lambda _bias, *factors: formula(*factors)


_MORE_PRODUCTS: dict[str, Formula] = {
    "mv": _vector_macs,
    "addmv": _after_bias(_vector_macs),
    "dot": _vector_macs,
    "vdot": _vector_macs,
    "addbmm": _after_bias(_matrix_macs),
    "_addmm_activation": _after_bias(_matrix_macs),
    "_int_mm": _matrix_macs,
    "_scaled_dot_product_flash_attention_for_cpu": _attention_macs,
}


@functools.cache
def _formulas() -> dict[str, Formula]:
    """MACs of each product by its operator's name, from its arguments and `out_val`."""
    from torch.utils.flop_counter import flop_registry

    def halved(flops: Formula) -> Formula:
        return lambda *args, **kwargs: flops(*args, **kwargs) // 2

    def without_keywords(macs: Formula) -> Formula:
        return lambda *args, **_: macs(*args)

    return {
        **{packet.__name__: halved(flops) for packet, flops in flop_registry.items()},
        **{name: without_keywords(macs) for name, macs in _MORE_PRODUCTS.items()},
    }


def _formula(operator: OpOverload) -> Formula | None:
    return _formulas().get(plain_name(operator)) if operator.namespace == "aten" else None


# ---- everything else -----------------------------------------------------------------------

# Names of operators without a product, besides those that torch tags pointwise, reduction or view.
_NO_PRODUCT = re.compile(
    "|".join(
        (
            r"(new_)?(empty|zeros|ones|full|rand|randn|randint|randperm)(_like|_strided|_permuted)?",
            r"arange|linspace|logspace|eye|scalar_tensor|lift_fresh|fill|zero|normal|uniform",
            r"bernoulli|multinomial|native_dropout|_to_copy|copy|clone|\w+_copy|set|resize(_as)?",
            r"_unsafe_view|_reshape_alias|unsafe_split\w*|cat|_?stack|block_diag|repeat\w*|roll",
            r"flip|rot90|tri[lu](_indices)?|(_unsafe_)?index\w*|gather|(\w+_)?scatter\w*|take|put",
            r"masked_\w+|embedding|_embedding_bag\w*|pixel_(un)?shuffle|channel_shuffle",
            r"(constant|reflection|replication)_pad_?\w+|im2col|col2im|_?upsample_\w+",
            r"_?(adaptive_|fractional_)?(avg|max)_(un)?pool\w+|_?native_\w+_norm\w*",
            r"_batch_norm_\w+|_fused_rms_norm|_weight_norm_interface|renorm",
            r"_?(log_|safe_|masked_)*softmax|hardswish|glu|_prelu_kernel|log_sigmoid_forward",
            r"cum(sum|prod|max|min)|sort|topk|kthvalue|(nan)?median|mode|trace|nonzero\w*",
            r"_?unique\w*|bincount|histc|searchsorted|bucketize|isin|equal|is_\w+|_is_\w+",
            r"_local_scalar_dense|_assert\w+|(_?fake_)?quantize_per_\w+|dequantize|int_repr",
            r"_foreach_\w+",
        )
    )
)
