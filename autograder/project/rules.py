"""The graph language and its caps: which operators a final project may use, and what they cost."""

from __future__ import annotations

from onnx import TensorProto as T

MAX_BYTES = 50_000_000
MAX_NODES = 20_000
MAX_ELEMENTS = 1 << 26
MAX_MACS = 2_000_000_000
MAX_OPS = 500_000_000  # as many as so many MACs make free
# Numbers that only say where data goes are free, so a network could be hidden in them: as many as
# ordinary networks need, and no more.
MAX_STRUCTURE_EDGE = 64
MAX_STRUCTURE_TOTAL = 1024
OPSETS = range(13, 26)  # from axes and scales as inputs to the 2-bit types

BITS: dict[int, int] = {
    T.BOOL: 1,  # though ONNX gives it a byte: signs would be packed
    T.UINT2: 2,
    T.INT2: 2,
    T.UINT4: 4,
    T.INT4: 4,
    T.FLOAT4E2M1: 4,
    T.INT8: 8,
    T.UINT8: 8,
    T.FLOAT8E4M3FN: 8,
    T.FLOAT8E4M3FNUZ: 8,
    T.FLOAT8E5M2: 8,
    T.FLOAT8E5M2FNUZ: 8,
    T.INT16: 16,
    T.UINT16: 16,
    T.FLOAT16: 16,
    T.BFLOAT16: 16,
    T.INT32: 32,
    T.UINT32: 32,
    T.FLOAT: 32,
    T.INT64: 64,
    T.UINT64: 64,
    T.DOUBLE: 64,
}
"""Bits of one stored element."""

INTEGERS = frozenset(
    {
        T.UINT2,
        T.INT2,
        T.UINT4,
        T.INT4,
        T.INT8,
        T.UINT8,
        T.INT16,
        T.UINT16,
        T.INT32,
        T.UINT32,
        T.INT64,
        T.UINT64,
    }
)

PRODUCTS = frozenset(
    {
        "Conv",
        "ConvTranspose",
        "Gemm",
        "MatMul",
        "Einsum",
        "QLinearConv",
        "ConvInteger",
        "QLinearMatMul",
        "MatMulInteger",
        "Attention",
    }
)
"""Operators that multiply and accumulate."""

DATA_MOVEMENT = frozenset(
    {
        "Reshape",
        "Flatten",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Concat",
        "Split",
        "Slice",
        "Pad",
        "Identity",
        "Cast",
        "Expand",
        "DepthToSpace",
        "SpaceToDepth",
    }
)
"""Operators that only move data: free."""

_SIMPLE = (
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Neg",
    "Abs",
    "Min",
    "Max",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Clip",
    "Sqrt",
    "Reciprocal",
    "Floor",
    "Ceil",
    "Round",
    "Sign",
    "HardSigmoid",
    "QuantizeLinear",
    "DequantizeLinear",
    "Gather",
)

OPS_PER_OUTPUT: dict[str, int] = {
    **dict.fromkeys(_SIMPLE, 1),
    **dict.fromkeys(["HardSwish", "BatchNormalization"], 2),
    **dict.fromkeys(["Exp", "Log", "Tanh", "Erf", "Sigmoid", "Elu", "Softplus", "Gelu", "Pow"], 4),
    **dict.fromkeys(["Softmax", "LogSoftmax", "LayerNormalization"], 5),
    "Mish": 9,
}
"""Operations for each element of the (first) output."""

OPS_PER_SCORE = 8
"""Of attention, for each query and key: scale, mask and softmax, or its cap."""

TABLE_OPERANDS: dict[str, tuple[int, ...]] = {
    "Mul": (0, 1),
    "Div": (0, 1),
    "Pow": (0, 1),
    "PRelu": (1,),
    "BatchNormalization": (1,),
    "LayerNormalization": (1,),
    "QuantizeLinear": (1,),
    "DequantizeLinear": (1,),
}
"""Inputs of elementwise products that may be constants: some are tables, see `tables`."""

BY_CHANNEL = frozenset({"BatchNormalization"})
"""Products whose constants are per channel, also where a channel is a single number."""

