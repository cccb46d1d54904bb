"""Pieces of an ONNX file: operators, constants, and numbers of few bits for whoever reads it.

The scorer takes every type of ONNX. TensorRT (tried with tensorrt-rtx 1.7.1) takes no pixels into
DequantizeLinear, no two bits, nothing unsigned, and int4 weights only where activations are
floats. `for_tensorrt` writes the same numbers in the types that both take, and that is int8: the
outputs are the same, the file is larger and costs more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

SIGNED = {2: TensorProto.INT2, 4: TensorProto.INT4, 8: TensorProto.INT8}
UNSIGNED = {2: TensorProto.UINT2, 4: TensorProto.UINT4, 8: TensorProto.UINT8}


class Pieces:
    """Collects nodes and constants of one file."""

    def __init__(self, for_tensorrt: bool = False) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self._for_tensorrt = for_tensorrt

    @property
    def opset(self) -> int:
        """The version of the operators; int2 came with 25, which few runtimes know."""
        return 21 if self._for_tensorrt else 25

    def add(self, kind: str, inputs: list[str], name: str = "", **attributes: Any) -> str:
        """Append an operator with one output; returns its name."""
        output = name or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def floats(self, values: Tensor | float) -> str:
        """Store float32 numbers."""
        array = np.asarray(
            values.detach().numpy() if isinstance(values, Tensor) else values, np.float32
        )
        return self._store(numpy_helper.from_array(array, f"c{len(self.constants)}"))

    def integers(self, *values: int) -> str:
        """Store a shape or axes."""
        name = f"c{len(self.constants)}"
        return self._store(numpy_helper.from_array(np.array(values, np.int64), name))

    def codes(self, values: np.ndarray[Any, Any], kind: int) -> str:
        """Store integers in a type of few bits, packed."""
        packed = np.asarray(values).astype(helper.tensor_dtype_to_np_dtype(kind))
        return self._store(numpy_helper.from_array(packed, f"c{len(self.constants)}"))

    def _store(self, tensor: TensorProto) -> str:
        self.constants.append(tensor)
        return str(tensor.name)

    # ---- few bits --------------------------------------------------------------------------------

    def pixels(self, name: str, zero: int, step: int) -> str:
        """(p - zero) / step of uint8 pixels p."""
        if self._for_tensorrt:
            numbers = self.add("Cast", [name], to=TensorProto.FLOAT)
            shifted = self.add("Sub", [numbers, self.floats(zero)])
            return self.add("Mul", [shifted, self.floats(1 / step)])
        scale = self.floats(1 / step)
        stored = self.codes(np.array(zero), TensorProto.UINT8)
        return self.add("DequantizeLinear", [name, scale, stored])

    def weight(self, codes: Tensor, scale: Tensor, bits: int) -> str:
        """Integer codes (out, …) times `scale` (out,), stored at the smallest fitting width."""
        scale = scale.flatten()
        signs = torch.where(scale < 0, -1.0, 1.0)
        codes = codes * signs.view(-1, *[1] * (codes.dim() - 1))
        scales = self.floats(scale.abs())
        if bits == 1 and not self._for_tensorrt:
            return self._binary(codes, scales)
        width = 8 if self._for_tensorrt else min(each for each in SIGNED if each >= bits)
        stored = self.codes(codes.numpy(), SIGNED[width])
        return self.add("DequantizeLinear", [stored, scales], axis=0)

    def _binary(self, codes: Tensor, scales: str) -> str:
        """+-1 as one bit each: an index into the codebook (-1, 1), times the scale."""
        bits = self.codes((codes > 0).numpy(), TensorProto.BOOL)
        index = self.add("Cast", [bits], to=TensorProto.INT32)
        signs = self.add("Gather", [self.floats(torch.tensor([-1.0, 1.0])), index])
        shape = self.integers(-1, *[1] * (codes.dim() - 1))
        return self.add("Mul", [signs, self.add("Reshape", [scales, shape])])

    def activation(self, x: str, step: Tensor, bounds: tuple[int, int], bits: int) -> str:
        """`x` rounded to the codes low..high of `bits` bits, times `step` (one number)."""
        low, high = bounds
        if self._for_tensorrt and (low, high) == (0, 255):
            return self._shifted(x, step)
        types = SIGNED if low < 0 or self._for_tensorrt else UNSIGNED
        width = 8 if self._for_tensorrt else min(each for each in types if each >= bits)
        if types is SIGNED or width != bits:  # fewer levels than the type has: cut before
            size = step.item()
            x = self.add("Clip", [x, self.floats(low * size), self.floats(high * size)])
        return self._rounded(x, self.floats(step), types[width])

    def _shifted(self, x: str, step: Tensor) -> str:
        """0..255 as -128..127: TensorRT has no zero points and nothing unsigned."""
        shift = self.floats(128 * step)
        codes = self._rounded(self.add("Sub", [x, shift]), self.floats(step), TensorProto.INT8)
        return self.add("Add", [codes, shift])

    def _rounded(self, x: str, scale: str, kind: int) -> str:
        zero = self.codes(np.array(0), kind)
        codes = self.add("QuantizeLinear", [x, scale, zero])
        return self.add("DequantizeLinear", [codes, scale, zero])
