"""Trees of stock `torch.nn` layers and registered models as data: class, arguments, state.

A layer is rebuilt on the meta device from its constructor's arguments, which allocates nothing,
and then given its tensors, whose names and shapes must be those of the rebuilt layer. Tied
parameters and modules used twice stay the same object. Hooks, and attributes that are neither
arguments nor state, do not cross.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook
from torch.overrides import TorchFunctionMode

from autograder.engine.channel.frames import FrameError
from autograder.engine.channel.interface import Decoding, Encoding
from shared.registry import REGISTRY

CONTAINERS: dict[str, type[nn.Module]] = {
    kind.__name__: kind for kind in (nn.Sequential, nn.ModuleList, nn.ModuleDict)
}
LAYER_NAMES = """
    AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool2d AvgPool1d AvgPool2d MaxPool1d
    MaxPool2d BatchNorm1d BatchNorm2d BatchNorm3d GroupNorm InstanceNorm2d LayerNorm RMSNorm
    Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d Linear Bilinear Embedding Identity
    Dropout Dropout2d Flatten Unflatten Softmax LogSoftmax ReLU ReLU6 LeakyReLU PReLU ELU GELU
    SiLU Mish Hardswish Hardsigmoid Hardtanh Sigmoid Tanh Softplus ZeroPad2d PixelShuffle
    Upsample MultiheadAttention
