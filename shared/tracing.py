"""Records what a forward pass does, operator by operator, without doing the arithmetic.

The model is copied without its numbers to torch's meta device, where tensors have only shapes,
and its operators are watched there by a `TorchDispatchMode`. Only a model that fails like that,
because it needs numbers to decide what to do or because its forward raises anyway, runs for real,
on its own device. Either way it runs in eval mode without gradients, and modes and hooks are put
back in order also when forward raises.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle

from shared.evaluation import device_of, eval_mode
from shared.operators import has_no_product, is_product, plain_name, product_macs


@dataclass(frozen=True)
class Memory:
    """A tensor's shape, and the storage that it shares with its views: identity and bytes."""

    storage: int
    bytes: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Enter:
    """The forward of a module begins. `own_params`: elements of its own, not its children's."""

    name: str
    kind: str
    is_leaf: bool
    own_params: int


@dataclass(frozen=True)
class Leave:
    """The forward of the module that was entered last ends; the shape of its first output."""

    out_shape: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One operator. `macs` of the whole batch, None if it is no known product.

    `understood` says whether it is one, or is known to do no products.
    """

    name: str
    macs: int | None
    understood: bool
    reads: tuple[Memory, ...]
    makes: tuple[Memory, ...]


@dataclass
class Trace:
    """One forward pass; `parameters` maps the storage of each parameter to its elements."""

    inputs: tuple[Memory, ...] = ()
    outputs: tuple[Memory, ...] = ()
    parameters: dict[int, int] = field(default_factory=dict)
    events: list[Enter | Leave | Call] = field(default_factory=list)

    @property
    def calls(self) -> list[Call]:
        """The operators alone."""
        return [event for event in self.events if isinstance(event, Call)]


def record(model: nn.Module, inputs: Sequence[Tensor]) -> Trace:
    """Trace model(*inputs); meta inputs become zeros where numbers are needed.

    Raises what the model's forward raises.
    """
    with suppress(Exception), torch.device("meta"):  # the run with numbers decides instead
        return _Recorder().run(_meta_twin(model), [tensor.to("meta") for tensor in inputs])
    device = device_of(model)
    real = [torch.zeros(x.shape, dtype=x.dtype, device=device) if x.is_meta else x for x in inputs]
    return _Recorder().run(model, real)


def _meta_twin(model: nn.Module) -> nn.Module:
    """A copy whose tensors are on the meta device; sharing stays, no numbers are copied."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():  # a module has a dozen empty dictionaries of hooks
            if isinstance(value, dict) and not value:
                memo[id(value)] = type(value)()
        for tensors in (module._parameters, module._buffers, vars(module)):
            for tensor in tensors.values():
                if isinstance(tensor, Tensor):
                    meta = _blank(tensor)
                    is_parameter = isinstance(tensor, nn.Parameter)
                    memo[id(tensor)] = nn.Parameter(meta, False) if is_parameter else meta
    return copy.deepcopy(model, memo)


class _Recorder(TorchDispatchMode):
    """Writes down one forward pass."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types here
        self._trace = Trace()
        # A weak reference frees the numbers, but keeps the identity from being used again.
        self._storages: dict[int, StorageWeakRef] = {}
        self._sparse: list[Tensor] = []
        self._known: dict[Hashable, tuple[int | None, Blueprint | None]] = {}

    def run(self, model: nn.Module, inputs: Sequence[Tensor]) -> Trace:
        """Run model(*inputs) and return the record."""
        trace = self._trace
        trace.inputs = self._memories(inputs)
        trace.parameters = {self._memory(p).storage: p.numel() for p in model.parameters()}
        handles: list[RemovableHandle] = []
        try:
            for name, module in model.named_modules():
                enter = partial(self._enter, name)
                handles.append(module.register_forward_pre_hook(enter, prepend=True))
                handles.append(module.register_forward_hook(self._leave, always_call=True))
            with eval_mode(model), torch.no_grad(), _plain_attention(), self:
                outputs = model(*inputs)
        finally:
            for handle in handles:
                handle.remove()
        trace.outputs = self._memories(outputs)
        return trace

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Split a composite operator into its parts, or run it and write it down."""
        kwargs = kwargs or {}
        read = list(_operands((args, kwargs)))
        key = _signature(func, args, kwargs) if all(tensor.is_meta for tensor in read) else None
        known = None if key is None else self._known.get(key)
        if known is None:
            result = _batch_norm_result(func, args) if key else NotImplemented
            if result is NotImplemented and not is_product(func):
                with self:
                    parts = func.decompose(*args, **kwargs)
                if parts is not NotImplemented:
                    return parts
            if result is NotImplemented:
                result = func(*args, **kwargs)
            macs = product_macs(func, args, kwargs, result)
            if key is not None:
                self._known[key] = macs, _blueprint(func, args, result, key)
        else:
            macs, blueprint = known
            result = func(*args, **kwargs) if blueprint is None else blueprint(args)
        self._trace.events.append(
            Call(
                plain_name(func),
                macs,
                macs is not None or has_no_product(func),
                tuple(map(self._memory, read)),
                tuple(map(self._memory, _operands(result))),
            )
        )
        return result

    def _enter(self, name: str, module: nn.Module, _args: Any) -> None:
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        is_leaf = next(module.children(), None) is None
        self._trace.events.append(Enter(name, type(module).__name__, is_leaf, own))

    def _leave(self, _module: nn.Module, _args: Any, output: Any) -> None:
        shapes = [tuple(tensor.shape) for tensor in _tensors(output)]
        self._trace.events.append(Leave(shapes[0] if shapes else ()))

    def _memories(self, tree: Any) -> tuple[Memory, ...]:
        return tuple(self._memory(tensor) for tensor in _tensors(tree))

    def _memory(self, tensor: Tensor) -> Memory:
        shape = tuple(tensor.shape)
        if tensor.layout != torch.strided:  # a sparse tensor stands for itself
            self._sparse.append(tensor)
            return Memory(id(tensor), tensor.element_size() * tensor.numel(), shape)
        storage = tensor.untyped_storage()
        reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]  # torch has no types
        self._storages.setdefault(reference.cdata, reference)
        return Memory(reference.cdata, storage.nbytes(), shape)