# A default says nothing about the network; any other number was chosen, as a weight is.
SCALAR_ATTRIBUTES: dict[str, dict[str, float | None]] = {
    "Attention": {"scale": None, "softcap": 0.0},  # the usual scale depends on the depth of keys
    "Elu": {"alpha": 1.0},
    "Gemm": {"alpha": 1.0, "beta": 1.0},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "LayerNormalization": {"epsilon": 1e-5},
    "LeakyRelu": {"alpha": 0.01},
}
"""Attributes that are numbers of the arithmetic, with their defaults: others are stored there."""

WINDOWS = frozenset(["MaxPool", "AveragePool"])
"""One operation for each element of each window."""

REDUCTIONS = frozenset(
    ["GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"]
)
"""One operation for each element of the input."""

ALLOWED = frozenset({*PRODUCTS, *DATA_MOVEMENT, *OPS_PER_OUTPUT, *WINDOWS, *REDUCTIONS, "Constant"})

STRUCTURE: dict[str, tuple[int, ...]] = {
    "Reshape": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
    "Expand": (1,),
    "Split": (1,),
    "Slice": (1, 2, 3, 4),
    "Pad": (1, 3),  # input 2 is the value: a number of the arithmetic
    "ReduceMean": (1,),
    "ReduceSum": (1,),
    "ReduceMax": (1,),
    "ReduceMin": (1,),
}
"""Inputs that only carry shape, axes, pads or starts."""

RESHAPES = frozenset(["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity"])
"""What a constant may pass without change of its elements."""

# They choose and move values but make no new ones; a mean does, and a sum.
KEEPS_BIT_WIDTH = frozenset(
    {
        "Reshape",
        "Transpose",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Slice",
        "Split",
        "MaxPool",
        "Identity",
        "Concat",
    }
)
"""Operators whose output has the width of their (widest) input."""

ATTRIBUTES: dict[str, dict[str, object]] = {
    "BatchNormalization": {"training_mode": 0},
}
"""Attributes that may only have this value."""

FACTOR_ZERO_POINTS: dict[str, tuple[int, int]] = {
    "QLinearConv": (2, 5),
    "ConvInteger": (2, 3),
    "QLinearMatMul": (2, 5),
    "MatMulInteger": (2, 3),
}
"""Inputs that are the zero points of the first and of the second factor."""

ZERO_POINTS: dict[str, tuple[int, ...]] = {
    **FACTOR_ZERO_POINTS,
    "QLinearConv": (2, 5, 7),
    "QLinearMatMul": (2, 5, 7),
    "QuantizeLinear": (2,),
    "DequantizeLinear": (2,),
}
"""Inputs that are zero points of any kind."""

TIDY = "`autograder tidy`"
WRITE_SIZES = "write sizes as numbers, -1 for the batch (x.flatten(1) for x.view(len(x), -1))"
_FOLDED = f"fold it with {TIDY}, or {WRITE_SIZES}"
_WRITTEN_OUT = f"{TIDY} writes it in other operators"
_SIZES = ("Shape", "Size", "ConstantOfShape", "Range", "Mod", "If")
_COMPOSED = (
    *("CastLike", "Celu", "GatherND", "GroupNormalization", "InstanceNormalization", "ReduceL1"),
    *("ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare", "RMSNormalization"),
    *("Selu", "Shrink", "Softsign", "Sum", "Swish", "ThresholdedRelu", "Tile", "Where"),
)
REMEDIES: dict[str, str] = {
    **dict.fromkeys(_SIZES, _FOLDED),
    **dict.fromkeys(_COMPOSED, _WRITTEN_OUT),
    "Dropout": "call model.eval() before the export",
    "DynamicQuantizeLinear": "fix the scale: quantize statically",
    "ScatterND": f"{TIDY} folds it where it writes into constants; else use torch.where or cat",
    "Resize": "use ConvTranspose2d, or a stride of 1 before it",
    "Loop": "write out what it repeats",
    "Scan": "write out what it repeats",
}
"""What helps against operators that exporters often leave in a file."""