"""
LAYERS: dict[str, type[nn.Module]] = {name: getattr(nn, name) for name in LAYER_NAMES.split()}
IGNORED_ARGUMENTS = ("self", "device", "dtype")
PLAIN = (bool, int, float, str, torch.dtype)  # what a layer's argument may be
MAX_SIZE = 1 << 24  # of an integer argument of a layer
MAX_MODULES = 5_000  # of one frame, with those that constructors make
MAX_LIST = 64  # entries of such an argument
MAX_CONFIG = 4096  # of an integer in a registered model's configuration that a worker sends


@functools.cache
def _arguments(name: str) -> tuple[str, ...]:
    names = inspect.signature(LAYERS[name].__init__).parameters
    return tuple(name for name in names if name not in IGNORED_ARGUMENTS)


def _argument(module: nn.Module, name: str) -> object:
    """Return what `name` was in the constructor: bias-like tensors stand for True or False."""
    value = getattr(module, name)
    if name == "bias" and not isinstance(value, bool):
        return value is not None
    return value


class _NotPlain(Exception):
    """Somewhere in the tree is a module that has no form of its own."""


def encode(encoder: Encoding, module: nn.Module, depth: int) -> Any:
    """Return the node of a tree of modules, or what the encoder does with opaque objects."""
    mark = encoder.mark()
    try:
        return _encode(encoder, module, depth)
    except _NotPlain:
        encoder.rewind(mark)
        return encoder.opaque(module, depth)


def _encode(encoder: Encoding, module: nn.Module, depth: int) -> dict[str, Any]:
    number, new = encoder.number_of(module)
    if not new:
        return {"$": "same", "id": number}
    kind = type(module)
    name = kind.__name__
    node: dict[str, Any] = {"$": "module", "id": number, "kind": name, "train": module.training}
    if CONTAINERS.get(name) is kind:
        return node | _state(encoder, module, False, depth) | _children(encoder, module, depth)
    if LAYERS.get(name) is kind:
        arguments = {n: _argument(module, n) for n in _arguments(name) if hasattr(module, n)}
        if _shapes(_build(kind, arguments)) != _shapes(module):  # reparametrised
            raise _NotPlain
        node["args"] = encoder.encode(arguments, depth)
        return node | _state(encoder, module, True, depth)
    if REGISTRY.get(name) is kind and (encoder.trusted or _is_plain(module.config)):
        node["args"] = encoder.encode(module.config, depth)
        return node | _state(encoder, module, False, depth) | _children(encoder, module, depth)
    raise _NotPlain


def _is_plain(config: Any) -> bool:
    """Whether the judge would accept these arguments: no callbacks or tensors among them."""
    values = [v for value in config.values() for v in (value if _is_list(value) else (value,))]
    return all(value is None or isinstance(value, PLAIN) for value in values)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in module.named_parameters()}


def _children(encoder: Encoding, module: nn.Module, depth: int) -> dict[str, Any]:
    children = [(name, child) for name, child in module._modules.items() if child is not None]
    return {"children": [[name, _encode(encoder, child, depth + 1)] for name, child in children]}


def _state(encoder: Encoding, module: nn.Module, recurse: bool, depth: int) -> dict[str, Any]:
    parameters = []
    for name, parameter in module.named_parameters(recurse=recurse, remove_duplicate=False):
        number, new = encoder.number_of(parameter)
        node: list[Any] = [name, number, parameter.requires_grad]
        parameters.append([*node, encoder.encode(parameter.data, depth)] if new else node)
    buffers = [
        [name, encoder.encode(buffer, depth)]
        for name, buffer in module.named_buffers(recurse=recurse, remove_duplicate=False)
    ]
    return {"parameters": parameters, "buffers": buffers}


def decode(decoder: Decoding, node: dict[str, Any], depth: int) -> nn.Module:
    """Rebuild a module; a form that no stock layer or registered model has raises FrameError."""
    name = decoder.text(node, "kind")
    number = node.get("id")
    if type(number) is not int or number in decoder.memo:
        raise FrameError("a module is numbered wrongly")
    _spend(decoder, 1)
    if name in CONTAINERS:
        module = CONTAINERS[name]()
        decoder.memo[number] = module
        _add_children(decoder, module, node, depth)
    else:
        kind = LAYERS.get(name) or REGISTRY.get(name)
        if kind is None:
            raise FrameError("a module of an unknown class")
        arguments = decoder.decode(node.get("args"), depth)
        _check_arguments(decoder, arguments, MAX_SIZE if name in LAYERS else MAX_CONFIG)
        # what the judge sends may need storage (torch.eye has no fast form on the meta device)
        device = "cpu" if decoder.trusting else "meta"
        module = _build(kind, arguments, device, decoder.modules_left)
        _spend(decoder, sum(1 for _ in module.modules()) - 1)
        decoder.memo[number] = module
        if name in REGISTRY:
            _add_children(decoder, module, node, depth)
    _load(decoder, module, node, depth)
    module.training = node.get("train") is True
    if name in LAYERS:  # its inner modules (of attention) have no node of their own
        module.train(module.training)
    return module


class _WithoutInitialization(TorchFunctionMode):
    """Skips in-place operations, hence all initialisation.

    On the meta device it would compute nothing, but its first use imports torch's Python
    reference kernels, which takes seconds in every process.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        del types
        name = getattr(func, "__name__", "")
        target = args[0] if args else (kwargs or {}).get("tensor")  # torch.nn.init names it
        if name.endswith("_") and not name.endswith("__") and isinstance(target, Tensor):
            return target
        return func(*args, **(kwargs or {}))


class _TooManyModules(Exception):
    """A constructor goes on and on."""


@contextlib.contextmanager
def _at_most(count: int) -> Iterator[None]:
    """Stop a constructor that registers more than `count` modules."""
    left = itertools.repeat(None, count)

    def registered(_module: nn.Module, _name: str, _child: nn.Module | None) -> None:
        if next(left, left) is left:
            raise _TooManyModules

    handle = register_module_module_registration_hook(registered)
    try:
        yield
    finally:
        handle.remove()


def _spend(decoder: Decoding, modules: int) -> None:
    """Take modules from the frame's budget; the children that a constructor made count too."""
    decoder.modules_left -= modules
    if decoder.modules_left < 0:
        raise FrameError(f"more than {MAX_MODULES:,} modules in one value")