Blueprint = Callable[[tuple[Any, ...]], Any]
"""Makes the result of an operator again, from its arguments."""


def _signature(func: OpOverload, args: Any, kwargs: Any) -> Hashable | None:
    """All that the result of `func` on the meta device depends on; None if that is not known."""
    try:
        key = func, _described(args), _described(kwargs)
        hash(key)
    except TypeError:
        return None
    return key


def _described(tree: Any) -> Hashable:
    match tree:
        case Tensor():
            if tree.layout != torch.strided:
                raise TypeError("only dense tensors are described by shape and stride")
            return tree.dtype, tree.shape, tree.stride()
        case list() | tuple():
            return tuple(map(_described, tree))
        case dict():
            return tuple((key, _described(value)) for key, value in tree.items())
        case int() | float():
            return type(tree), tree  # 1, 1.0 and True are equal, but give other dtypes
    return cast(Hashable, tree)


@functools.cache
def _aliases(func: OpOverload) -> Literal["none", "first", "some"]:
    """Which arguments the results share storage with, by the operator's schema."""
    returned = [value.alias_info for value in func._schema.returns]
    if not any(returned):
        return "none"
    first, changed = returned[0], func._schema.arguments[0].alias_info
    if len(returned) > 1 or first is None or changed is None or not changed.is_write:
        return "some"
    return "first" if first.before_set == changed.before_set else "some"


def _blueprint(
    func: OpOverload, args: tuple[Any, ...], result: Any, key: Hashable
) -> Blueprint | None:
    """How to make `result` again; None if the operator has to run for that."""
    aliases = _aliases(func)
    if aliases == "first" and func.overloadpacket is not torch.ops.aten.set_:
        unchanged = key == _signature(func, args, {})
        return (lambda args: args[0]) if unchanged else None
    made = list(_operands(result))
    storages = [tensor.untyped_storage() for tensor in made]
    read = {tensor.untyped_storage()._cdata for tensor in _operands(args)}
    whole = all(
        storage.nbytes() == _blank(tensor).untyped_storage().nbytes() and storage._cdata not in read
        for tensor, storage in zip(made, storages, strict=True)
    )  # some operators return views, whatever their schema says
    if aliases != "none" or not whole:
        return None
    parts = [_empty_like(tensor) for tensor in made]
    if isinstance(result, Tensor):
        return lambda _args: parts[0]()
    if isinstance(result, tuple) and len(result) == len(made):
        return lambda _args: tuple(make() for make in parts)
    return None


def _batch_norm_result(func: OpOverload, args: tuple[Any, ...]) -> Any:
    """Batch norm with constant statistics on the meta device, or NotImplemented.

    What torch does there takes a millisecond: it derives the shape from every step of the formula.
    That the widths agree has been checked before (aten.batch_norm).
    """
    if func is not torch.ops.aten.native_batch_norm.default:
        return NotImplemented
    x, *_statistics, training, _momentum, _eps = args
    if training:
        return NotImplemented
    return _blank(x), *(torch.empty(0, dtype=x.dtype, device="meta") for _ in range(2))


def _empty_like(tensor: Tensor) -> Callable[[], Tensor]:
    shape, stride, dtype = tensor.shape, tensor.stride(), tensor.dtype
    return lambda: torch.empty_strided(shape, stride, dtype=dtype, device="meta")


def _blank(tensor: Tensor) -> Tensor:
    """A meta tensor like it. (torch.empty_like is the same for dense tensors, but slower there.)"""
    if tensor.layout != torch.strided:
        return torch.empty_like(tensor.detach(), device="meta")
    return _empty_like(tensor)()


def _operands(tree: Any) -> Iterator[Tensor]:
    """The tensors among an operator's arguments or results: nested lists, at most.

    As `_tensors`, which takes any tree, but several times as fast.
    """
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, list | tuple):
        for branch in tree:
            yield from _operands(branch)
    elif isinstance(tree, dict):
        yield from _operands(tuple(tree.values()))


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Keep nn.MultiheadAttention from a fused path that skips its layers."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)
