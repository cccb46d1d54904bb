"""Values to JSON nodes and raw buffers, and back.

    None, bool, int, str, finite float   themselves
    list                                 a JSON array
    everything else                      an object whose key "$" names the kind:
        float (inf, nan) · bytes · tuple · dict · tensor · array · dtype · record · module · same
        handle (worker to judge)   an object that stays in the worker
        ref, callback, function, loader, optimizer (judge to worker)

A tensor arrives with exactly the dtype and shape that were announced, rebuilt from its bytes: no
subclass, no stride, no graph survives. `Unsendable` is what an encoder raises for a value that
has no such form.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autograder.engine.channel import modules
from autograder.engine.channel.frames import FrameError
from shared.records import RECORDS

MAX_DEPTH = 64
MAX_NODES = 500_000
MAX_DIMENSIONS = 16
MAX_STRING = 4 << 20
MAX_EXTENT = 1 << 48
MAX_TUPLE_KEYS = 1_000

DTYPES: dict[str, torch.dtype] = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.uint8,
        torch.bool,
        torch.complex64,
    )
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
ARRAY_NAMES = "? b B <i2 <u2 <i4 <u4 <i8 <u8 <f2 <f4 <f8 <c8 <c16"
ARRAY_DTYPES = {np.dtype(name).str: np.dtype(name) for name in ARRAY_NAMES.split()}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    f"torch.nn.functional.{name}": getattr(nn.functional, name)
    for name in ("cross_entropy", "mse_loss", "nll_loss", "l1_loss", "relu", "kl_div")
}
FUNCTION_NAMES = {function: name for name, function in FUNCTIONS.items()}

Node = Any
"""A JSON value."""


class Unsendable(Exception):
    """A value that cannot cross; the text says what it is."""


class Encoder:
    """Turns values into nodes; their raw bytes are collected in `buffers`.

    `trusted` says that the other side believes us: the judge's encoder.
    """

    trusted = False

    def __init__(self, max_bytes: int) -> None:
        self.buffers: list[memoryview] = []
        self.memo: dict[int, int] = {}  # id of a module or parameter -> its number in this frame
        self.kept: list[object] = []  # keeps ids unique while encoding
        self._budget = max_bytes
        self._nodes = 0

    def opaque(self, value: object, depth: int) -> Node:
        """Return the node of what has no form of its own; each side has its own answer."""
        del depth
        raise Unsendable(f"a {type(value).__name__}")

    def encode(self, value: object, depth: int = 0) -> Node:
        """Return the node of `value`."""
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise Unsendable("a value nested too deeply")
        if self._nodes > MAX_NODES:
            raise Unsendable("a value with too many parts")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            if value.bit_length() > 1000:
                raise Unsendable("an integer of more than 1,000 bits")
            return int(value)
        if isinstance(value, float):
            value = float(value)
            return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
        if isinstance(value, str):
            if len(value) > MAX_STRING:
                raise Unsendable("a string that is too long")
            return str(value)
        for kind, encode in _ENCODERS:
            if isinstance(value, kind):
                return encode(self, value, depth + 1)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._record(value, depth + 1)
        return self.opaque(value, depth + 1)

    def buffer(self, data: memoryview) -> int:
        """Keep raw bytes and return their number."""
        self._budget -= data.nbytes
        if self._budget < 0:
            raise Unsendable("a value that is too large")
        self.buffers.append(data)
        return len(self.buffers) - 1

    def mark(self) -> tuple[int, dict[int, int], int]:
        """Return the present state, for `rewind`."""
        return len(self.buffers), dict(self.memo), self._budget

    def rewind(self, mark: tuple[int, dict[int, int], int]) -> None:
        """Forget what was encoded since `mark`."""
        count, self.memo, self._budget = mark
        del self.buffers[count:]

    def number_of(self, thing: object) -> tuple[int, bool]:
        """Return the number of a module or parameter in this frame and whether it is new."""
        known = self.memo.get(id(thing))
        if known is not None:
            return known, False
        self.memo[id(thing)] = len(self.memo)
        self.kept.append(thing)
        return len(self.memo) - 1, True

    def _bytes(self, value: bytes, _depth: int) -> Node:
        return {"$": "bytes", "b": self.buffer(memoryview(bytes(value)))}

    def _list(self, value: list[Any], depth: int) -> Node:
        return [self.encode(item, depth) for item in value]

    def _tuple(self, value: tuple[Any, ...], depth: int) -> Node:
        return {"$": "tuple", "v": [self.encode(item, depth) for item in value]}

    def _dict(self, value: dict[Any, Any], depth: int) -> Node:
        items = [[self.encode(key, depth), self.encode(item, depth)] for key, item in value.items()]
        return {"$": "dict", "v": items}

    def _tensor(self, value: Tensor, depth: int) -> Node:
        if value.layout is not torch.strided or value.device.type == "meta" or value.is_quantized:
            return self.opaque(value, depth)
        if value.dtype not in DTYPE_NAMES:
            return self.opaque(value, depth)
        if value.numel() * value.element_size() > self._budget:
            raise Unsendable(f"a tensor of {value.numel()} elements, too large to be sent")
        plain = value.detach().as_subclass(Tensor).cpu().resolve_conj().resolve_neg().contiguous()
        flat = plain.reshape(-1)
        if flat.stride() != (1,):  # of at most one element, which counts as contiguous all the same
            flat = flat.clone(memory_format=torch.contiguous_format)
        node: dict[str, Any] = {
            "$": "tensor",
            "dtype": DTYPE_NAMES[plain.dtype],
            "shape": list(plain.shape),
            "b": self.buffer(_raw(flat.view(torch.uint8).numpy())),
        }
        if value.requires_grad and not value.grad_fn:
            node["grad"] = True
        return node

    def _array(self, value: np.ndarray[Any, Any], depth: int) -> Node:
        little = value.dtype.newbyteorder("<")
        if little.str not in ARRAY_DTYPES:
            return self.opaque(value, depth)
        if value.nbytes > self._budget:
            raise Unsendable(f"an array of {value.size} elements, too large to be sent")
        plain = np.ascontiguousarray(np.asarray(value), dtype=little)
        data = self.buffer(_raw(plain.reshape(-1).view(np.uint8)))
        return {"$": "array", "dtype": little.str, "shape": list(value.shape), "b": data}

    def _scalar(self, value: np.generic, depth: int) -> Node:
        return self.encode(value.item(), depth)

    def _dtype(self, value: torch.dtype, _depth: int) -> Node:
        return {"$": "dtype", "v": DTYPE_NAMES[value]} if value in DTYPE_NAMES else str(value)

    def _module(self, value: nn.Module, depth: int) -> Node:
        return modules.encode(self, value, depth)

    def _record(self, value: Any, depth: int) -> Node:
        fields = [getattr(value, field.name) for field in dataclasses.fields(value)]
        node = {"$": "record", "v": [self.encode(item, depth) for item in fields]}
        name = type(value).__name__
        return {**node, "name": name} if RECORDS.get(name) is type(value) else node


def _raw(data: np.ndarray[Any, Any]) -> memoryview:
    return memoryview(data)  # type: ignore[arg-type]  # numpy's stubs hide the buffer protocol


_ENCODERS: tuple[tuple[type, Callable[[Any, Any, int], Node]], ...] = (
    (list, Encoder._list),
    (tuple, Encoder._tuple),
    (dict, Encoder._dict),
    (Tensor, Encoder._tensor),
    (np.ndarray, Encoder._array),
    (bytes, Encoder._bytes),
    (bytearray, Encoder._bytes),
    (np.generic, Encoder._scalar),
    (torch.dtype, Encoder._dtype),
    (nn.Module, Encoder._module),
)


Special = Callable[["Decoder", dict[str, Any]], Any]
"""Decodes a kind that only one side may receive."""


class Decoder:
    """Rebuilds values from nodes; whatever is out of form raises FrameError.

    `special` maps the kinds that only this side may receive to their functions. `trusting` is
    True in the worker, which may rebuild anything that the judge sends.
    """

    def __init__(
        self,
        buffers: Any,
        special: Mapping[str, Special] | None = None,
        trusting: bool = False,
    ) -> None:
        self.buffers = buffers
        self._free = set(range(len(buffers)))
        self.memo: dict[int, Any] = {}  # number in this frame -> module or parameter
        self.trusting = trusting
        self.modules_left = modules.MAX_MODULES
        self._special = special or {}
        self._nodes = 0
        self._tuple_keys = 0

    def decode(self, node: Node, depth: int = 0) -> Any:
        """Return the value of `node`."""
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise FrameError("a value is nested too deeply or has too many parts")
        if node is None or isinstance(node, bool | int | float):
            return node
        if isinstance(node, str):
            # a lone surrogate cannot be written anywhere: replace it at the border
            return node.encode("utf-8", "replace").decode("utf-8")
        if isinstance(node, list):
            return [self.decode(item, depth + 1) for item in node]
        kind = node.get("$") if isinstance(node, dict) else None
        if isinstance(kind, str):
            if kind in _DECODERS:
                return _DECODERS[kind](self, node, depth + 1)
            if kind in self._special:
                return self._special[kind](self, node)
        raise FrameError("a value has an unknown form")

    def take(self, node: dict[str, Any]) -> bytearray:
        """Return the buffer that a node names; each buffer belongs to one value only."""
        index = node.get("b")
        if type(index) is not int or index not in self._free:
            raise FrameError("a value names a buffer that is not there")
        self._free.remove(index)
        data = self.buffers[index]
        return data if isinstance(data, bytearray) else bytearray(data)

    def text(self, node: dict[str, Any], key: str) -> str:
        """Return the string under `key`."""
        value = node.get(key)
        if not isinstance(value, str):
            raise FrameError("a value has an unknown form")
        return value

    def items(self, node: dict[str, Any], key: str = "v") -> list[Any]:
        """Return the list under `key`."""
        value = node.get(key)
        if not isinstance(value, list):
            raise FrameError("a value has an unknown form")
        return value

    def _float(self, node: dict[str, Any], _depth: int) -> float:
        text = self.text(node, "v")
        if text not in ("inf", "-inf", "nan"):
            raise FrameError("a number has an unknown form")
        return float(text)

    def _bytes(self, node: dict[str, Any], _depth: int) -> bytes:
        return bytes(self.take(node))

    def _tuple(self, node: dict[str, Any], depth: int) -> tuple[Any, ...]:
        return tuple(self.decode(item, depth) for item in self.items(node))

    def _dict(self, node: dict[str, Any], depth: int) -> dict[Any, Any]:
        result = {}
        for item in self.items(node):
            if not isinstance(item, list) or len(item) != 2:
                raise FrameError("a dict has an unknown form")
            key = self.decode(item[0], depth)
            self._check_key(key)
            result[key] = self.decode(item[1], depth)
        return result

    def _check_key(self, key: object) -> None:
        """Refuse keys that cannot be hashed, and those whose hashes can be made to collide."""
        if isinstance(key, tuple):
            self._tuple_keys += 1
            if self._tuple_keys > MAX_TUPLE_KEYS:
                raise FrameError("a dict has too many keys that are tuples")
            for part in key:
                self._check_key(part)
        elif isinstance(key, int):  # bool included; Python's hash of an int is its rest by 2**61-1
            if key.bit_length() > 60:
                raise FrameError("a dict has an integer key of more than 60 bits")
        elif not (key is None or isinstance(key, str | float)):
            raise FrameError("a dict has a key of an unknown form")

    def _shape(self, node: dict[str, Any], itemsize: int, data: bytearray) -> tuple[int, ...]:
        shape = self.items(node, "shape")
        if len(shape) > MAX_DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
            raise FrameError("a tensor has an impossible shape")
        if math.prod(n for n in shape if n) > MAX_EXTENT:  # of an empty tensor, whose bytes fit
            raise FrameError("a tensor has an impossible shape")
        if math.prod(shape) * itemsize != len(data):
            raise FrameError("a tensor's shape does not fit its bytes")
        return tuple(shape)

    def _tensor(self, node: dict[str, Any], _depth: int) -> Tensor:
        dtype = DTYPES.get(self.text(node, "dtype"))
        if dtype is None:
            raise FrameError("a tensor has an unknown dtype")
        data = self.take(node)
        shape = self._shape(node, dtype.itemsize, data)
        if not data:
            tensor = torch.empty(shape, dtype=dtype)
        elif dtype is torch.bool:  # a byte other than 0 and 1 would be undefined behaviour
            tensor = torch.frombuffer(data, dtype=torch.uint8).reshape(shape) != 0
        else:
            tensor = torch.frombuffer(data, dtype=dtype).reshape(shape)
        if node.get("grad") is True and (dtype.is_floating_point or dtype.is_complex):
            tensor.requires_grad_()
        return tensor

    def _array(self, node: dict[str, Any], _depth: int) -> np.ndarray[Any, Any]:
        dtype = ARRAY_DTYPES.get(self.text(node, "dtype"))
        if dtype is None:
            raise FrameError("an array has an unknown dtype")
        data = self.take(node)
        shape = self._shape(node, dtype.itemsize, data)
        if dtype.kind == "b":
            return np.reshape(np.frombuffer(data, np.uint8) != 0, shape)
        return np.reshape(np.frombuffer(data, dtype), shape)

    def _dtype(self, node: dict[str, Any], _depth: int) -> torch.dtype:
        dtype = DTYPES.get(self.text(node, "v"))
        if dtype is None:
            raise FrameError("an unknown dtype")
        return dtype

    def _record(self, node: dict[str, Any], depth: int) -> object:
        fields = [self.decode(item, depth) for item in self.items(node)]
        if "name" not in node:  # a dataclass of the student's own: a plain tuple to a grader
            return tuple(fields)
        record = RECORDS.get(self.text(node, "name"))
        if record is None:
            raise FrameError("an unknown record")
        if len(fields) != len(dataclasses.fields(record)):
            raise FrameError("a record has the wrong number of fields")
        return record(*fields)

    def _module(self, node: dict[str, Any], depth: int) -> nn.Module:
        return modules.decode(self, node, depth)

    def _same(self, node: dict[str, Any], _depth: int) -> nn.Module:
        module = self.memo.get(node["id"]) if type(node.get("id")) is int else None
        if not isinstance(module, nn.Module):
            raise FrameError("a value refers to a module that is not there")
        return module


_DECODERS: dict[str, Callable[[Any, dict[str, Any], int], object]] = {
    "float": Decoder._float,
    "bytes": Decoder._bytes,
    "tuple": Decoder._tuple,
    "dict": Decoder._dict,
    "tensor": Decoder._tensor,
    "array": Decoder._array,
    "dtype": Decoder._dtype,
    "record": Decoder._record,
    "module": Decoder._module,
    "same": Decoder._same,
}