def _build(
    kind: type[nn.Module],
    arguments: dict[str, Any],
    device: str = "meta",
    most: int = MAX_MODULES,
) -> nn.Module:
    """A module of `kind`, of at most `most` modules; FrameError if the arguments give none."""
    try:
        with torch.device(device), _WithoutInitialization(), _at_most(most):
            return kind(**arguments)
    except Exception as error:
        raise FrameError(f"a {kind.__name__} with impossible arguments") from error


def _check_arguments(decoder: Decoding, arguments: object, largest: int) -> None:
    if not isinstance(arguments, dict) or not all(isinstance(key, str) for key in arguments):
        raise FrameError("a module's arguments have an unknown form")
    if decoder.trusting:
        return
    for value in arguments.values():
        if _is_list(value) and len(value) > MAX_LIST:
            raise FrameError("a module's argument is too long")
        for item in value if _is_list(value) else (value,):
            if isinstance(item, int) and abs(item) > largest:
                raise FrameError("a module's argument is too large")
            if not (item is None or isinstance(item, PLAIN)):
                raise FrameError("a module's argument has an unknown form")


def _add_children(decoder: Decoding, module: nn.Module, node: dict[str, Any], depth: int) -> None:
    expected = set(module._modules)  # of a container: any
    module._modules.clear()
    for item in decoder.items(node, "children"):
        if not (isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)):
            raise FrameError("a module's children have an unknown form")
        child = decoder.decode(item[1], depth)
        if not isinstance(child, nn.Module):
            raise FrameError("a module's child is not a module")
        try:
            module.add_module(item[0], child)
        except (KeyError, TypeError):
            raise FrameError("a module's child has an impossible name") from None
    if expected and set(module._modules) != expected:
        raise FrameError("a module's children do not fit its class")


def _load(decoder: Decoding, module: nn.Module, node: dict[str, Any], depth: int) -> None:
    """Give the module its tensors; own parameters must have the names and shapes of the class."""
    recurse = "children" not in node
    expected = dict(module.named_parameters(recurse=recurse, remove_duplicate=False))
    seen = set()
    for item in decoder.items(node, "parameters"):
        name, parameter = _parameter(decoder, item, depth)
        if name not in expected or expected[name].shape != parameter.shape:
            raise FrameError("a module's parameters do not fit its class")
        owner, _, leaf = name.rpartition(".")
        module.get_submodule(owner)._parameters[leaf] = parameter
        seen.add(name)
    if seen != set(expected):
        raise FrameError("a module lacks parameters")
    for item in decoder.items(node, "buffers"):
        if not (isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)):
            raise FrameError("a module's buffers have an unknown form")
        buffer = decoder.decode(item[1], depth)
        if not isinstance(buffer, Tensor) or "." in item[0]:
            raise FrameError("a module's buffer is not a tensor")
        try:
            module.register_buffer(
                item[0], buffer, item[0] not in module._non_persistent_buffers_set
            )
        except (KeyError, TypeError):
            raise FrameError("a module's buffer has an impossible name") from None
    if any(buffer.is_meta for buffer in module.buffers(recurse=False)):
        raise FrameError("a module lacks buffers")


def _parameter(decoder: Decoding, item: object, depth: int) -> tuple[str, nn.Parameter]:
    if not (isinstance(item, list) and len(item) in (3, 4) and isinstance(item[0], str)):
        raise FrameError("a module's parameters have an unknown form")
    name, number, trainable = item[:3]
    if type(number) is not int:
        raise FrameError("a parameter is numbered wrongly")
    if len(item) == 4:
        data = decoder.decode(item[3], depth)
        if not isinstance(data, Tensor) or number in decoder.memo:
            raise FrameError("a parameter is not a tensor")
        differentiable = data.is_floating_point() or data.is_complex()
        decoder.memo[number] = nn.Parameter(data, differentiable and trainable is True)
    parameter = decoder.memo.get(number)
    if not isinstance(parameter, nn.Parameter):
        raise FrameError("a module refers to a parameter that is not there")
    return name, parameter
